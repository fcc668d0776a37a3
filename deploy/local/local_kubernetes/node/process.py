"""One process in place of a container: its start, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Final, Protocol

from local_kubernetes.processes import belongs_to, children, dies_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_REAP_SECONDS: Final = 0.01


class Sessions(Protocol):
    """Who must know which sessions are there, should this program be killed."""

    @property
    def known(self) -> set[int]:
        """Children that are waited for where they were started."""

    def opened(self, session: int) -> None:
        """A session began."""

    def closed(self, session: int) -> None:
        """Nothing is left of it."""


class Process:
    """A command in a session of its own.

    Attributes:
        pid: of its first process, and the session's id.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, sessions: Sessions) -> None:
        self.pid = process.pid
        self._process = process
        self._folder = folder
        self._sessions = sessions

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        sessions: Sessions,
    ) -> Process:
        """Starts it.

        Args:
            command: the program is looked up in the environment's PATH.
            environment: all that it gets.
            folder: where it starts; also what marks its descendants.
            log: gets its output and its errors.
            sessions: told of it.

        Raises:
            OSError: it can't be executed.
            ValueError: a NUL in an argument or a variable.
        """
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=dies_with_parent(),  # noqa: PLW1509 - this program has one thread
            )
        sessions.opened(process.pid)
        return cls(process, folder, sessions)

    async def wait(self) -> int:
        """Waits for the end of the first process, and ends the others, as PID 1's end does.

        Returns:
            Its exit code; the signal's negative number after a signal.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        handle = os.pidfd_open(self.pid)
        loop.add_reader(handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        code = self._process.wait()
        await self._end_the_rest()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the first process, as a kubelet has it done.

        Args:
            number: which.
        """
        if self._process.returncode is None:  # not collected, so the pid is still its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _end_the_rest(self) -> None:
        """Kills what it left behind, in its group or as orphans that this program adopted."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        while True:
            adopted = set(children()) - self._sessions.known
            strays = [pid for pid in adopted if belongs_to(pid, {self.pid}, str(self._folder))]
            if not strays:
                break
            for pid in strays:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(_REAP_SECONDS)
        _collect(adopted)
        self._sessions.closed(self.pid)


def reap_orphans(known: set[int]) -> None:
    """Collects adopted processes that have ended.

    Args:
        known: children that somebody else waits for.
    """
    _collect(set(children()) - known)


def _collect(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
