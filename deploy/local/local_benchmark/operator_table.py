"""The operators' figures as a table, their ratios, and the budgets."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from local_benchmark.operator import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from local_benchmark.operator import Figures

_MEBIBYTE: Final = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One kind of figure.

    Attributes:
        title: for the table, with the unit.
        value: reads it; None where a piece of work has no such figure.
        digits: behind the point.
    """

    title: str
    value: Callable[[Figures], float | None]
    digits: int


def _latency(
    choose: Callable[[Figures], Sequence[float]], share: int
) -> Callable[..., float | None]:
    def read(figures: Figures) -> float | None:
        values = choose(figures)
        return percentile(values, share) * 1000 if values else None

    return read


COLUMNS: Final = (
    Column("seconds", lambda one: one.seconds, 1),
    Column("start p50 ms", _latency(lambda one: one.start, 50), 0),
    Column("start p99 ms", _latency(lambda one: one.start, 99), 0),
    Column("report p50 ms", _latency(lambda one: one.report, 50), 0),
    Column("report p99 ms", _latency(lambda one: one.report, 99), 0),
    Column("CPU s", lambda one: one.cpu, 2),
    Column("CPU ms a run", lambda one: one.cpu / one.runs * 1000 if one.runs else None, 1),
    Column("peak MiB", lambda one: one.peak / _MEBIBYTE, 0),
    Column("writes", lambda one: one.writes, 2),
    Column("reads", lambda one: one.reads, 2),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """The most that one figure may be.

    Attributes:
        what: in words.
        seen: the figure.
        most: its bound.
    """

    what: str
    seen: float
    most: float

    @property
    def missed(self) -> bool:
        """Whether it is exceeded."""
        return self.seen > self.most

    def __str__(self) -> str:
        word = "missed" if self.missed else "met"
        return f"{word}: {self.what}: {self.seen:.4g}, at most {self.most:g}"


def budgets(ours: Iterable[Figures]) -> list[Budget]:
    """Return the budgets of our operator beside its figures; ratios have none."""
    found = []
    for one in ours:
        mebibytes = one.peak / _MEBIBYTE
        if one.runs:
            found += [
                Budget(f"{one.work}: writes a run", one.writes, 3),
                Budget(f"{one.work}: reads a run", one.reads, 0),
            ]
        if one.work == "1":
            found += [
                Budget("1: start, p99 ms", percentile(one.start, 99) * 1000, 50),
                Budget("1: report, p99 ms", percentile(one.report, 99) * 1000, 50),
            ]
        elif one.work == "1000":
            found.append(Budget("1000: CPU s", one.cpu, 4))
        elif one.work == "idle":
            found.append(Budget("idle: peak MiB", mebibytes, 80))
        elif not one.runs:
            found += [
                Budget(f"{one.work}: writes", one.writes, 0),
                Budget(f"{one.work}: peak MiB", mebibytes, 120),
            ]
    return found


def render(rows: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table; the second operator of a work is the reference."""
    cells = [["resources", "operator", *(column.title for column in COLUMNS)]]
    works = list(dict.fromkeys(row.work for row in rows))
    for work in works:
        of_work = [row for row in rows if row.work == work]
        for place, row in enumerate(of_work):
            values = [_text(column.value(row), column.digits) for column in COLUMNS]
            cells.append([work if place == 0 else "", row.name, *values])
        if len(of_work) > 1:
            ours, reference = of_work
            ratios = [_ratio(column.value(ours), column.value(reference)) for column in COLUMNS]
            cells.append(["", "ratio", *ratios])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)  # noqa: PLR2004 - names, then figures
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in cells
    ]
    rule = "|".join(
        "-" * (width + 2) if place < 2 else "-" * (width + 1) + ":"  # noqa: PLR2004 - as above
        for place, width in enumerate(widths)
    )
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _ratio(ours: float | None, reference: float | None) -> str:
    return f"{ours / reference:.2f}" if ours is not None and reference else ""
