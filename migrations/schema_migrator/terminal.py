"""What a stream can show: colour, a line that is written over, and how wide it is."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """A stream as a person sees it; by default one that nobody looks at.

    Attributes:
        is_live: whether a line can be written over.
        is_coloured: whether colours are shown.
    """

    is_live: bool = False
    is_coloured: bool = False

    def paint(self, text: str, colour: str) -> str:
        """Return a text in a colour, where colours are shown.

        Args:
            text: the text.
            colour: ``red``, ``green``, ``yellow``, ``dim`` or ``bold``.
        """
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.is_coloured else text

    @property
    def width(self) -> int | None:
        """Columns; None where nobody looks, and nothing need be cut."""
        return shutil.get_terminal_size().columns if self.is_live else None


def look_at(stream: TextIO, environment: Mapping[str, str]) -> Terminal:
    """Return what a stream can show.

    Args:
        stream: standard output or standard error.
        environment: the process's environment; ``NO_COLOR`` (with any value)
            and ``TERM=dumb`` are respected.
    """
    live = stream.isatty() and environment.get("TERM", "dumb") != "dumb"
    return Terminal(is_live=live, is_coloured=live and not environment.get("NO_COLOR"))
