"""The figures as a table, with each budget beside what it bounds."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_benchmark.measurement import Measurement

_MEBIBYTE = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one program took for one piece of work.

    Attributes:
        work: the piece of work.
        name: the program.
        taken: the median of its runs.
        reference: golang-migrate's median; None where that is not there.
        budget: the most that its time may be, as a multiple of the reference's.
        memory_budget: the most bytes at the peak.
    """

    work: str
    name: str
    taken: Measurement
    reference: Measurement | None
    budget: float | None = None
    memory_budget: int | None = None

    @property
    def ratio(self) -> float | None:
        """Its time as a multiple of the reference's."""
        return None if self.reference is None else self.taken.seconds / self.reference.seconds

    @property
    def missed(self) -> bool:
        """Whether a budget is missed."""
        slow = self.budget is not None and self.ratio is not None and self.ratio > self.budget
        return slow or (self.memory_budget is not None and self.taken.memory > self.memory_budget)


def render(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = [("work", "program", "ms", "CPU ms", "ratio", "budget", "peak MiB", "budget MiB", "")]
    previous = ""
    for row in rows:
        bounded = row.budget is not None or row.memory_budget is not None
        cells.append(
            (
                row.work if row.work != previous else "",
                row.name,
                f"{row.taken.seconds * 1000:.0f}",
                f"{row.taken.cpu * 1000:.0f}",
                "" if row.ratio is None else f"{row.ratio:.2f}",
                "" if row.budget is None else f"{row.budget:.2f}",
                f"{row.taken.memory / _MEBIBYTE:.0f}",
                "" if row.memory_budget is None else f"{row.memory_budget / _MEBIBYTE:.0f}",
                ("missed" if row.missed else "met") if bounded else "",
            )
        )
        previous = row.work
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = (0, 1, len(widths) - 1)
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in cells
    ]
    rule = "|".join(
        "-" * (width + 2) if place in left else "-" * (width + 1) + ":"
        for place, width in enumerate(widths)
    )
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])
