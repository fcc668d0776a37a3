"""Durations: what is one, what it says, and that the API server agrees."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schema_operator import duration
from schema_operator.errors import DurationError

GOOD = {
    "0s": timedelta(0),
    "250ms": timedelta(milliseconds=250),
    "90s": timedelta(seconds=90),
    "15m": timedelta(minutes=15),
    "1h30m": timedelta(minutes=90),
    "1h1m1s1ms": timedelta(hours=1, minutes=1, seconds=1, milliseconds=1),
    "1s1h": timedelta(hours=1, seconds=1),
    "1m1m": timedelta(minutes=2),
    "99999h": timedelta(hours=99999),
    "00005s": timedelta(seconds=5),
    "1ms1ms1ms1ms": timedelta(milliseconds=4),
}
BAD = [
    "",
    "5",
    "s",
    "5 s",
    "-5s",
    "+5s",
    "1.5s",
    "5d",
    "100000s",
    "1h1m1s1ms1s",
    "5S",
    "٣s",
    "5s\n",
]


@pytest.mark.parametrize(("text", "value"), GOOD.items(), ids=GOOD)
def test_a_duration_is_read(text: str, value: timedelta) -> None:
    assert duration.parse(text) == value


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(DurationError):
        duration.parse(text)


@pytest.mark.parametrize("value", GOOD.values(), ids=GOOD)
def test_a_duration_is_written_as_it_is_read(value: timedelta) -> None:
    assert duration.parse(duration.render(value)) == value


def test_the_longest_duration_fits_the_fields() -> None:
    assert len("99999ms" * 4) <= duration.MAXIMUM_LENGTH
