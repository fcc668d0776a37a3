"""The benchmark's parts: what is measured, what it is compared with, and what misses a budget."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from local_benchmark import trees
from local_benchmark.databases import Databases
from local_benchmark.distance import Distance
from local_benchmark.errors import BenchmarkError
from local_benchmark.measurement import Measurement, measure, median
from local_benchmark.table import Row, render
from schema_migrator import tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import Database


def row(
    seconds: float,
    *,
    budget: float | None = None,
    memory: int = 0,
    reference: float | None = 1.0,
) -> Row:
    return Row(
        work="up",
        name="migrate",
        taken=Measurement(seconds, 0.0, memory),
        reference=None if reference is None else Measurement(reference, 0.0, 0),
        budget=budget,
        memory_budget=70 << 20,
    )


def test_a_budget_is_met_up_to_its_value_and_missed_beyond() -> None:
    assert not row(0.8, budget=0.8).missed
    assert row(0.81, budget=0.8).missed
    assert row(0.1, budget=0.8, memory=(70 << 20) + 1).missed
    assert not row(9.0).missed
    assert not row(9.0, budget=0.8, reference=None).missed


def test_the_table_names_what_is_missed() -> None:
    text = render([row(0.5, budget=0.8), row(2.0, budget=0.8)])
    assert text.count("\n") == 3
    assert "0.50" in text
    assert "met" in text.splitlines()[2]
    assert "missed" in text.splitlines()[3]
    assert len({len(line) for line in text.splitlines()}) == 1


def test_a_median_is_of_each_figure_alone() -> None:
    several = [Measurement(1, 9, 5), Measurement(2, 8, 4), Measurement(9, 1, 6)]
    assert median(several) == Measurement(2, 8, 5)


def test_a_program_is_measured_from_its_start_to_its_end() -> None:
    code = "import time; held = bytearray(60_000_000); time.sleep(0.2)"

    taken = measure([sys.executable, "-c", code], {})

    assert 0.2 < taken.seconds < 20
    assert taken.cpu < taken.seconds
    assert 60_000_000 < taken.memory < 120_000_000


def test_the_one_who_measures_adds_little_to_the_peak() -> None:
    assert measure(["/bin/true"], {}).memory < 14 << 20


def test_a_program_that_fails_is_no_figure() -> None:
    with pytest.raises(BenchmarkError, match="failed: no"):
        measure([sys.executable, "-c", "import sys; sys.exit('no')"], {})


def test_both_kinds_of_tree_load(tmp_path: Path) -> None:
    for write in (trees.write_sql, trees.write_python):
        place = write(tmp_path / write.__name__, 12)
        assert tree.load(f"{place}/").heads == ("0012",)


@pytest.mark.parametrize("ends", [None, KeyboardInterrupt])
def test_databases_are_kept_until_nothing_is_measured_any_more(
    database: Database, ends: type[BaseException] | None
) -> None:
    def there(names: list[str]) -> int:
        with database.connect() as connection:
            query = "SELECT count(*) FROM pg_database WHERE datname = ANY (%s)"
            row = connection.execute(query, [names]).fetchone()
            assert row is not None
            return int(row[0])

    names: list[str] = []
    with contextlib.suppress(KeyboardInterrupt), Databases(database.url) as databases:
        names += [databases.new().rpartition("/")[2] for _ in range(2)]
        assert there(names) == 2
        if ends is not None:
            raise ends

    assert there(names) == 0


def test_at_a_distance_each_answer_takes_its_time(database: Database) -> None:
    with (
        Distance(database.url, 0.2) as distance,
        psycopg.connect(distance.url(database.url)) as far,
    ):
        started = time.monotonic()
        far.execute("SELECT 1")
        # The driver begins a transaction with a question of its own.
        assert time.monotonic() - started > 0.39


def test_help_says_what_is_measured() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "local_benchmark", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0
    assert "--check" in ended.stdout
