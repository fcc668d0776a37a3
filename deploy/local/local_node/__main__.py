"""The command: ``python -m local_node build|up``."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes import binaries
from local_kubernetes.errors import LocalKubernetesError
from local_kubernetes.progress import Progress
from local_node import programs
from local_node.errors import LocalNodeError
from local_node.site import NAMES, Site

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION: Final = """\
A control plane with real nodes: kubelet, containerd and runc in namespaces of
their own, which the kernel clears away at the end. Needs root.
"""


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command.

    Args:
        arguments: in place of the process's own.

    Returns:
        0; 1 after an error, said in one line.
    """
    parser = argparse.ArgumentParser(
        prog="local_node",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="compile what is not there yet, and start nothing")
    build.set_defaults(run=_build)
    up = commands.add_parser("up", help="run a cluster until it is interrupted")
    up.set_defaults(run=_up)
    up.add_argument(
        "--node",
        action="append",
        metavar="NAME",
        help=f"a node to run (default: {' and '.join(NAMES)}); may be repeated",
    )
    up.add_argument(
        "--load",
        type=Path,
        nargs="*",
        default=[],
        metavar="ARCHIVE",
        help="images to bring to all nodes, as docker save writes them",
    )
    parsed = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = parsed.run
    try:
        command(parsed)
    except (LocalNodeError, LocalKubernetesError) as error:
        print(f"local_node: {error}", file=sys.stderr)
    except OSError as error:
        print(f"local_node: {error.filename or ''}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("local_node: interrupted", file=sys.stderr)
    else:
        return 0
    return 1


def _build(_: argparse.Namespace) -> None:
    progress = Progress.on_standard_error()
    binaries.locate(progress)
    programs.locate(progress)


def _up(parsed: argparse.Namespace) -> None:
    progress = Progress.on_standard_error()
    # One that was asked to end does so as one that was interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Site.start(progress, parsed.node or NAMES) as site:
        for archive in parsed.load:
            with progress.step(f"bringing {archive.name} to the nodes"):
                site.load(archive)
        if site.cluster is not None:
            print(f"export KUBECONFIG={site.cluster.kubeconfig}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    raise SystemExit(main())
