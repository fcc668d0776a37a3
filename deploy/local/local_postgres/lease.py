"""A share in a server that ends with the last process that holds one.

The kernel takes a file lock away from a process however it ends, so nothing has
to be counted or signed off, and a killed test run leaves no server behind.
"""

from __future__ import annotations

import fcntl
import os
import sys
from typing import IO, TYPE_CHECKING

from local_postgres import guard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from local_postgres.account import Account


class Lease:
    """A shared lock on a file; a guard waits for the moment when nobody has one."""

    def __init__(self, path: Path, stream: IO[str]) -> None:
        self._path = path
        self._stream = stream

    @classmethod
    def take(cls, path: Path) -> Lease | None:
        """Return a share, or nothing when a guard is about to end the server."""
        stream = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            return None
        return cls(path, stream)

    def release(self) -> None:
        """Give the share back."""
        self._stream.close()

    def guard(self, command: Sequence[str | Path], *, account: Account, folder: Path) -> int:
        """Start the process that runs a command and deletes a folder after the last share.

        It has a session of its own, so that a Ctrl-C for the test run does not
        reach it, and keeps none of the caller's streams open, so that nobody
        who reads those waits for it.

        Returns:
            Its process id.
        """
        user = "" if account.user is None else str(account.user)
        group = "" if account.group is None else str(account.group)
        arguments = map(str, (guard.__file__, self._path, folder, user, group, *command))
        null = os.devnull
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
            ],
            setsid=True,
        )
