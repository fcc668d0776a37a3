"""What takes long, said while it takes long."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

REFRESH_SECONDS: Final = 1.0
"""How often the elapsed time on a terminal's line moves."""


def elapsed(seconds: float) -> str:
    """A duration as people read it.

    Args:
        seconds: how long.

    Returns:
        ``0.8s``, ``12s`` or ``3m05s``.
    """
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


class Progress:
    """Writes one line a step.

    On a terminal the line is there from the start of the step and its time
    moves; elsewhere a step is one line when it begins and one when it has ended.

    Attributes:
        stream: where the lines go; None is silence.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream

    @classmethod
    def on_standard_error(cls) -> Progress:
        """The progress of a program that a person started."""
        return cls(sys.stderr)

    def note(self, line: str) -> None:
        """Writes one whole line.

        Args:
            line: without its end.
        """
        if self.stream is not None:
            self.stream.write(f"{line}\n")
            self.stream.flush()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Shows a step while the block runs.

        Args:
            name: what is being done, such as ``building etcd``.
        """
        started = time.monotonic()
        ended = threading.Event()
        ticker: threading.Thread | None = None
        if self.stream is not None and self.stream.isatty():
            ticker = threading.Thread(target=self._tick, args=(name, started, ended), daemon=True)
            ticker.start()
        else:
            self.note(f"{name} …")
        outcome = "failed"
        try:
            yield
            outcome = "done"
        finally:
            ended.set()
            if ticker is not None:
                ticker.join()
                self._overwrite("")
            self.note(f"{name}: {outcome} in {elapsed(time.monotonic() - started)}")

    def _tick(self, name: str, started: float, ended: threading.Event) -> None:
        while True:
            self._overwrite(f"{name} … {elapsed(time.monotonic() - started)}")
            if ended.wait(REFRESH_SECONDS):
                return

    def _overwrite(self, line: str) -> None:
        if self.stream is not None:
            self.stream.write(f"\r\x1b[2K{line}")
            self.stream.flush()
