"""The clock that the operator goes by: set by the API server's answers, never by this machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schema_operator.clock import Clock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Machine:
    """A machine whose clocks are set by the test."""

    def __init__(self, wall: datetime) -> None:
        self.up = 5000.0
        self.wall = wall
        self.clock = Clock(lambda: self.up, self._wall)

    def _wall(self) -> float:
        return self.wall.timestamp()

    def hear(self, moment: datetime, *, way: float = 0.0) -> None:
        """Have an answer that the server dated at a moment, and that took some seconds."""
        asked = self.up
        self.up += way
        self.clock.hear(moment.strftime("%a, %d %b %Y %H:%M:%S GMT"), asked)


def test_until_the_server_has_answered_it_is_the_machines_own() -> None:
    assert Machine(NOON).clock.now() == NOON


@pytest.mark.parametrize(
    ("own", "told"),
    [
        pytest.param(NOON - timedelta(hours=3), NOON, id="the machine's clock is late"),
        pytest.param(NOON + timedelta(hours=3), NOON + timedelta(seconds=1), id="it is early"),
        pytest.param(NOON + timedelta(seconds=0.4), NOON + timedelta(seconds=0.4), id="it agrees"),
    ],
)
def test_the_servers_date_counts_within_the_second_that_it_leaves_open(
    own: datetime, told: datetime
) -> None:
    machine = Machine(own)
    machine.hear(NOON)
    assert machine.clock.now() == told


def test_the_machines_clock_is_not_looked_at_again() -> None:
    machine = Machine(NOON)
    machine.hear(NOON)
    machine.wall += timedelta(days=1)
    machine.up += 30
    assert machine.clock.now() == NOON + timedelta(seconds=30)


def test_an_answer_that_was_long_on_its_way_does_not_set_the_clock_back() -> None:
    machine = Machine(NOON)
    machine.hear(NOON, way=60)
    assert machine.clock.now() == NOON + timedelta(seconds=60)


def test_the_clock_follows_where_the_servers_own_is_set() -> None:
    machine = Machine(NOON)
    machine.hear(NOON + timedelta(hours=1))
    assert machine.clock.now() == NOON + timedelta(hours=1)
    machine.up += 5
    machine.hear(NOON)
    assert machine.clock.now() == NOON + timedelta(seconds=1)


@pytest.mark.parametrize("date", ["", "soon", "Sun, 99 Mar 2026 12:00:00 GMT"])
def test_a_date_that_is_none_is_passed_over(date: str) -> None:
    machine = Machine(NOON)
    machine.clock.hear(date, machine.up)
    assert machine.clock.now() == NOON
