"""Bringing a cluster up, until a pod could run on it, and down again, until nothing is left."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local_kubernetes import binaries, images, kubeconfigs, server
from local_kubernetes.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local_kubernetes.folders import Folder
    from local_kubernetes.processes import Identity
    from local_kubernetes.progress import Progress

NODE: Final = "local-node"
"""The name of the node that a cluster has unless told otherwise."""

START_SECONDS: Final = 60.0
"""A start that takes longer has failed; two to five seconds are usual."""

_PORT_ATTEMPTS: Final = 3
_STOP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.05


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may differ from cluster to cluster.

    Attributes:
        images: pattern of an image's name to the command of its entry point.
        nodes: the names of the process nodes to run with it.
        node_arguments: further arguments for each node program.
        host: the address that the API server listens on.
        server_arguments: further arguments for the API server.
        controller_arguments: further arguments for the controller manager.
        owner: it is taken down when this process ends; None: it stays.
    """

    images: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    nodes: Sequence[str] = (NODE,)
    node_arguments: Sequence[str] = ()
    host: str = "127.0.0.1"
    server_arguments: Sequence[str] = ()
    controller_arguments: Sequence[str] = ()
    owner: Identity | None = None


def launch(place: Folder, options: Options, progress: Progress) -> binaries.Binaries:
    """Starts a cluster and waits for it.

    Args:
        place: an empty or absent folder.
        options: what is not as usual.
        progress: told what takes long.

    Returns:
        The programs that it runs.

    Raises:
        ClusterError: the folder is in use, or the cluster did not come up.
        BuildError: a program could not be compiled.
        ToolMissingError: a program must be compiled and there is no Go.
    """
    programs = binaries.locate(progress)
    place.create()
    images.Table(place.images).write(options.images)
    wanted = ["/api/v1/namespaces/default/serviceaccounts/default"]
    wanted += [f"/api/v1/nodes/{name}" for name in options.nodes]
    with progress.step(f"starting Kubernetes {binaries.kubernetes_version()}"):
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                _start(place, programs, options)
                wait_for_objects(place, wanted)
                break
            except ClusterError:
                _give_up(place)
                # Between choosing a port and listening on it somebody may take it.
                if attempt == _PORT_ATTEMPTS or not _port_was_taken(place):
                    raise
            except BaseException:  # interrupted: nothing may stay that nobody knows of
                _give_up(place)
                place.remove()
                raise
    return programs


def stop(folder: Folder) -> bool:
    """Ends what runs in a folder, whatever state it is in, and deletes the folder.

    Args:
        folder: the cluster's.

    Returns:
        Whether there was something.
    """
    if not folder.is_ours():
        return False
    with folder.locked():
        end(folder)
    return True


def end(folder: Folder) -> None:
    """As :func:`stop`, for who holds the lock.

    Args:
        folder: the cluster's.
    """
    state = folder.state()
    if state is not None:
        state.supervisor.end(_STOP_SECONDS)
        # Normally gone with it; not where the kernel could not tie them together.
        for process in state.components.values():
            process.end(0.0)
    folder.remove()


def _give_up(place: Folder) -> None:
    """Ends what was started; the logs stay."""
    state = place.state()
    if state is not None:
        state.supervisor.end(_STOP_SECONDS)


def _start(place: Folder, programs: binaries.Binaries, options: Options) -> None:
    # These two cost a quarter of a second to load, which finding a running cluster need not pay.
    from local_kubernetes import control_plane  # noqa: PLC0415
    from local_kubernetes.supervisor import Plan  # noqa: PLC0415

    address = control_plane.Address.free(options.host)
    control_plane.certify(place, address)
    further = {
        "kube-apiserver": options.server_arguments,
        "kube-controller-manager": options.controller_arguments,
    }
    parts = [
        dataclasses.replace(part, command=(*part.command, *further.get(part.name, ())))
        for part in control_plane.components(place, address, programs)
    ]
    for name in options.nodes:
        certify_node(place, name, address.url)
        command = (*node_command(place, name), *options.node_arguments)
        # Before those that wait for the server: it loads while the server starts.
        parts.insert(2, control_plane.Component(f"node-{name}", command))
    place.forget_state()
    Plan(address.url, parts, options.owner).write(place.plan)
    with (place.logs / "supervisor.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "local_kubernetes.supervisor", str(place.path)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        )


def certify_node(place: Folder, name: str, url: str) -> None:
    """Makes the kubeconfig of a node.

    Args:
        place: the cluster's folder.
        name: the node.
        url: the address of the API server.
    """
    from local_kubernetes.certificates import Authority  # noqa: PLC0415 - as above

    keys = place.certificates
    authority = Authority.read(keys / "ca.crt", keys / "ca.key")
    user = f"system:node:{name}"
    document = kubeconfigs.with_certificate(
        url, (keys / "ca.crt").read_bytes(), user, authority.client(user, ["system:nodes"])
    )
    kubeconfigs.write(place.kubeconfigs / f"node-{name}.yaml", document)


def node_command(place: Folder, name: str) -> tuple[str, ...]:
    """How the node program is called.

    Args:
        place: the cluster's folder.
        name: the node.
    """
    return (
        sys.executable,
        "-m",
        "local_kubernetes.node",
        f"--kubeconfig={place.kubeconfigs / f'node-{name}.yaml'}",
        f"--name={name}",
        f"--folder={place.node(name)}",
        f"--images={place.images}",
        f"--node-version=v{binaries.kubernetes_version()}-process",
    )


def wait_for_objects(place: Folder, paths: Sequence[str]) -> None:
    """Waits until each of these exists, and nodes until they are ready and untainted.

    Args:
        place: the cluster's folder.
        paths: of the API, such as ``/api/v1/nodes/NAME``.

    Raises:
        ClusterError: the cluster ended, or it took longer than :data:`START_SECONDS`.
    """
    keys = place.certificates
    deadline = time.monotonic() + START_SECONDS
    missing = list(paths)
    while missing:
        state = place.state()
        if state is not None and not state.supervisor.alive():
            raise ClusterError(f"the cluster did not start: {_reason(place)}")
        if time.monotonic() > deadline:
            raise ClusterError(
                f"no {missing[0]} after {START_SECONDS:g}s; the logs are in {place.logs}"
            )
        if state is not None:
            credential = keys / "admin.crt", keys / "admin.key"
            status, body = server.ask(state.server, missing[0], keys / "ca.crt", credential)
            if status == 200 and _is_usable(json.loads(body)):  # noqa: PLR2004
                missing.pop(0)
                continue
        time.sleep(_POLL_SECONDS)


def _is_usable(document: dict[str, Any]) -> bool:
    if document.get("kind") != "Node":
        return True
    taints = document["spec"].get("taints", [])
    conditions = document["status"].get("conditions", [])
    return any(
        each["type"] == "Ready" and each["status"] == "True" for each in conditions
    ) and not any(each["key"].startswith("node.kubernetes.io/") for each in taints)


def _reason(place: Folder) -> str:
    """Why the supervisor gave up, in one line, with the last words of the guilty part."""
    last = _last_line(place.logs / "supervisor.log")
    guilty = place.logs / f"{last.split(' ', 1)[0]}.log"
    return f"{last}: {_last_line(guilty)}" if guilty.is_file() else last


def _port_was_taken(place: Folder) -> bool:
    logs = [place.logs / "etcd.log", place.logs / "kube-apiserver.log"]
    return any("address already in use" in log.read_text("utf-8") for log in logs if log.is_file())


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:400] if lines else "it said nothing"
    return "it said nothing"
