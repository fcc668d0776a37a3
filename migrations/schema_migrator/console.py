"""Where a run's words go: a terminal or log, and the result file."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING

from schema_migrator import result
from schema_migrator.result import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.tree import Step


class Console:
    """What a person at a terminal, or the reader of a log, is told meanwhile."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def _say(self, text: str) -> None:
        print(f"migrate: {self._redact(text)}", file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        """Say what a person should know, though the run goes on."""
        self._say(f"warning: {message}")

    def waiting(self, message: str) -> None:
        """Say whom or what the run waits for."""
        self._say(message)

    def started(self, step: Step) -> None:
        """Say that a step begins."""
        self._say(f"{step.revision} {step.direction}: {step.title}")

    def ended(self, step: Step, seconds: float) -> None:
        """Say that a step was applied."""
        from schema_migrator.duration import show

        self._say(f"{step.revision} {step.direction}: done in {show(seconds)}")


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
