"""Moments as the API server writes them: in UTC and in whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def stamp(moment: datetime) -> str:
    """Return a moment as text, its fraction of a second left out: ``2026-03-01T12:00:00Z``."""
    # strftime would take five times as long, and one status has ten of these.
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def rounded_up(moment: datetime) -> datetime:
    """Return the first whole second that is not before a moment."""
    return moment.replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)
