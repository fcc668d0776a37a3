"""What goes wrong here, as one line for a person."""

from __future__ import annotations


class LocalNodeError(Exception):
    """The site did not start, or is not in the state that was asked for; the text says why."""
