"""One cluster: started, found or named, asked for its users' kubeconfigs, taken down."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final, Self

from local_kubernetes import binaries, images, kubeconfigs, launch, server
from local_kubernetes.audit import AuditLog
from local_kubernetes.errors import ClusterError
from local_kubernetes.folders import Folder
from local_kubernetes.launch import Options, stop
from local_kubernetes.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from local_kubernetes.folders import State
    from local_kubernetes.processes import Identity

__all__ = ["EXISTING_VARIABLE", "Cluster", "stop"]

EXISTING_VARIABLE: Final = "SCHEMA_OPERATOR_KUBECONFIG"
"""Names the kubeconfig of a cluster to use in place of one of ours."""

_ANSWER_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 15.0


class Cluster:
    """A Kubernetes that answers.

    Use :meth:`start` for one of your own, :meth:`attach` for one that runs,
    :meth:`existing` for one that somebody else owns. As a context manager it
    is taken down at the end, if it is ours.

    Attributes:
        folder: where its files lie; for an existing one, those made for it.
        kubeconfig: the administrator's, or the one that was named.
        ours: whether it was started here, and may be taken down.
    """

    def __init__(self, folder: Folder, kubeconfig: Path, kubectl: Path, *, ours: bool) -> None:
        self.folder = folder
        self.kubeconfig = kubeconfig
        self.ours = ours
        self._kubectl = kubectl

    @classmethod
    def start(
        cls,
        folder: Path | None = None,
        options: Options | None = None,
        progress: Progress | None = None,
    ) -> Cluster:
        """Starts a new one and waits until a pod could run on it.

        Args:
            folder: an empty or absent one; None: the user's default.
            options: what is not as usual.
            progress: told what takes long; None: silence.

        Raises:
            ClusterError: the folder is in use, or the cluster did not come up.
            BuildError: a program could not be compiled.
            ToolMissingError: a program must be compiled and there is no Go.
        """
        place = _place(folder)
        with place.locked():
            return cls._start(place, options, progress or Progress())

    @classmethod
    def find_or_start(
        cls,
        folder: Path | None = None,
        options: Options | None = None,
        progress: Progress | None = None,
    ) -> Cluster:
        """Takes up the one that runs in a folder, or starts one; safe when several do so at once.

        Args:
            folder: its folder; None: the user's default.
            options: what is not as usual, if one is started.
            progress: told what takes long; None: silence.

        Raises:
            ClusterError: the folder is in use, or the cluster did not come up.
            BuildError: a program could not be compiled.
            ToolMissingError: a program must be compiled and there is no Go.
        """
        place = _place(folder)
        with place.locked():
            found = cls.attach(place.path)
            return found or cls._start(place, options, progress or Progress())

    @classmethod
    def attach(cls, folder: Path | None = None, progress: Progress | None = None) -> Cluster | None:
        """Takes up one that runs.

        Args:
            folder: its folder; None: the user's default.
            progress: told what takes long; None: silence.

        Returns:
            None if none runs there.

        Raises:
            ClusterError: one runs there and does not answer.
        """
        place = _place(folder)
        state = place.state()
        if state is None or not state.supervisor.alive():
            return None
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not server.is_ready(state.server, place.certificates / "ca.crt"):
            if time.monotonic() > deadline:
                raise ClusterError(f"the cluster in {place.path} does not answer: take it down")
            time.sleep(_POLL_SECONDS)
        kubectl = binaries.locate(progress or Progress()).kubectl
        return cls(place, place.kubeconfigs / "admin.yaml", kubectl, ours=True)

    @classmethod
    def existing(cls, kubeconfig: Path, folder: Path, progress: Progress | None = None) -> Cluster:
        """Uses one that somebody else owns; nothing is started, nothing taken down.

        Args:
            kubeconfig: its current context is used.
            folder: for the kubeconfigs that are made here.
            progress: told what takes long; None: silence.

        Raises:
            ClusterError: there is no such file.
        """
        if not kubeconfig.is_file():
            raise ClusterError(f"{EXISTING_VARIABLE} names {kubeconfig}, which is not a file")
        kubectl = binaries.locate_kubectl(progress or Progress())
        return cls(Folder(folder.resolve()), kubeconfig.resolve(), kubectl, ours=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def kubectl_path(self) -> Path:
        """The kubectl that fits."""
        return self._kubectl

    @property
    def version(self) -> str:
        """What the server says it is, such as ``v1.36.3``."""
        document: dict[str, Any] = json.loads(self.kubectl("version", "--output=json"))
        return str(document["serverVersion"]["gitVersion"])

    @property
    def processes(self) -> dict[str, Identity]:
        """The processes of a cluster of ours by name, such as ``kube-apiserver``."""
        state = self.folder.state() if self.ours else None
        return {} if state is None else state.components

    @property
    def audit_log(self) -> AuditLog:
        """What the API server of a cluster of ours was asked.

        Raises:
            ClusterError: the cluster is not ours, so neither is its log.
        """
        if not self.ours:
            raise ClusterError("only a cluster that was started here has an audit log to read")
        return AuditLog(self.folder.audit_log)

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 60.0) -> str:
        """Runs kubectl as the administrator.

        Args:
            arguments: after the program's name.
            stdin: what it reads.
            seconds: the bound.

        Returns:
            Its standard output.

        Raises:
            ClusterError: it failed; with its own last line.
        """
        command = [str(self._kubectl), f"--kubeconfig={self.kubeconfig}", *arguments]
        try:
            ended = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(
                f"kubectl {' '.join(arguments)}: no end after {seconds:g}s"
            ) from error
        if ended.returncode != 0:
            lines = ended.stderr.strip().splitlines() or ["it said nothing"]
            raise ClusterError(f"kubectl {' '.join(arguments)}: {lines[-1]}")
        return ended.stdout

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Makes a user, by client certificate. It has the rights its names have: none yet.

        Args:
            user: the name that RBAC knows it by.
            groups: likewise.

        Raises:
            ClusterError: the cluster is not ours, so neither is its authority.
        """
        if not self.ours:
            raise ClusterError("certificates can be signed only in a cluster that was started here")
        from local_kubernetes.certificates import Authority  # noqa: PLC0415 - `up` stays quick

        keys = self.folder.certificates
        authority = Authority.read(keys / "ca.crt", keys / "ca.key")
        document = kubeconfigs.with_certificate(
            self._state().server,
            (keys / "ca.crt").read_bytes(),
            user,
            authority.client(user, groups),
        )
        return kubeconfigs.write(
            self.folder.kubeconfigs / f"user-{_file_name(user)}.yaml", document
        )

    def kubeconfig_for_service_account(
        self, namespace: str, name: str, seconds: int = 3600
    ) -> Path:
        """Asks for a token of a ServiceAccount, as a pod's would be.

        Args:
            namespace: where the account is.
            name: the account; it must exist.
            seconds: how long the token is good; the server allows no less than 600.

        Raises:
            ClusterError: there is no such account.
        """
        token = self.kubectl(
            "create", "token", name, f"--namespace={namespace}", f"--duration={seconds}s"
        )
        view = self.kubectl("config", "view", "--minify", "--raw", "--flatten", "--output=json")
        document: dict[str, Any] = json.loads(view)
        user = f"{namespace}:{name}"
        document["users"] = [{"name": user, "user": {"token": token.strip()}}]
        document["contexts"][0]["context"]["user"] = user
        path = self.folder.kubeconfigs / f"service-account-{_file_name(user)}.yaml"
        return kubeconfigs.write(path, document)

    def add_image(self, pattern: str, command: Sequence[str]) -> None:
        """Tells the nodes of a cluster of ours what an image stands for, from now on.

        Args:
            pattern: of the image's name, as a shell's.
            command: its entry point.
        """
        images.Table(self.folder.images).add(pattern, command)

    @contextlib.contextmanager
    def node(self, name: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Runs one more process node while the block runs.

        Args:
            name: the node's.
            options: further arguments of the node program.

        Yields:
            The program; it has registered itself.
        """
        command = [*launch.node_command(self.folder, name), *options]
        launch.certify_node(self.folder, name, self._state().server)
        with (self.folder.logs / f"node-{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder.path
            )
        try:
            launch.wait_for_objects(self.folder, [f"/api/v1/nodes/{name}"])
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # Not the node's to do: it has no right to, and may have been killed.
            self.kubectl("delete", "node", name, "--ignore-not-found")

    def stop(self) -> None:
        """Ends the processes of a cluster of ours, and deletes its folder."""
        if self.ours:
            stop(self.folder)

    def _state(self) -> State:
        state = self.folder.state()
        if state is None:
            raise ClusterError(f"no cluster runs in {self.folder.path}")
        return state

    @classmethod
    def _start(cls, place: Folder, options: Options | None, progress: Progress) -> Cluster:
        state = place.state()
        if state is not None and state.supervisor.alive():
            raise ClusterError(f"a cluster runs in {place.path} already")
        if place.is_ours():
            launch.end(place)  # what a crash left
        programs = launch.launch(place, options or Options(), progress)
        return cls(place, place.kubeconfigs / "admin.yaml", programs.kubectl, ours=True)


def _place(folder: Path | None) -> Folder:
    return Folder.default() if folder is None else Folder(folder.resolve())


def _file_name(user: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", user)
