"""Stopping: signals, the run's own time, and a watchdog that makes sure of both.

SIGTERM, SIGINT and the end of the run's time raise `Stopped` in the main
thread. psycopg answers by cancelling the statement on the server; the run rolls
back, reads what is true and ends. A revision can hold that up (a bare
``except:``, a call that Python can't interrupt), so a thread waits beside it
and ends the process when it is not gone in time.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

from schema_migrator.errors import Stopped
from schema_migrator.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

GRACE = 1.7
"""Seconds from the signal until the watchdog ends the process; the promise is two."""


class Watch:
    """Watches over one process from before its first connection to its end.

    Args:
        on_overdue: called by the watchdog's thread when the main thread has not
            ended in time; returns the exit code. It has about 0.3 seconds.
    """

    def __init__(self, on_overdue: Callable[[Outcome], int]) -> None:
        self._on_overdue = on_overdue
        self._outcome: Outcome | None = None
        self._receiver, self._sender = socket.socketpair()
        self._ended = threading.Event()
        self._code: int | None = None

    @property
    def outcome(self) -> Outcome | None:
        """What the process was told to end with, None while it was told nothing."""
        return self._outcome

    def start(self, timeout: float | None) -> None:
        """Handle signals from now on.

        Args:
            timeout: seconds until the run's time is over; None without a bound.
        """
        self._sender.settimeout(0)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, self._handle)
        threading.Thread(target=self._wait, name="watchdog", daemon=True).start()
        if timeout is not None:
            # A little later than the run's own deadline, so that a wait that
            # watches the deadline itself ends by its own, better words.
            signal.setitimer(signal.ITIMER_REAL, timeout + 0.25)

    def end(self, code: int) -> None:
        """Tell the watchdog that the main thread is about to end by itself, with this exit code."""
        self._code = code
        self._ended.set()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._outcome is not None:
            return
        if number == signal.SIGALRM:
            self._outcome = Outcome.TIMEOUT
            raise Stopped(Outcome.TIMEOUT, "the run's time is over")
        self._outcome = Outcome.INTERRUPTED
        raise Stopped(Outcome.INTERRUPTED, f"stopped by {signal.Signals(number).name}")

    def _wait(self) -> None:
        stopping = {signal.SIGTERM, signal.SIGINT, signal.SIGALRM}
        while True:
            select.select([self._receiver], [], [])
            received = self._receiver.recv(64)
            if stopping.intersection(received):
                break
        first = Outcome.TIMEOUT if received[0] == signal.SIGALRM else Outcome.INTERRUPTED
        if self._ended.wait(GRACE):
            # The result is written. What can still hold the process up is a
            # thread of a revision's own, and nobody waits for that.
            time.sleep(0.25)
        os._exit(self._on_overdue(first) if self._code is None else self._code)
