"""What a person sees while it takes long."""

from __future__ import annotations

import io

import pytest

from local_kubernetes.progress import Progress, elapsed


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0s"), (9.94, "9.9s"), (12.7, "12s"), (185, "3m05s")]
)
def test_a_duration_is_short(seconds: float, words: str) -> None:
    assert elapsed(seconds) == words


def test_a_step_is_two_lines_where_nobody_watches() -> None:
    stream = io.StringIO()

    with Progress(stream).step("building"):
        assert stream.getvalue() == "building …\n"

    assert stream.getvalue().splitlines()[1].startswith("building: done in ")


def test_a_step_is_one_line_on_a_terminal() -> None:
    stream = Terminal()

    with Progress(stream).step("building"):
        pass

    shown = stream.getvalue().rpartition("\r\x1b[2K")[2]
    assert shown.startswith("building: done in ")
    assert shown.count("\n") == 1


def test_a_step_that_fails_says_so() -> None:
    stream = io.StringIO()

    with pytest.raises(ZeroDivisionError), Progress(stream).step("building"):
        _ = 1 / 0

    assert "building: failed in" in stream.getvalue()
