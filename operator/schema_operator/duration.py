"""Durations as the resource writes them: ``15m``, ``1h30m``, ``250ms``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from schema_operator import errors

PATTERN: Final = "^([0-9]{1,5}(ms|s|m|h)){1,4}$"
"""What the resource accepts: one to four numbers of at most five digits, each with a unit."""

MAXIMUM_LENGTH: Final = 32
"""The longest text that `PATTERN` can match is shorter than this."""

_WHOLE: Final = re.compile(PATTERN.replace("$", r"\Z"), re.ASCII)
_PART: Final = re.compile("([0-9]+)(ms|s|m|h)", re.ASCII)
_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}


def parse(text: str) -> timedelta:
    """Return the duration that a text says; its parts add up, in any order.

    Raises:
        DurationError: the text is no duration.
    """
    if not _WHOLE.match(text):
        raise errors.DurationError(
            f"{text!r} is no duration: write numbers with units, as 90s, 15m or 1h30m"
        )
    parts = (int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return sum(parts, start=timedelta())


def render(value: timedelta) -> str:
    """Return the shortest text that `parse` reads as this duration; less than 1ms is dropped."""
    milliseconds = value // _UNITS["ms"]
    text = ""
    for unit in ("h", "m", "s", "ms"):
        number, milliseconds = divmod(milliseconds, _UNITS[unit] // _UNITS["ms"])
        if number:
            text += f"{number}{unit}"
    return text or "0s"
