"""Durations with a unit, as ``15m``, ``500ms`` or ``1h30m``.

A bare number is an error, because it means something else everywhere: to
PostgreSQL ``lock_timeout = 5`` is five milliseconds, to other migrators five
seconds.
"""

from __future__ import annotations

import re

_PATTERN = re.compile(r"(?:[0-9]{1,5}(?:ms|s|m|h)){1,4}")
_PART = re.compile(r"([0-9]{1,5})(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse(text: str) -> float:
    """Return the seconds that ``text`` means.

    Raises:
        ValueError: it is no duration with a unit; the message says what one looks like.
    """
    if not _PATTERN.fullmatch(text):
        raise ValueError("needs a number and a unit, such as 500ms, 30s, 15m or 1h")
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def show(seconds: float) -> str:
    """Return seconds as a short text for people: ``0.4s``, ``12.0s``, ``3m05s``, ``2h10m``."""
    tenth, minute, hour = 0.1, 60, 3600
    if seconds < tenth:
        return f"{seconds * 1000:.0f}ms"
    if seconds < minute:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < hour:
        return f"{whole // minute}m{whole % minute:02d}s"
    return f"{whole // hour}h{whole % hour // minute:02d}m"
