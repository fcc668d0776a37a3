"""A server for tests: fast, not durable, and gone with the last process that uses it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from local_postgres import installation
from local_postgres.account import Account
from local_postgres.lease import Lease
from local_postgres.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

# Nothing of a test's server has to survive a crash of the machine. The bound on
# WAL keeps it small enough for memory.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
}
_MEMORY = Path("/dev/shm")  # noqa: S108
_MEMORY_NEEDED = 1 << 30  # bytes free; a container's default is far less


class TemporaryServer:
    """A share in a running server of a folder of its own.

    The server ends, and its folder goes, when the last share is given back or
    the last process that holds one has ended, killed or not.
    """

    def __init__(self, server: Server, lease: Lease, guard: int | None = None) -> None:
        self.server = server
        self._lease = lease
        self._guard = guard

    @classmethod
    def start(cls, version: int, settings: Mapping[str, str] | None = None) -> TemporaryServer:
        """Start a new server of a major version and return the first share in it.

        Raises:
            LocalPostgresError: it can't be had; the text says why.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"postgresql-{version}-", dir=fastest_folder()))
        folder.chmod(0o711)  # the account that runs the server passes through
        server = Server(version, folder, FAST | dict(settings or {}))
        lease = Lease.take(folder / "lease")
        if lease is None:  # a folder that nobody else knows of
            raise AssertionError(folder)
        guard = None
        try:
            account = Account.current()
            programs = installation.find(version, account=account, copies=folder / "installation")
            # The guard comes first, so that nothing is left behind whenever this process ends.
            stop = server.stop_command(programs.pg_ctl, "immediate")
            guard = lease.guard(stop, account=account, folder=folder)
            server.start()
        except BaseException:
            lease.release()
            if guard is None:
                shutil.rmtree(folder)
            raise
        return cls(server, lease, guard)

    @classmethod
    def join(cls, server: Server) -> TemporaryServer | None:
        """Return a further share in a server that another process started, while there is one."""
        try:
            lease = Lease.take(server.folder / "lease")
        except FileNotFoundError:
            return None
        if lease is None:
            return None
        if not server.running:
            lease.release()
            return None
        return cls(server, lease)

    def release(self) -> None:
        """Give the share back, without waiting for what follows."""
        self._lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the share back; who started the server waits until it is gone."""
        self.release()
        if self._guard is not None:
            os.waitpid(self._guard, 0)


def fastest_folder() -> Path | None:
    """Return memory where it can hold a server, else nothing: the system's choice.

    A database is some 300 files; making one took 10 ms in memory and up to
    250 ms on a busy disk.
    """
    try:
        memory = os.statvfs(_MEMORY)
    except OSError:
        return None
    roomy = memory.f_bavail * memory.f_frsize >= _MEMORY_NEEDED
    # Programs may have to be copied there, for the account that can't reach them.
    executable = not memory.f_flag & getattr(os, "ST_NOEXEC", 0)
    return _MEMORY if roomy and executable and os.access(_MEMORY, os.W_OK) else None
