"""A control plane with real nodes: started, given images, broken on purpose, ended."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from local_images import leftovers
from local_kubernetes import launch
from local_kubernetes.cluster import Cluster
from local_kubernetes.control_plane import SERVICE_ADDRESS
from local_kubernetes.launch import Options
from local_kubernetes.processes import Identity, dies_with_parent
from local_node import addresses, groups, programs, sandbox
from local_node.configuration import LEASE_SECONDS, Node
from local_node.errors import LocalNodeError
from local_node.inside import Plan
from local_postgres.account import Account
from local_postgres.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from local_kubernetes.folders import State
    from local_kubernetes.progress import Progress
    from local_node.addresses import Addresses
    from local_node.programs import Programs

NAMES: Final = ("one", "two")
"""What the nodes are called unless told otherwise."""

EVICTION_SECONDS: Final = 4
"""How long pods stay on a node that does not answer; five minutes otherwise."""

_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_SERVICE_PORT: Final = 443


class Site:
    """Kubelets with containerd, each a node of a control plane of their own.

    As a context manager it is ended at the end, with all that it started; also
    when this process is killed.

    Attributes:
        folder: holds everything of it.
        cluster: the control plane.
        nodes: by name.
    """

    def __init__(
        self, folder: Path, found: Programs, link: Addresses, names: Sequence[str]
    ) -> None:
        self.folder = folder
        self._programs = found
        self._addresses = link
        self._group = f"local-node-{secrets.token_hex(4)}"
        self._process: subprocess.Popen[bytes] | None = None
        self.cluster: Cluster | None = None
        cluster = folder / "cluster"
        self.nodes = {
            name: Node(
                name=name,
                folder=folder / "nodes" / name,
                address=link.node(index),
                pods=link.pods(index),
                group=f"{self._group}/{name}",
                kubeconfig=cluster / "kubeconfigs" / f"node-{name}.yaml",
                authority=cluster / "certificates" / "ca.crt",
            )
            for index, name in enumerate(names)
        }
        lease = Lease.take(folder / "lease")
        if lease is None:  # a folder that nobody else knows of
            raise AssertionError(folder)
        self._lease = lease
        # Removes what is left when this process has ended, whatever ended it.
        command: list[str | Path] = [sys.executable, "-m", leftovers.__name__]
        command += [folder, self._group, link.link]
        self._guard = lease.guard(command, account=Account(), folder=folder)

    @classmethod
    def start(cls, progress: Progress, names: Sequence[str] = NAMES) -> Site:
        """Start a control plane and its nodes, and wait until pods could run on them.

        Raises:
            LocalNodeError: it can't be had here, or did not come up; the text says why.
            LocalKubernetesError: likewise, of the control plane.
        """
        if os.geteuid() != 0:
            raise LocalNodeError("real nodes need root: for namespaces, mounts and control groups")
        found = programs.locate(progress)
        link = addresses.claim(len(names))
        site = cls(Path(tempfile.mkdtemp(prefix="local-node-")), found, link, names)
        try:
            site._start(progress)
        except BaseException:
            site.stop()
            raise
        return site

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything and wait until nothing is left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self.cluster is not None:
            self.cluster.stop()
        self._lease.release()
        os.waitpid(self._guard, 0)

    def load(self, archive: Path, nodes: Sequence[str] = ()) -> None:
        """Bring an archive of images to the nodes.

        Args:
            archive: as ``docker save`` or an OCI tool writes it.
            nodes: to which; none: to all.

        Raises:
            LocalNodeError: containerd refuses it.
        """
        loading = [
            self._ctr(self.nodes[name], "images", "import", str(archive))
            for name in nodes or self.nodes
        ]
        for process in loading:
            _, said = process.communicate()
            if process.returncode:
                raise LocalNodeError(f"{archive.name}: {said.decode(errors='replace').strip()}")

    def kubelet(self, name: str) -> Identity:
        """Return the process that is a node's kubelet, to be stopped or killed.

        Raises:
            LocalNodeError: it does not run.
        """
        argument = f"--root-dir={self.nodes[name].folder / 'kubelet'}".encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if argument in words:
                identity = Identity.of(int(path.parent.name))
                if identity is not None:
                    return identity
        raise LocalNodeError(f"no kubelet of {name} runs; its log is {self._log('kubelet', name)}")

    def _start(self, progress: Progress) -> None:
        arguments = (
            "--kubelet-preferred-address-types=InternalIP",
            f"--default-not-ready-toleration-seconds={EVICTION_SECONDS}",
            f"--default-unreachable-toleration-seconds={EVICTION_SECONDS}",
        )
        monitoring = (
            f"--node-monitor-grace-period={LEASE_SECONDS}s",
            "--node-monitor-period=1s",
        )
        options = Options(
            nodes=(),
            host=self._addresses.here,
            server_arguments=arguments,
            controller_arguments=monitoring,
            owner=Identity.own(),
        )
        self.cluster = Cluster.start(self.folder / "cluster", options, progress)
        with progress.step(f"starting {len(self.nodes)} nodes"):
            self._start_nodes(self.cluster)

    def _start_nodes(self, cluster: Cluster) -> None:
        state = cluster.folder.state()
        if state is None:
            raise LocalNodeError("the control plane ended at once")
        commands: dict[str, list[str]] = {}
        for node in self.nodes.values():
            groups.make(node.group)
            launch.certify_node(cluster.folder, node.name, state.server)
            node.write(self._programs)
            commands[f"containerd-{node.name}"] = node.containerd_command(self._programs)
        archive = self.folder / "pause.tar"
        sandbox.pack(self._programs.pause, archive)
        for node in self.nodes.values():
            commands[f"kubelet-{node.name}"] = node.kubelet_command(self._programs)
        self._launch(self._plan(state, commands))
        self._wait_for(lambda: all(node.socket.is_socket() for node in self.nodes.values()))
        self.load(archive)
        launch.wait_for_objects(cluster.folder, [f"/api/v1/nodes/{name}" for name in self.nodes])

    def _plan(self, state: State, commands: dict[str, list[str]]) -> Plan:
        port = int(state.server.rpartition(":")[2])
        return Plan(
            link=self._addresses.peer,
            addresses=[node.address for node in self.nodes.values()],
            gateway=self._addresses.here,
            service=(SERVICE_ADDRESS, _SERVICE_PORT),
            server=(self._addresses.here, port),
            folder=str(self.folder),
            # The shim is looked for there: the one that was built with containerd comes first.
            path=f"{self._programs.containerd.parent}:{programs.PATH}",
            group=self._group,
            commands=commands,
        )

    def _launch(self, plan: Plan) -> None:
        (self.folder / "plan.json").write_text(json.dumps(dataclasses.asdict(plan)))
        command = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
        command += [sys.executable, "-m", "local_node.inside", str(self.folder)]
        with (self.folder / "site.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, leftovers.mark(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=dies_with_parent(),  # noqa: PLW1509 - nothing is loaded in it
            )
        place = Path(f"/proc/{self._process.pid}/ns/net")
        ours = Path("/proc/self/ns/net").readlink()
        self._wait_for(lambda: place.readlink() != ours)
        addresses.hand_over(self._addresses, self._process.pid)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not condition():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = (self.folder / "site.log").read_text(encoding="utf-8", errors="replace")
                lines = log.strip().splitlines() or ["it said nothing"]
                raise LocalNodeError(f"the nodes did not start: {lines[-1]}")
            time.sleep(_POLL_SECONDS)

    def _ctr(self, node: Node, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(self._programs.ctr), f"--address={node.socket}", "--namespace=k8s.io"]
        return subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _log(self, program: str, name: str) -> Path:
        return self.folder / f"{program}-{name}.log"
