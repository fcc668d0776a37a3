"""The migrator's benchmark: from an empty database to head, and at head with nothing to do."""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import time
from typing import TYPE_CHECKING, Any

import psycopg

from local_benchmark import contestant, trees
from local_benchmark.errors import BenchmarkError
from local_benchmark.installation import install
from local_benchmark.measurement import measure, median
from local_benchmark.table import Row
from local_kubernetes.errors import ToolMissingError
from local_kubernetes.progress import Progress
from local_programs.program import GOLANG_MIGRATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import LiteralString

    from local_benchmark.contestant import Contestant
    from local_benchmark.databases import Databases
    from local_benchmark.distance import Distance
    from local_benchmark.installation import Installation
    from local_benchmark.measurement import Measurement

_MEMORY = 70 << 20
_AT_HEAD = 3.0
_BUDGETS = {("sql", 100): 0.8, ("sql", 1000): 0.65, ("python", 100): 1.3, ("python", 1000): 1.0}
_NOTHING_TO_DO = 21
_ASKED = 200
_REPETITIONS = {1: 9, 100: 7, 1000: 3}


class MigratorBenchmark:
    """Measures all programs on one server.

    Args:
        databases: makes databases on it.
        folder: for trees; empty.
        say: told what is measured now.
    """

    def __init__(self, databases: Databases, folder: Path, say: Callable[[str], None]) -> None:
        self._databases = databases
        self._folder = folder
        self._say = say
        self._installation: Installation = install()
        self._reference: Contestant | None = None
        try:
            program = GOLANG_MIGRATE.locate(Progress.on_standard_error())
        except ToolMissingError:
            say("there is no Go, so no golang-migrate to compare with")
        else:
            self._reference = contestant.golang_migrate(program)

    def server(self) -> str:
        """Return what the figures depend on most: which server, and what a commit takes there.

        A program that commits once a revision gains more, the more a commit takes.
        """
        with psycopg.connect(self._databases.new(), autocommit=True) as connection:
            connection.execute("CREATE TABLE t (id int)")
            commit = _milliseconds(connection, "INSERT INTO t VALUES (1)")
            number = connection.info.server_version
        return f"PostgreSQL {number // 10000}.{number % 10000}, a commit takes {commit:.2f} ms"

    def question(self, distance: Distance | None = None) -> float:
        """Return how long the simplest question takes, in milliseconds, with a distance or without."""
        url = self._databases.new()
        seen = url if distance is None else distance.url(url)
        with psycopg.connect(seen, autocommit=True) as connection:
            return _milliseconds(connection, "SELECT 1")

    def rows(self, counts: Sequence[int]) -> Iterator[Row]:
        """Yield the figures with the server next door, for trees of each of these lengths."""
        for count in counts:
            places = self._places(count)
            yield from self._up(count, places)
            yield from self._nothing(count, places)

    def far_rows(self, counts: Sequence[int], distance: Distance) -> Iterator[Row]:
        """Yield the figures of ``up`` at a distance from the server, which its budgets are for."""
        for count in counts:
            yield from self._up(count, self._places(count), distance)

    @functools.cache  # noqa: B019 - there is one, and it lives as long as the program
    def _places(self, count: int) -> dict[str, Path]:
        """Write the trees of a length; return where each kind is."""
        folder = self._folder / str(count)
        places = {
            "sql": trees.write_sql(folder / "sql", count),
            "python": trees.write_python(folder / "python", count),
            "": folder,
        }
        for kind in ("sql", "python"):
            self._run(
                self._installation.python, "-m", "schema_migrator.manifest", f"{places[kind]}/"
            )
        return places

    def _present(self, *several: Contestant | None) -> list[Contestant]:
        return [one for one in several if one is not None]

    def _up(
        self, count: int, places: dict[str, Path], distance: Distance | None = None
    ) -> Iterator[Row]:
        """Yield the figures of an empty database brought to head."""
        several = self._present(
            self._reference,
            *contestant.ours(self._installation),
            contestant.alembic(self._installation),
        )
        repetitions = max(
            number for limit, number in _REPETITIONS.items() if limit >= min(count, 1000)
        )
        taken: dict[str, list[Measurement]] = {one.name: [] for one in several}
        self._say(f"up, {count}: {repetitions} times{' at a distance' if distance else ''}")
        for turn in range(repetitions):
            # Each turn begins with another one: who follows whom shall not matter.
            for one in several[turn % len(several) :] + several[: turn % len(several)]:
                url = self._databases.new()
                seen = url if distance is None else distance.url(url)
                taken[one.name].append(self._measured(one, places, seen))
        budgets = {} if distance is None else _BUDGETS
        yield from self._as_rows(
            f"up, {count}", several, taken, lambda one: budgets.get((one.tree, count))
        )

    def _nothing(self, count: int, places: dict[str, Path]) -> Iterator[Row]:
        """Yield the figures of a database that is at head."""
        several = self._present(
            self._reference,
            *contestant.ours(self._installation),
            contestant.launched(self._installation),
            contestant.bare_driver(self._installation),
            contestant.alembic(self._installation),
        )
        urls = {}
        for one in several:
            urls[one.name] = self._databases.new()
            self._measured(one, places, urls[one.name])
        taken: dict[str, list[Measurement]] = {one.name: [] for one in several}
        self._say(f"nothing to do, {count}: {_NOTHING_TO_DO} times")
        for _ in range(_NOTHING_TO_DO):
            for one in several:
                taken[one.name].append(self._measured(one, places, urls[one.name]))
        yield from self._as_rows(f"nothing to do, {count}", several, taken, lambda _one: _AT_HEAD)

    def _as_rows(
        self,
        work: str,
        several: Sequence[Contestant],
        taken: dict[str, list[Measurement]],
        budget: Callable[[Contestant], float | None],
    ) -> Iterator[Row]:
        reference = None if self._reference is None else median(taken[self._reference.name])
        for one in several:
            yield Row(
                work=work,
                name=one.name,
                taken=median(taken[one.name]),
                reference=reference,
                budget=budget(one) if one.is_ours else None,
                memory_budget=_MEMORY if one.is_ours else None,
            )

    def _measured(self, one: Contestant, places: dict[str, Path], url: str) -> Measurement:
        return measure(one.command(places[one.tree], url), {"DATABASE_URL": url})

    def _run(self, *command: str | Path) -> None:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise BenchmarkError(ended.stderr.strip() or f"{command[0]} failed")


def _milliseconds(connection: psycopg.Connection[Any], statement: LiteralString) -> float:
    """Return how long a statement takes, the median of many."""
    taken = []
    for _ in range(_ASKED):
        started = time.perf_counter()
        connection.execute(statement)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def conditions() -> str:
    """Return what the figures depend on: processors and load."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{os.cpu_count()} processors, load {load}"
