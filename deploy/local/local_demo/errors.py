"""What can keep the demo from running."""

from __future__ import annotations


class DemoError(Exception):
    """The demo can't go on; the text says why, in one line."""
