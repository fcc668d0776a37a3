"""The present moment, by the clock of the API server.

What the operator compares the present with was written in the cluster: when a
Job was made, when a container started, when the next attempt is due. This
machine's own clock may be set forward or back at any time, or be wrong from the
start, and then a sound run would be stopped, or the next attempt wait for hours.
So each answer of the API server, which bears its date, sets this clock, and
between two answers it goes on by a clock that nobody sets.
"""

from __future__ import annotations

import email.utils
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ERA: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RESOLUTION_SECONDS: Final = 1.0
"""A date in HTTP is in whole seconds (RFC 9110, 5.6.7)."""


def elapsed() -> float:
    """Return seconds since some moment of the past, by a clock that is never set and never rests."""
    # That of time.monotonic() stands still while a machine is suspended.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """Tells the present moment; until the API server has answered, by this machine's clock.

    Args:
        elapsed: a steady clock, in seconds.
        wall: this machine's clock, in seconds since 1970.
    """

    def __init__(
        self,
        elapsed: Callable[[], float] = elapsed,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._elapsed = elapsed
        self._ahead = wall() - elapsed()
        self._heard = ""

    def now(self) -> datetime:
        """Return the present moment, at most a second and the way of one answer off."""
        return _ERA + timedelta(seconds=self._ahead + self._elapsed())

    def elapsed(self) -> float:
        """Return the steady clock's seconds, to be given to `hear` with the answer."""
        return self._elapsed()

    def hear(self, date: str, asked: float) -> None:
        """Be set by an answer of the API server.

        The server wrote the date after it was asked, and before the answer came:
        between these bounds the clock is left alone, else it is set to the nearer one.

        Args:
            date: the answer's header of that name; what can't be read is passed over.
            asked: what `elapsed` gave before the request was sent.
        """
        if date == self._heard:
            return  # nothing new: the bounds of the first answer of a second are the closer ones
        try:
            written = email.utils.parsedate_to_datetime(date)
        except ValueError:
            return
        self._heard = date
        seconds = (written.replace(tzinfo=written.tzinfo or UTC) - _ERA).total_seconds()
        earliest = seconds - self._elapsed()
        latest = seconds + _RESOLUTION_SECONDS - asked
        self._ahead = min(max(self._ahead, earliest), latest)
