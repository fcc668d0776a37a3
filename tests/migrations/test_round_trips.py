"""How often a revision waits for the server: what a distance to it costs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from schema_migrator.observer import Observer
from schema_migrator.result import Outcome
from tests.fix_migrator import Engine, until
from tests.migrations.proxy import Proxy
from tests.postgres_server import Database

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_migrator import Revisions


@pytest.fixture(autouse=True)
def unobserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody else send requests, as the observer does on a slow machine."""
    monkeypatch.setattr(Observer, "watching", lambda _self: contextlib.nullcontext())


def _sql(revisions: Revisions, number: int, text: str) -> None:
    folder: Path = revisions.directory / "versions"
    (folder / f"{number:04d}_test.up.sql").write_text(text.format(number))
    (folder / f"{number:04d}_test.down.sql").write_text("SELECT 1")


def _trips(engine: Engine, revisions: Revisions, text: str) -> float:
    """Return how many round trips a revision of this text takes."""
    for number in range(1, 6):
        _sql(revisions, number, text)
    # The first run makes the bookkeeping's tables.
    assert engine.up(1).outcome is Outcome.APPLIED
    few, more = (_requests(engine, revisions, count) for count in (1, 3))
    return (more - few) / 2


def _requests(engine: Engine, revisions: Revisions, count: int) -> int:
    """Return how many requests a run sends that finds the lock free."""
    until(lambda: engine.query("SELECT FROM pg_locks WHERE locktype = 'advisory'") == [])
    with Proxy(engine.database) as proxy:
        database = Database(proxy.url, engine.database.server_version)
        result = Engine(database, revisions).up(count)
        assert result.outcome is Outcome.APPLIED, result.message
        return proxy.requests


@pytest.mark.parametrize(
    ("text", "trips"),
    [
        ("CREATE TABLE t{0} (id serial PRIMARY KEY); CREATE INDEX ON t{0} (id); -- a comment", 1),
        ("BEGIN; CREATE TABLE t{} (); COMMIT;", 1),
        ("-- nothing\n", 1),
        ("", 1),
        ("CREATE TABLE t{} (); SAVEPOINT s; ROLLBACK TO s;", 2),
    ],
    ids=["statements", "a transaction", "a comment", "nothing", "a savepoint"],
)
def test_a_file_goes_with_what_completes_its_step_and_begins_the_next(
    engine: Engine, revisions: Revisions, text: str, trips: int
) -> None:
    assert _trips(engine, revisions, text) == trips


def test_where_a_backslash_may_end_a_quote_a_file_goes_alone(
    engine: Engine, revisions: Revisions
) -> None:
    [(name,)] = engine.query("SELECT current_database()")
    engine.execute(f"ALTER DATABASE {name} SET standard_conforming_strings = off")
    assert _trips(engine, revisions, "CREATE TABLE t{} AS SELECT 'it''s' AS x") == 2
