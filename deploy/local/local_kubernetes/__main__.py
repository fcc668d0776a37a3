"""The command: ``python -m local_kubernetes build|up|down|status|kubectl``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes import binaries, cluster
from local_kubernetes.errors import ClusterError, LocalKubernetesError
from local_kubernetes.folders import Folder
from local_kubernetes.launch import NODE, Options
from local_kubernetes.options import image_option
from local_kubernetes.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION: Final = f"""\
A real Kubernetes on this machine: etcd, API server, controller manager and
scheduler, compiled once and cached, and a node that runs containers' commands
as local processes. When {cluster.EXISTING_VARIABLE} names a kubeconfig,
nothing is started and that cluster is used instead.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: in place of the process's own.

    Returns:
        0; 1 after an error, said in one line; 3 from ``status`` when none runs.
    """
    parsed = _parser().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("local_kubernetes: runs on Linux only", file=sys.stderr)
        return 1
    command: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return command(parsed)
    except LocalKubernetesError as error:
        print(f"local_kubernetes: {error}", file=sys.stderr)
    except OSError as error:
        print(f"local_kubernetes: {error.filename or ''}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("local_kubernetes: interrupted", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="local_kubernetes",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help=f"where the cluster's files go, all of them (default: {Folder.default().path})",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="compile what is not there yet, and start nothing")
    build.set_defaults(run=_build)
    up = commands.add_parser("up", help="start a cluster, or find the one that runs")
    up.add_argument(
        "--image",
        type=image_option,
        action="append",
        default=[],
        metavar="PATTERN=COMMAND",
        help="what an image stands for on the node; also on a cluster that runs already",
    )
    up.add_argument(
        "--node",
        action="append",
        metavar="NAME",
        help=f"a process node to run (default: {NODE}); may be repeated",
    )
    up.add_argument("--no-node", action="store_true", help="run no process node")
    up.add_argument(
        "--address", default="127.0.0.1", help="where the API server listens (default: 127.0.0.1)"
    )
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="end a cluster and delete its folder")
    down.set_defaults(run=_down)
    status = commands.add_parser("status", help="what runs; exit code 3 if nothing does")
    status.set_defaults(run=_status)
    kubectl = commands.add_parser("kubectl", help="the kubectl that fits, as administrator")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- ARGUMENTS")
    kubectl.set_defaults(run=_kubectl)
    return parser


def _build(_: argparse.Namespace) -> int:
    progress = Progress.on_standard_error()
    programs = binaries.locate(progress)
    progress.note(f"Kubernetes {binaries.kubernetes_version()} is built: {programs.kubectl.parent}")
    return 0


def _up(parsed: argparse.Namespace) -> int:
    progress = Progress.on_standard_error()
    named = _existing(parsed)
    if named is not None:
        progress.note(f"{cluster.EXISTING_VARIABLE} is set: that cluster is used, none is started")
        print(named.kubeconfig)
        return 0
    if cluster.Cluster.attach(parsed.folder) is not None:
        progress.note("already up")
    nodes = () if parsed.no_node else tuple(parsed.node or (NODE,))
    options = Options(nodes=nodes, host=parsed.address)
    found = cluster.Cluster.find_or_start(parsed.folder, options, progress)
    for pattern, command in parsed.image:
        found.add_image(pattern, command)
    print(found.kubeconfig)
    return 0


def _down(parsed: argparse.Namespace) -> int:
    folder = _folder(parsed)
    if not cluster.stop(folder):
        Progress.on_standard_error().note(f"nothing to take down in {folder.path}")
    return 0


def _status(parsed: argparse.Namespace) -> int:
    found = _existing(parsed) or cluster.Cluster.attach(parsed.folder)
    if found is None:
        print(f"no cluster runs in {_folder(parsed).path}")
        return 3
    print(f"Kubernetes {found.version}")
    print(f"kubeconfig {found.kubeconfig}")
    for name, process in found.processes.items():
        print(f"{name} {process.pid if process.alive() else 'ended'}")
    return 0


def _kubectl(parsed: argparse.Namespace) -> int:
    found = _existing(parsed) or cluster.Cluster.attach(parsed.folder)
    if found is None:
        raise ClusterError(f"no cluster runs in {_folder(parsed).path}: start one with 'up'")
    arguments = parsed.arguments
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    program = str(found.kubectl_path)
    os.execv(program, [program, f"--kubeconfig={found.kubeconfig}", *arguments])  # noqa: S606


def _folder(parsed: argparse.Namespace) -> Folder:
    return Folder.default() if parsed.folder is None else Folder(parsed.folder.resolve())


def _existing(parsed: argparse.Namespace) -> cluster.Cluster | None:
    kubeconfig = os.environ.get(cluster.EXISTING_VARIABLE)
    if not kubeconfig:
        return None
    return cluster.Cluster.existing(Path(kubeconfig), _folder(parsed).path)


if __name__ == "__main__":
    raise SystemExit(main())
