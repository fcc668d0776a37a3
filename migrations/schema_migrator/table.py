"""Rows of texts as aligned lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema_migrator.terminal import Terminal

Cell = tuple[str, str]
"""A text and its colour; an empty colour for none."""

_GAP = "  "


def render(heading: Sequence[str], rows: Sequence[Sequence[Cell]], terminal: Terminal) -> list[str]:
    """Return the lines of a table, its last column cut where the terminal ends.

    Args:
        heading: the columns' names.
        rows: the cells of each row, as many as there are columns.
        terminal: where it is shown.
    """
    cells: list[Sequence[Cell]] = [[(name, "bold") for name in heading], *rows]
    widths = [max(len(row[column][0]) for row in cells) for column in range(len(heading))]
    room = None
    if terminal.width is not None:
        room = max(terminal.width - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1), 8)
    return [_line(row, widths, room, terminal) for row in cells]


def _line(row: Sequence[Cell], widths: Sequence[int], room: int | None, terminal: Terminal) -> str:
    last = len(row) - 1
    parts = []
    for column, (text, colour) in enumerate(row):
        shown = text
        if column == last:
            if room is not None and len(text) > room:
                shown = text[: room - 1] + "…"
        else:
            shown = text.ljust(widths[column])
        # The padding is painted too, so that only whole cells carry codes.
        parts.append(terminal.paint(shown, colour) if colour and shown.strip() else shown)
    return _GAP.join(parts).rstrip()
