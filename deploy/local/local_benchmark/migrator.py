"""The migrator's benchmark: from an empty database to head, and at head with nothing to do."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg

from local_benchmark import contestant, golang_migrate, trees
from local_benchmark.errors import BenchmarkError
from local_benchmark.installation import install
from local_benchmark.measurement import measure, median
from local_benchmark.table import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from local_benchmark.contestant import Contestant
    from local_benchmark.installation import Installation
    from local_benchmark.measurement import Measurement

_MEMORY = 70 << 20
_AT_HEAD = 3.0
_BUDGETS = {("sql", 100): 0.8, ("sql", 1000): 0.65, ("python", 100): 1.3, ("python", 1000): 1.0}
_NOTHING_TO_DO = 21
_COMMITS = 200
_REPETITIONS = {1: 9, 100: 7, 1000: 3}


class MigratorBenchmark:
    """Measures all programs on one server.

    Args:
        url: of a database on it, as a role that may create databases.
        folder: for trees; empty.
        say: told what is measured now.
    """

    def __init__(self, url: str, folder: Path, say: Callable[[str], None]) -> None:
        self._url = url
        self._folder = folder
        self._say = say
        self._installation: Installation = install()
        program = golang_migrate.locate()
        if program is None:
            say("there is no Go, so no golang-migrate to compare with")
        self._reference = None if program is None else contestant.golang_migrate(program)

    def server(self) -> str:
        """Return what the figures depend on most: which server, and what a commit takes there.

        A program that commits once a revision gains more, the more a commit takes.
        """
        taken = []
        with psycopg.connect(self._fresh("benchmark"), autocommit=True) as connection:
            self._execute(connection, "CREATE TABLE t (id int)")
            for _ in range(_COMMITS):
                started = time.perf_counter()
                self._execute(connection, "INSERT INTO t VALUES (1)")
                taken.append(time.perf_counter() - started)
            number = connection.info.server_version
        commit = statistics.median(taken) * 1000
        return f"PostgreSQL {number // 10000}.{number % 10000}, a commit takes {commit:.2f} ms"

    def rows(self, counts: Sequence[int]) -> Iterator[Row]:
        """Yield the figures, for trees of each of these lengths."""
        for count in counts:
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
            yield from self._up(count, places)
            yield from self._nothing(count, places)

    def _present(self, *several: Contestant | None) -> list[Contestant]:
        return [one for one in several if one is not None]

    def _up(self, count: int, places: dict[str, Path]) -> Iterator[Row]:
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
        for turn in range(repetitions):
            self._say(f"up, {count} revisions, {turn + 1} of {repetitions}")
            # Each turn begins with another one: who follows whom shall not matter.
            for one in several[turn % len(several) :] + several[: turn % len(several)]:
                taken[one.name].append(self._measured(one, places, self._fresh("benchmark")))
        yield from self._as_rows(
            f"up, {count}", several, taken, lambda one: _BUDGETS.get((one.tree, count))
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
        for number, one in enumerate(several):
            urls[one.name] = self._fresh(f"benchmark_{number}")
            self._measured(one, places, urls[one.name])
        taken: dict[str, list[Measurement]] = {one.name: [] for one in several}
        for turn in range(_NOTHING_TO_DO):
            self._say(f"nothing to do, {count} revisions, {turn + 1} of {_NOTHING_TO_DO}")
            for one in several:
                taken[one.name].append(self._measured(one, places, urls[one.name]))
        for number in range(len(several)):
            self._drop(f"benchmark_{number}")
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

    def _fresh(self, name: str) -> str:
        """Return the URL of a new, empty database of that name."""
        self._drop(name)
        with psycopg.connect(self._url, autocommit=True) as connection:
            self._execute(connection, f"CREATE DATABASE {name}")
            # What the last one left to write is not the next one's to wait for.
            self._execute(connection, "CHECKPOINT")
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            self._execute(connection, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, connection: psycopg.Connection[Any], statement: str) -> None:
        connection.execute(statement.encode())

    def _run(self, *command: str | Path) -> None:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise BenchmarkError(ended.stderr.strip() or f"{command[0]} failed")


def conditions() -> str:
    """Return what the figures depend on: processors and load."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{os.cpu_count()} processors, load {load}"
