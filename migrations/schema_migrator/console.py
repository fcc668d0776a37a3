"""Where a run's words go: a terminal or log, and the result file."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING

from schema_migrator import result
from schema_migrator.duration import show
from schema_migrator.result import Outcome, Result
from schema_migrator.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.observer import Activity
    from schema_migrator.tree import Step

PLAIN = Terminal()
_CLEAR = "\r\x1b[K"
"""Goes back to the beginning of a line, and empties it."""


class Console:
    """What a person at a terminal, or the reader of a log, is told meanwhile.

    On a terminal a line at the bottom says what takes long, and is written over.
    In a log there is a line each time that something changes.

    Args:
        redact: takes secrets out of a text.
        terminal: what standard error can show.
    """

    def __init__(self, redact: Callable[[str], str], terminal: Terminal = PLAIN) -> None:
        self._redact = redact
        self._terminal = terminal
        # The observer speaks from a thread of its own.
        self._speaking = threading.RLock()
        self._is_live_line_shown = False
        self._step = ""
        self._told: tuple[object, ...] = ()

    def _say(self, text: str, colour: str = "") -> None:
        line = f"migrate: {self._redact(text)}"
        with self._speaking:
            self._clear()
            shown = self._terminal.paint(line, colour) if colour else line
            print(shown, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._is_live_line_shown:
            self._is_live_line_shown = False
            print(_CLEAR, end="", file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        """Say what a person should know, though the run goes on."""
        self._say(f"warning: {message}", "yellow")

    def waiting(self, message: str) -> None:
        """Say whom or what the run waits for."""
        self._say(message, "yellow")

    def started(self, step: Step) -> None:
        """Say that a step begins."""
        self._step, self._told = f"{step.revision} {step.direction}", ()
        self._say(f"{self._step}: {step.title}")

    def ended(self, step: Step, seconds: float) -> None:
        """Say that a step was applied."""
        self._say(f"{step.revision} {step.direction}: done in {show(seconds)}", "green")

    def activity(self, activity: Activity) -> None:
        """Say what takes long: on a terminal each time, in a log when it changes."""
        doing = ""
        if activity.phase is not None:
            doing = activity.phase
            doing += f", {activity.percent} %" if activity.percent is not None else ""
        if activity.waits_for:
            doing += f"{'; ' if doing else ''}waiting for {', '.join(activity.waits_for)}"
        with self._speaking:
            width = self._terminal.width
            if width is not None:
                text = f"{self._step}: {show(activity.seconds)} {doing or 'running'}: {activity.statement}"
                line = f"migrate: {self._redact(text)}"[: width - 1]
                print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)
                self._is_live_line_shown = True
                return
            # A transaction's age changes all the time; who it is does not.
            told = (activity.phase, *(one.partition(", ")[0] for one in activity.waits_for))
            if doing and told != self._told:
                self._told = told
                self._say(f"{self._step}: {doing}")

    def close(self) -> None:
        """Take the live line away."""
        with self._speaking:
            self._clear()


class ResultFile:
    """The file that the result goes to.

    It is overwritten in place with one call, because a container's termination
    log is a mount and can't be replaced, and a reader must never find it empty.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._written = threading.Lock()
        self._final = False

    def write(self, report: Result) -> None:
        """Write a result; a final one is never overwritten."""
        if self._path is None:
            return
        with self._written:
            if self._final:
                return
            self._final = report.outcome is not Outcome.STARTED
            data = result.encode(report)
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
                try:
                    os.write(descriptor, data)
                    # A termination log may be a pipe or a device in some runtimes.
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, len(data))
                finally:
                    os.close(descriptor)
            except OSError as error:
                print(
                    f"migrate: warning: the result file can't be written: {error.strerror}",
                    file=sys.stderr,
                )
