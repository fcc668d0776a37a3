"""The one folder of a cluster: where each thing in it lies.

Nothing of a cluster is kept anywhere else, so removing the folder removes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local_kubernetes.errors import ClusterError
from local_kubernetes.processes import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKER: Final = "local-kubernetes.json"
"""Proves that a folder is ours to delete."""


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What runs, as the supervisor wrote it.

    Attributes:
        server: the address of the API server.
        supervisor: the process that owns all others.
        components: the control plane's processes and the node's, by name.
    """

    server: str
    supervisor: Identity
    components: dict[str, Identity]


@dataclasses.dataclass(frozen=True, slots=True)
class Folder:
    """Names inside a cluster's folder.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def default(cls) -> Folder:
        """The folder of the one cluster that a user has without naming another."""
        return cls(Path(tempfile.gettempdir()) / f"local-kubernetes-{os.getuid()}")

    @property
    def certificates(self) -> Path:
        """Certificates and keys."""
        return self.path / "certificates"

    @property
    def kubeconfigs(self) -> Path:
        """One file a user."""
        return self.path / "kubeconfigs"

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.path / "logs"

    @property
    def etcd(self) -> Path:
        """The store's data."""
        return self.path / "etcd"

    @property
    def images(self) -> Path:
        """The table of images that the nodes know."""
        return self.path / "images.json"

    @property
    def audit_policy(self) -> Path:
        """What the API server writes into its audit log."""
        return self.path / "audit-policy.json"

    @property
    def audit_log(self) -> Path:
        """One line for each request to the API server."""
        return self.logs / "audit.jsonl"

    @property
    def plan(self) -> Path:
        """What the supervisor shall start."""
        return self.path / "plan.json"

    def node(self, name: str) -> Path:
        """A node's own files: pods, their logs.

        Args:
            name: the node.
        """
        return self.path / "nodes" / name

    def create(self) -> None:
        """Makes the folder.

        Raises:
            ClusterError: it is there and not empty, or somebody else's.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.stat().st_uid != os.getuid():
            raise ClusterError(f"{self.path} belongs to another user: name another --folder")
        if any(self.path.iterdir()):
            raise ClusterError(f"{self.path} is not empty: name another --folder, or take it down")
        self.path.chmod(0o700)  # where it was there before: it will hold keys
        self.forget_state()
        for part in (self.certificates, self.kubeconfigs, self.logs):
            part.mkdir(mode=0o700)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lets one at a time start or end what is in it.

        The folder itself is what is locked, so that no other file is left.

        Raises:
            ClusterError: it can't be made.
        """
        while True:
            made = not self.path.exists()
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                raise ClusterError(f"{self.path}: {error.strerror}") from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                # Whoever had it may have deleted it meanwhile.
                if self.path.exists() and self.path.stat().st_ino == os.fstat(handle).st_ino:
                    yield
                    return
            finally:
                if made:
                    with contextlib.suppress(OSError):  # not empty: it is in use
                        self.path.rmdir()
                os.close(handle)

    def is_ours(self) -> bool:
        """Whether a cluster was ever started in it."""
        return (self.path / _MARKER).is_file()

    def state(self) -> State | None:
        """What runs here, or ran.

        Returns:
            None before everything was started.
        """
        try:
            document: dict[str, Any] = json.loads((self.path / _MARKER).read_text("utf-8"))
        except OSError:
            return None
        if "supervisor" not in document:
            return None
        return State(
            document["server"],
            Identity.read(document["supervisor"]),
            {name: Identity.read(each) for name, each in document["components"].items()},
        )

    def forget_state(self) -> None:
        """Says that nothing runs here yet."""
        (self.path / _MARKER).write_text("{}", encoding="utf-8")

    def write_state(self, state: State) -> None:
        """Replaces what stands there.

        Args:
            state: the new.
        """
        part = self.path / f".{_MARKER}.part"
        part.write_text(json.dumps(dataclasses.asdict(state)), encoding="utf-8")
        part.replace(self.path / _MARKER)

    def remove(self) -> None:
        """Deletes it with all that is in it; nothing if it is not ours."""
        if self.is_ours():
            shutil.rmtree(self.path, ignore_errors=True)
