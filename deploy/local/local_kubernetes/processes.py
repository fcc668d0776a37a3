"""Processes of this machine: born tied to a parent, known by pid and birth, ended by id.

A pid alone is no identity: the kernel gives it out again. What is ended here is
always the process that had both that pid and that start time.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_STRAYS_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02

_STAT_STATE: Final = 0
_STAT_PARENT: Final = 1
_STAT_SESSION: Final = 3
_STAT_START_TIME: Final = 19


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """One process and no later one of the same pid.

    Attributes:
        pid: the process id.
        started: the kernel's start time in clock ticks since boot.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this pid now.

        Args:
            pid: the process id.

        Returns:
            None if there is none, or only its exit code is left.
        """
        fields = _stat(pid)
        if fields is None or fields[_STAT_STATE] == "Z":
            return None
        return cls(pid, int(fields[_STAT_START_TIME]))

    @classmethod
    def own(cls) -> Identity:
        """This process."""
        identity = cls.of(os.getpid())
        if identity is None:
            raise RuntimeError("/proc does not show this process")
        return identity

    @classmethod
    def read(cls, document: dict[str, Any]) -> Identity:
        """Takes up what :func:`dataclasses.asdict` made.

        Args:
            document: ``pid`` and ``started``.
        """
        return cls(int(document["pid"]), int(document["started"]))

    def alive(self) -> bool:
        """Whether it still runs."""
        return Identity.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to it, and to no other process.

        Args:
            number: which.
        """
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                # The handle pins the process, so the comparison can't go stale.
                if self.alive():
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)

    def wait(self, seconds: float) -> bool:
        """Waits until it has ended.

        Args:
            seconds: at most this long.

        Returns:
            Whether it has.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if self.alive():
                # Readable at its end, also while a parent has yet to reap it.
                select.select([handle], [], [], seconds)
            return not self.alive()
        finally:
            os.close(handle)

    def end(self, grace_seconds: float) -> None:
        """Ends it: SIGTERM, then SIGKILL.

        Args:
            grace_seconds: how long it has between the two.
        """
        self.signal(signal.SIGTERM)
        if not self.wait(grace_seconds):
            self.signal(signal.SIGKILL)
            self.wait(grace_seconds)


def dies_with_parent() -> Callable[[], None]:
    """A ``preexec_fn``: the kernel kills the child when its parent ends, however it ends.

    The child must be started from a thread that lives as long as the parent.
    Elsewhere than on Linux it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    parent = os.getpid()
    # Looked up before the fork: a child may not load anything.
    prctl = ctypes.CDLL(None).prctl

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call
            os.kill(os.getpid(), signal.SIGKILL)

    return arm


def become_reaper() -> None:
    """Makes orphans of this process's descendants its children, instead of init's."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> list[int]:
    """The children of this process, adopted ones too."""
    own = os.getpid()
    return [
        pid
        for pid in _all_processes()
        if (fields := _stat(pid)) is not None and int(fields[_STAT_PARENT]) == own
    ]


def belongs_to(pid: int, sessions: set[int], folder: str) -> bool:
    """Whether a process came from a container.

    Args:
        pid: the process.
        sessions: the sessions of the containers meant.
        folder: the folder that stands in their environment, for those that left the session.
    """
    fields = _stat(pid)
    if fields is None or fields[_STAT_STATE] == "Z":
        return False
    if int(fields[_STAT_SESSION]) in sessions:
        return True
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"={folder}/".encode() in environment


def kill_strays(sessions: set[int], folder: str) -> None:
    """Kills all that containers left behind; what it forks meanwhile too.

    A session's id is not given out again as long as one member lives.

    Args:
        sessions: the sessions of the containers.
        folder: the folder that stands in their environment.
    """
    deadline = time.monotonic() + _STRAYS_SECONDS
    while time.monotonic() < deadline:
        strays = [pid for pid in _all_processes() if belongs_to(pid, sessions, folder)]
        if not strays:
            return
        for pid in strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - 4 x faster


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold spaces and brackets; what follows holds none.
    return text.rpartition(")")[2].split()
