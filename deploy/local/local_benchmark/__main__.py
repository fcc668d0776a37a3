"""``python -m local_benchmark migrator|operator|soak``: measure, and print one table."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime as dt
import os
import sys
import tempfile
from pathlib import Path

from local_benchmark import table
from local_benchmark.databases import Databases
from local_benchmark.distance import Distance
from local_benchmark.errors import BenchmarkError
from local_benchmark.migrator import MigratorBenchmark, conditions
from local_kubernetes.compiler import required_version
from local_kubernetes.errors import LocalKubernetesError
from local_postgres import LocalPostgresError, TemporaryServer

_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_POSTGRESQL = 18
_LONGEST_WAY = 1000  # milliseconds


def _counts(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(one) for one in text.split(",")}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_benchmark", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when a budget is missed")
    subjects = parser.add_subparsers(title="what is measured", required=True, metavar="WHAT")
    migrator = subjects.add_parser("migrator", help="the migrator beside golang-migrate")
    migrator.set_defaults(run=_migrator)
    migrator.add_argument(
        "--revisions",
        type=_counts,
        default=(1, 100, 1000),
        metavar="N,…",
        help="the lengths of the trees (default: 1,100,1000)",
    )
    migrator.add_argument(
        "--round-trip",
        type=_seconds,
        default=0.001,
        metavar="1ms",
        help="how far away the server is where the budgets of up are looked at (default: 1ms)",
    )
    migrator.add_argument(
        "--no-round-trip",
        dest="round_trip",
        action="store_const",
        const=None,
        help="without measuring up at a distance",
    )
    operator = subjects.add_parser("operator", help="the operator beside a textbook one")
    operator.set_defaults(run=_operator)
    operator.add_argument(
        "--resources",
        type=_counts,
        default=(1, 100, 1000),
        metavar="N,…",
        help="how many at once; 1: one after another (default: 1,100,1000)",
    )
    operator.add_argument(
        "--samples", type=int, default=50, metavar="N", help="how often 1 (default: 50)"
    )
    operator.add_argument(
        "--settled",
        type=int,
        default=10_000,
        metavar="N",
        help="resources that are done at the restart; 0: no restart (default: 10000)",
    )
    operator.add_argument("--alone", action="store_true", help="without the textbook operator")
    operator.add_argument(
        "--no-takeover", action="store_true", help="without ending operators that lead"
    )
    soak = subjects.add_parser("soak", help="the operator's memory under many events")
    soak.set_defaults(run=_soak)
    soak.add_argument("--events", type=int, default=50_000, metavar="N", help="default: 50000")
    for each in (migrator, operator, soak):
        each.add_argument(
            "--check",
            action="store_true",
            default=argparse.SUPPRESS,
            help="exit 1 when a budget is missed",
        )
    return parser


def _seconds(text: str) -> float:
    number, unit = text[:-2], text[-2:]
    if unit != "ms" or not 0 < float(number) < _LONGEST_WAY:
        raise ValueError
    return float(number) / 1000


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclasses.dataclass(frozen=True)
class _Figures:
    """What was measured.

    Attributes:
        server: on which server.
        rows: next door to it.
        far: at a distance from it.
        questions: how long a question takes there and here, in milliseconds.
    """

    server: str
    rows: list[table.Row]
    far: list[table.Row]
    questions: tuple[float, float] = (0.0, 0.0)


def _measure(url: str, counts: tuple[int, ...], round_trip: float | None) -> _Figures:
    with tempfile.TemporaryDirectory() as folder, Databases(url) as databases:
        benchmark = MigratorBenchmark(databases, Path(folder), _say)
        server, rows = benchmark.server(), list(benchmark.rows(counts))
        if round_trip is None:
            return _Figures(server, rows, [])
        with Distance(url, round_trip) as distance:
            questions = benchmark.question(distance), benchmark.question()
            return _Figures(server, rows, list(benchmark.far_rows(counts, distance)), questions)


def _migrator(parsed: argparse.Namespace) -> bool:
    """Measure the migrator, print, and return whether a budget was missed."""
    before = conditions()
    if given := os.environ.get("DATABASE_URL"):
        figures = _measure(given, parsed.revisions, parsed.round_trip)
    else:
        with TemporaryServer.start(_POSTGRESQL, _DURABLE) as temporary:
            url = temporary.server.url("postgres")
            figures = _measure(url, parsed.revisions, parsed.round_trip)
    print(table.render(figures.rows))
    release = required_version("golang-migrate", "github.com/golang-migrate/migrate/v4")
    print(
        f"\nMedians, as multiples of golang-migrate {release};"
        f" {dt.datetime.now(tz=dt.UTC):%Y-%m-%d};"
        f" {figures.server};"
        f" before: {before}; after: {conditions()}."
    )
    if figures.far:
        there, here = figures.questions
        print(f"\nThe same where a question takes {there:.2f} ms instead of {here:.2f}:\n")
        print(table.render(figures.far))
    return any(row.missed for row in (*figures.rows, *figures.far))


def _operator(parsed: argparse.Namespace) -> bool:
    """Measure the operator, print, and return whether a budget was missed."""
    # What it needs takes a while to load, and the migrator's does not wait.
    from local_benchmark import comparison, operator_table  # noqa: PLC0415

    before = conditions()
    plan = comparison.Plan(
        parsed.resources,
        parsed.samples,
        parsed.settled,
        alone=parsed.alone,
        takeover=not parsed.no_takeover,
    )
    version, rows, takeovers = asyncio.run(comparison.measure(plan, _say))
    print(operator_table.render(rows))
    budgets = operator_table.budgets(row for row in rows if row.name == rows[0].name) + takeovers
    print("\n" + "\n".join(str(budget) for budget in budgets))
    print(
        f"\nKubernetes {version}; {dt.datetime.now(tz=dt.UTC):%Y-%m-%d};"
        f" before: {before}; after: {conditions()}."
    )
    return any(budget.missed for budget in budgets)


def _soak(parsed: argparse.Namespace) -> bool:
    """Send events, print, and return whether memory grew by more than it may."""
    from local_benchmark import comparison  # noqa: PLC0415 - as above
    from local_benchmark.soak import SLOPE_BYTES  # noqa: PLC0415 - as above

    soaked = asyncio.run(comparison.endure(parsed.events, _say))
    first, last = soaked.samples[0][1], soaked.samples[-1][1]
    missed = soaked.slope > SLOPE_BYTES
    print(
        f"{'missed' if missed else 'met'}: {soaked.events} events:"
        f" {first / (1 << 20):.1f} MiB, then {last / (1 << 20):.1f} MiB;"
        f" {soaked.slope:.2f} bytes an event, at most {SLOPE_BYTES:g};"
        f" {soaked.cpu:.1f} s of processor time"
    )
    return missed


def main() -> int:
    """Measure and print; return the exit code."""
    parsed = _parser().parse_args()
    try:
        missed = bool(parsed.run(parsed))
    except (BenchmarkError, LocalKubernetesError, LocalPostgresError) as error:
        _say(str(error))
        return 2
    return int(parsed.check and missed)


if __name__ == "__main__":
    sys.exit(main())
