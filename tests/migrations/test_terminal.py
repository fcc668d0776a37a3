"""What is shown on a terminal, and what is not where nobody looks."""

from __future__ import annotations

import io

import pytest

from schema_migrator.table import render
from schema_migrator.terminal import Terminal, look_at


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


CASES = {
    "a terminal": (_Screen(), {"TERM": "xterm"}, Terminal(is_live=True, is_coloured=True)),
    "a terminal without colour": (
        _Screen(),
        {"TERM": "xterm", "NO_COLOR": "1"},
        Terminal(is_live=True, is_coloured=False),
    ),
    "a dumb terminal": (_Screen(), {"TERM": "dumb"}, Terminal()),
    "no TERM": (_Screen(), {}, Terminal()),
    "a pipe": (io.StringIO(), {"TERM": "xterm"}, Terminal()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stream_shows_what_it_can(case: str) -> None:
    stream, environment, expected = CASES[case]

    assert look_at(stream, environment) == expected


def test_a_table_is_aligned_and_not_cut_where_nobody_looks() -> None:
    lines = render(("a", "long name"), [[("first", "red"), ("x" * 300, "")]], Terminal())

    assert lines == ["a      long name", "first  " + "x" * 300]


def test_a_table_ends_where_the_terminal_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    live = Terminal(is_live=True)

    lines = render(("a", "b"), [[("first", ""), ("x" * 300, "")]], live)

    assert lines[1] == "first  " + "x" * 12 + "…"
    assert len(lines[1]) == 20


def test_colours_surround_whole_cells_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    coloured = Terminal(is_live=True, is_coloured=True)

    lines = render(("state", "b"), [[("ok", "green"), ("", "red")]], coloured)

    assert lines[1] == "\x1b[32mok   \x1b[0m"
