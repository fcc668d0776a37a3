"""``python -m local_benchmark migrator``: measure, and print one table."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import tempfile
from pathlib import Path

from local_benchmark import golang_migrate, table
from local_benchmark.errors import BenchmarkError
from local_benchmark.migrator import MigratorBenchmark, conditions
from local_postgres import LocalPostgresError, TemporaryServer

_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_POSTGRESQL = 18


def _counts(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(one) for one in text.split(",")}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_benchmark", description=__doc__)
    parser.add_argument("what", choices=["migrator"], help="what is measured")
    parser.add_argument(
        "--revisions",
        type=_counts,
        default=(1, 100, 1000),
        metavar="N,…",
        help="the lengths of the trees (default: 1,100,1000)",
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a budget is missed")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _measure(url: str, counts: tuple[int, ...]) -> tuple[str, list[table.Row]]:
    with tempfile.TemporaryDirectory() as folder:
        benchmark = MigratorBenchmark(url, Path(folder), _say)
        return benchmark.server(), list(benchmark.rows(counts))


def main() -> int:
    """Measure and print; return the exit code."""
    parsed = _parser().parse_args()
    before = conditions()
    try:
        if given := os.environ.get("DATABASE_URL"):
            server, rows = _measure(given, parsed.revisions)
        else:
            with TemporaryServer.start(_POSTGRESQL, _DURABLE) as temporary:
                server, rows = _measure(temporary.server.url("postgres"), parsed.revisions)
    except (BenchmarkError, LocalPostgresError) as error:
        _say(str(error))
        return 2
    print(table.render(rows))
    print(
        f"\nMedians, as multiples of golang-migrate {golang_migrate.version()};"
        f" {dt.datetime.now(tz=dt.UTC):%Y-%m-%d};"
        f" {server};"
        f" before: {before}; after: {conditions()}."
    )
    return int(parsed.check and any(row.missed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
