"""A migrator that is killed at any round trip at all leaves nothing applied twice, and nothing lost.

Not a sample: each request that a run of three revisions sends to the server is
stopped at, once before the server has it and once after the server has answered,
and the process is killed there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from schema_migrator.result import Outcome
from tests.fix_migrator import Engine, until
from tests.migrations.nursery import Nursery
from tests.migrations.proxy import Moment, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fix_migrator import Revisions
    from tests.postgres_server import Database

# Each revision notes in a table outside of the tree that it ran: twice would be seen.
COUNT = "op.execute(\"INSERT INTO ran VALUES ('{}')\")"


def _step(revision: str, up: str, down: str) -> tuple[str, str, str]:
    return (
        revision,
        f"{up}\n{COUNT.format(revision + ' up')}",
        f"{down}\n{COUNT.format(revision + ' down')}",
    )


PLAIN = (
    _step("0001", "op.create_table('one', sa.Column('id', sa.Integer))", "op.drop_table('one')"),
    _step("0002", "op.add_column('one', sa.Column('x', sa.Integer))", "op.drop_column('one', 'x')"),
    _step(
        "0003", "op.create_table('three', sa.Column('id', sa.Integer))", "op.drop_table('three')"
    ),
)
_BLOCK = "with op.get_context().autocommit_block():\n    op.execute('{}')"
INDEX = (
    PLAIN[0],
    (
        "0002",
        _BLOCK.format("CREATE INDEX CONCURRENTLY i ON one (id)"),
        _BLOCK.format("DROP INDEX CONCURRENTLY i"),
    ),
    PLAIN[2],
)
MIXED = (
    PLAIN[0],
    (
        "0002",
        f"op.execute('CREATE TABLE two ()')\n{_BLOCK.format('CREATE INDEX CONCURRENTLY i ON one (id)')}",
        f"op.execute('DROP TABLE two')\n{_BLOCK.format('DROP INDEX CONCURRENTLY i')}",
    ),
    PLAIN[2],
)


def _files(*revisions: tuple[str, str, str]) -> Callable[[Revisions], None]:
    """Return what writes revisions as SQL files, each with a note that it ran."""

    def write(tree: Revisions) -> None:
        for revision, up, down in revisions:
            for way, text in (("up", up), ("down", down)):
                note = (
                    ""
                    if "CONCURRENTLY" in text
                    else f" INSERT INTO ran VALUES ('{revision} {way}');"
                )
                path = tree.directory / "versions" / f"{revision}_test.{way}.sql"
                path.write_text(f"{text};{note}")

    return write


def _modules(revisions: tuple[tuple[str, str, str], ...]) -> Callable[[Revisions], None]:
    """Return what writes revisions as Python modules."""

    def write(tree: Revisions) -> None:
        for revision, up, down in revisions:
            tree.add(revision, up, down)

    return write


TREES = {
    "transactions": _modules(PLAIN),
    "an index built concurrently": _modules(INDEX),
    "a revision that commits a part": _modules(MIXED),
    "SQL files": _files(
        ("0001", "CREATE TABLE one (id int)", "DROP TABLE one"),
        ("0002", "ALTER TABLE one ADD x int", "ALTER TABLE one DROP x"),
        ("0003", "CREATE TABLE three (id int)", "DROP TABLE three"),
    ),
    "SQL files with an index built concurrently": _files(
        ("0001", "CREATE TABLE one (id int)", "DROP TABLE one"),
        ("0002", "CREATE INDEX CONCURRENTLY i ON one (id)", "DROP INDEX CONCURRENTLY i"),
        ("0003", "CREATE TABLE three (id int)", "DROP TABLE three"),
    ),
}
COMMITS_A_PART = {"a revision that commits a part"}


@dataclasses.dataclass
class Ending:
    """How often a killed run left the database in which condition."""

    clean: int = 0
    dirty: int = 0


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery() as started:
        yield started


def _killed_everywhere(
    nursery: Nursery,
    new_database: Callable[..., Database],
    revisions: Revisions,
    moment: Moment,
    *,
    up: bool,
) -> Ending:
    """Kill a run at each of its round trips, and let the next run end it."""
    ending = Ending()
    number = 0
    while True:
        number += 1
        engine = Engine(new_database(), revisions)
        engine.execute("CREATE TABLE ran (what text)")
        if not up:
            assert engine.up().outcome is Outcome.APPLIED
            engine.execute("TRUNCATE ran")
        arguments = ("up",) if up else ("down", "--all")
        with Proxy(engine.database, stop_at=number, moment=moment) as proxy:
            pid = nursery.start(
                *arguments, DATABASE_URL=proxy.url, MIGRATE_TREE=str(revisions.directory)
            )
            _wait_for_stop(proxy, pid)
            stopped = proxy.stopped.is_set()
            if stopped:
                # The last request of all is a farewell that nobody waits for.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            code = nursery.wait()
        if not stopped:
            assert code == 0
            assert number > 10
            return ending
        _go_on(engine, ending, up=up)


def _wait_for_stop(proxy: Proxy, pid: int) -> None:
    until(lambda: proxy.stopped.is_set() or _is_gone(pid), what="the stop")


def _is_gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def _go_on(engine: Engine, ending: Ending, *, up: bool) -> None:
    until(
        lambda: (
            not engine.query(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'migrate/%' AND datname = current_database()"
            )
        ),
        what="the end of the killed session",
    )
    move: Callable[[], Any] = engine.up if up else engine.down
    result = move()
    if result.outcome is Outcome.DIRTY:
        ending.dirty += 1
        _resolve(engine, str(result.incident), up=up)
        result = move()
    else:
        ending.clean += 1
    assert result.outcome in (Outcome.APPLIED, Outcome.UP_TO_DATE), result.message
    assert result.to == ("0003" if up else "base")
    assert engine.open_rows() == 0
    counted = engine.query("SELECT what, count(*) FROM ran GROUP BY 1 HAVING count(*) > 1")
    assert counted == []
    tables = {name: engine.exists(name) for name in ("one", "three")}
    assert tables == {"one": up, "three": up}
    if up:
        assert engine.query("SELECT indisvalid FROM pg_index WHERE indrelid = 'one'::regclass") in (
            [],
            [(True,)],
        )


def _resolve(engine: Engine, incident: str, *, up: bool) -> None:
    """What a person does with the half of 0002: undo it, and say that it was not done."""
    if up:
        engine.execute("DROP INDEX IF EXISTS i")
        engine.execute("DROP TABLE IF EXISTS two")
        engine.force("0001", incident=incident)
    else:
        engine.execute("CREATE TABLE IF NOT EXISTS two ()")
        engine.execute("DROP INDEX IF EXISTS i")
        engine.execute("CREATE INDEX i ON one (id)")
        engine.force("0002", incident=incident)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", Moment, ids=["before", "after"])
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize("tree", TREES)
def test_a_run_killed_at_any_round_trip_is_ended_by_the_next(
    nursery: Nursery,
    new_database: Callable[..., Database],
    revisions: Revisions,
    tree: str,
    moment: Moment,
    *,
    up: bool,
) -> None:
    TREES[tree](revisions)

    ending = _killed_everywhere(nursery, new_database, revisions, moment, up=up)

    assert ending.clean > 10
    # Only a revision that commits a part can leave half of itself behind.
    assert (ending.dirty > 0) == (tree in COMMITS_A_PART)
