"""Dirty is said exactly when a revision committed a part and did not end."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from schema_migrator.result import Outcome

if TYPE_CHECKING:
    from tests.fix_migrator import Engine

pytestmark = pytest.mark.every_postgres


@dataclasses.dataclass(frozen=True)
class Case:
    """A second revision, and what becomes of a database that is at the first."""

    name: str
    up: str
    outcome: Outcome
    kept: tuple[str, ...] = ()
    """Tables that are there afterwards."""
    gone: tuple[str, ...] = ("half",)
    """Tables that are not."""
    sqlstate: str | None = None


CLEAN = (
    Case("an SQL error in mid-revision", "op.execute('CREATE TABLE half ()')\nop.execute('SELECT 1/0')", Outcome.FAILED, sqlstate="22012"),
    Case("a Python error in mid-revision", "op.execute('CREATE TABLE half ()')\nraise ValueError('no')", Outcome.FAILED),
    Case("a revision that exits the process", "op.execute('CREATE TABLE half ()')\nraise SystemExit(0)", Outcome.FAILED),
    Case("a revision that raises KeyboardInterrupt", "op.execute('CREATE TABLE half ()')\nraise KeyboardInterrupt", Outcome.FAILED),
    Case("ROLLBACK as text", "op.execute('CREATE TABLE half ()')\nop.execute('ROLLBACK; CREATE TABLE c(); COMMIT')", Outcome.FAILED, gone=("half", "c")),
    Case("ABORT as text", "op.execute('CREATE TABLE half ()')\nop.execute('/* x */ abort work')", Outcome.FAILED),
    Case("rollback() on the connection", "op.execute('CREATE TABLE half ()')\nop.get_bind().rollback()", Outcome.FAILED),
    Case("rollback() on the driver's connection", "op.execute('CREATE TABLE half ()')\nop.get_bind().connection.driver_connection.rollback()", Outcome.FAILED),
    Case("rollback() of a session", "from sqlalchemy.orm import Session\nop.execute('CREATE TABLE half ()')\nsession = Session(bind=op.get_bind())\nsession.execute(sa.text('SELECT 1'))\nsession.rollback()\nop.execute('CREATE TABLE c ()')", Outcome.FAILED, gone=("half", "c")),
    Case("PREPARE TRANSACTION", "op.execute('CREATE TABLE half ()')\nop.execute(\"PREPARE TRANSACTION 'x'\")", Outcome.FAILED),
    Case("a two-phase transaction of the driver", "op.get_bind().connection.driver_connection.tpc_begin('x')\nop.execute('CREATE TABLE half ()')", Outcome.FAILED),
    Case("an error that is swallowed before an autocommit block", "op.execute('CREATE TABLE half ()')\ntry:\n    op.execute('SELECT 1/0')\nexcept Exception:\n    pass\nwith op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON one (id)')", Outcome.FAILED, gone=("half", "i")),
    Case("an error that is swallowed at the end", "op.execute('CREATE TABLE half ()')\ntry:\n    op.execute('SELECT 1/0')\nexcept Exception:\n    pass", Outcome.FAILED, sqlstate="25P02"),
    Case("a deferred constraint that fails at the commit", "op.execute('CREATE TABLE half ()')\nop.execute('ALTER TABLE one ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED')\nop.execute('INSERT INTO one VALUES (1), (1)')", Outcome.FAILED, sqlstate="23505"),
    Case("all advisory locks given up", "op.execute('CREATE TABLE half ()')\nop.execute('SELECT pg_advisory_unlock_all()')", Outcome.FAILED),
    Case("DISCARD ALL inside the transaction", "op.execute('CREATE TABLE half ()')\nop.execute('DISCARD ALL')", Outcome.FAILED, sqlstate="25001"),
    Case("version rows deleted", "op.execute('CREATE TABLE half ()')\nop.execute('DELETE FROM alembic_version')", Outcome.FAILED),
    Case("the history table dropped", "op.execute('CREATE TABLE half ()')\nop.execute('DROP TABLE alembic_version_history')", Outcome.FAILED, sqlstate="42P01"),
    Case("the revision's own history row deleted", "op.execute('CREATE TABLE half ()')\nop.execute('DELETE FROM alembic_version_history')", Outcome.FAILED),
    Case("COMMIT inside a DO block", "op.execute('CREATE TABLE half ()')\nop.execute('DO $$ BEGIN COMMIT; END $$')", Outcome.FAILED, sqlstate="2D000"),
    Case("a driver's own transaction block that is rolled back", "connection = op.get_bind().connection.driver_connection\nwith connection.transaction(force_rollback=True):\n    connection.execute('CREATE TABLE half ()')\nop.execute('SELECT 1/0')", Outcome.FAILED, sqlstate="22012"),
)  # fmt: skip

DIRTY = (
    Case("an error after an autocommit block", "op.execute('CREATE TABLE half ()')\nwith op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON one (id)')\nraise ValueError('no')", Outcome.DIRTY, kept=("half", "i"), gone=()),
    Case("an error in an autocommit block", "op.execute('CREATE TABLE half ()')\nwith op.get_context().autocommit_block():\n    op.execute('SELECT 1/0')", Outcome.DIRTY, kept=("half",), gone=(), sqlstate="22012"),
    Case("a second statement that fails in a block at the start", "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE half ()')\n    op.execute('SELECT 1/0')", Outcome.DIRTY, kept=("half",), gone=(), sqlstate="22012"),
    Case("COMMIT as text, then an error", "op.execute('CREATE TABLE half ()')\nop.execute('COMMIT')\nop.execute('SELECT 1/0')", Outcome.DIRTY, kept=("half",), gone=(), sqlstate="22012"),
    Case("COMMIT and BEGIN as text, then an error", "op.execute('CREATE TABLE half (); COMMIT; BEGIN')\nraise ValueError('no')", Outcome.DIRTY, kept=("half",), gone=()),
    Case("END as text, then an error", "op.execute('CREATE TABLE half ()')\nop.execute('END')\nraise ValueError('no')", Outcome.DIRTY, kept=("half",), gone=()),
    Case("commit() on the connection, then an error", "op.execute('CREATE TABLE half ()')\nop.get_bind().commit()\nraise ValueError('no')", Outcome.DIRTY, kept=("half",), gone=()),
    Case("a COMMIT through a raw cursor, then an error", "cursor = op.get_bind().connection.cursor()\ncursor.execute('CREATE TABLE half ()')\ncursor.execute('COMMIT')\nraise ValueError('no')", Outcome.DIRTY, kept=("half",), gone=()),
    Case("a ROLLBACK after a commit of its own", "op.execute('CREATE TABLE half ()')\nop.execute('COMMIT')\nop.execute('CREATE TABLE c ()')\nop.execute('ROLLBACK')", Outcome.DIRTY, kept=("half",), gone=("c",)),
    Case("a DO block that commits outside a transaction, then an error", "with op.get_context().autocommit_block():\n    op.execute('DO $$ BEGIN CREATE TABLE half (); COMMIT; END $$')\n    op.execute('SELECT 1/0')", Outcome.DIRTY, kept=("half",), gone=(), sqlstate="22012"),
    Case("DISCARD ALL in a block, which gives up the lock", "op.execute('CREATE TABLE half ()')\nwith op.get_context().autocommit_block():\n    op.execute('DISCARD ALL')", Outcome.DIRTY, kept=("half",), gone=()),
    Case("a second index build that fails", "op.execute('INSERT INTO one VALUES (1), (1)')\nwith op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON one (id)')\n    op.execute('CREATE UNIQUE INDEX CONCURRENTLY j ON one (id)')", Outcome.DIRTY, kept=("i",), gone=(), sqlstate="23505"),
)  # fmt: skip

APPLIED = (
    Case("nothing at all", "pass", Outcome.APPLIED, gone=()),
    Case("an autocommit block in the middle", "op.execute('CREATE TABLE a ()')\nwith op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON one (id)')\nop.execute('CREATE TABLE b ()')", Outcome.APPLIED, kept=("a", "i", "b"), gone=()),
    Case("two autocommit blocks", "for i in 'ab':\n    with op.get_context().autocommit_block():\n        op.execute(f'CREATE INDEX CONCURRENTLY {i} ON one (id)')", Outcome.APPLIED, kept=("a", "b"), gone=()),
    Case("commit() in the middle", "op.execute('CREATE TABLE a ()')\nop.get_bind().commit()\nop.execute('CREATE TABLE b ()')", Outcome.APPLIED, kept=("a", "b"), gone=()),
    Case("COMMIT as text in the middle", "op.execute('CREATE TABLE a (); COMMIT; CREATE TABLE b ()')", Outcome.APPLIED, kept=("a", "b"), gone=()),
    Case("an isolation level of its own", "op.execute('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')\nassert op.get_bind().exec_driver_sql('SHOW transaction_isolation').scalar() == 'serializable'\nop.execute('CREATE TABLE a ()')", Outcome.APPLIED, kept=("a",), gone=()),
    Case("a savepoint that is rolled back", "op.execute('CREATE TABLE a ()')\nsavepoint = op.get_bind().begin_nested()\nop.execute('CREATE TABLE half ()')\nsavepoint.rollback()", Outcome.APPLIED, kept=("a",)),
    Case("a savepoint as text", "op.execute('SAVEPOINT s')\nop.execute('CREATE TABLE half ()')\nop.execute('ROLLBACK TO SAVEPOINT s')", Outcome.APPLIED),
    Case("a role of its own", "op.execute('CREATE TABLE a ()')\nop.execute('SET ROLE pg_monitor')", Outcome.APPLIED, kept=("a",), gone=()),
    Case("another session user", "op.execute('CREATE TABLE a ()')\nop.execute('SET SESSION AUTHORIZATION pg_monitor')", Outcome.APPLIED, kept=("a",), gone=()),
    Case("no search path", "op.execute('CREATE TABLE a ()')\nop.execute(\"SELECT set_config('search_path', '', false)\")", Outcome.APPLIED, kept=("a",), gone=()),
    Case("COPY through the driver", "with op.get_bind().connection.driver_connection.cursor().copy('COPY one FROM STDIN') as copy:\n    copy.write('1\\n')", Outcome.APPLIED, gone=()),
    Case("reading through a named cursor", "with op.get_bind().connection.driver_connection.cursor('n') as cursor:\n    cursor.execute('SELECT 1')\n    assert cursor.fetchone() == (1,)", Outcome.APPLIED, gone=()),
    Case("executemany and stream", "cursor = op.get_bind().connection.driver_connection.cursor()\ncursor.executemany('INSERT INTO one VALUES (%s)', [(1,), (2,)])\nassert len(list(cursor.stream('SELECT id FROM one'))) == 2", Outcome.APPLIED, gone=()),
    Case("a mention of ROLLBACK in a string, a comment and a body", "op.execute(\"INSERT INTO one SELECT 1 WHERE 'x; ROLLBACK' <> '' -- ; ROLLBACK\\n\")\nop.execute('CREATE FUNCTION a() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; ROLLBACK; END $$')", Outcome.APPLIED, gone=()),
)  # fmt: skip


def _run(engine: Engine, case: Case) -> None:
    engine.revisions.add(
        "0001", "op.execute('CREATE TABLE one (id int)')", "op.execute('DROP TABLE one')"
    )
    assert engine.up().outcome is Outcome.APPLIED
    engine.revisions.add("0002", case.up)
    result = engine.up()
    assert (result.outcome, result.sqlstate) == (case.outcome, case.sqlstate), result.message
    assert [table for table in case.kept if not engine.exists(table)] == []
    assert [table for table in case.gone if engine.exists(table)] == []


@pytest.mark.parametrize("case", CLEAN, ids=lambda case: case.name)
def test_a_failed_revision_that_committed_nothing_leaves_a_clean_database(
    engine: Engine, case: Case
) -> None:
    _run(engine, case)

    assert engine.position() == ["0001"]
    assert engine.open_rows() == 0
    engine.revisions.add("0002", "op.execute('CREATE TABLE done ()')")
    again = engine.up()
    assert (again.outcome, again.to, again.dirty) == (Outcome.APPLIED, "0002", False), again.message
    assert engine.exists("done")


@pytest.mark.parametrize("case", DIRTY, ids=lambda case: case.name)
def test_a_failed_revision_that_committed_a_part_leaves_a_dirty_database(
    engine: Engine, case: Case
) -> None:
    _run(engine, case)

    assert engine.position() == ["0001"]
    first = engine.up()
    assert (first.outcome, first.dirty, first.applied, first.to) == (
        Outcome.DIRTY,
        True,
        (),
        "0001",
    )
    assert first.incident is not None
    assert f"migrate force REVISION --incident {first.incident}" in first.message
    assert "0002" in first.message
    assert engine.down(1).outcome is Outcome.DIRTY
    assert engine.force("0002", incident="another").outcome is Outcome.DIRTY
    forced = engine.force("0002", incident=first.incident)
    assert (forced.outcome, forced.to, forced.dirty) == (Outcome.APPLIED, "0002", False)
    assert engine.up().outcome is Outcome.UP_TO_DATE


@pytest.mark.parametrize("case", APPLIED, ids=lambda case: case.name)
def test_a_revision_may_do_what_leaves_its_end_provable(engine: Engine, case: Case) -> None:
    _run(engine, case)

    assert engine.position() == ["0002"]
    assert engine.open_rows() == 0
    # Whatever it did to the session, the next revision finds it as the first did.
    engine.revisions.add("0003", "op.execute('CREATE TABLE after ()')")
    assert engine.up().outcome is Outcome.APPLIED
    assert engine.exists("public.after")


def test_what_one_revision_does_to_the_session_does_not_reach_the_next_in_the_same_run(
    engine: Engine,
) -> None:
    engine.revisions.add(
        "0001",
        "op.execute('CREATE TABLE one ()')\nop.execute('SET default_transaction_read_only = on')",
    )
    engine.revisions.add(
        "0002", "op.execute('CREATE TABLE two ()')\nop.execute('SET statement_timeout = 50')"
    )
    engine.revisions.add(
        "0003", "op.execute('SELECT pg_sleep(0.2)')\nop.execute(\"SET search_path = ''\")"
    )
    engine.revisions.add(
        "0004", "op.execute('CREATE TABLE four ()')\nop.execute('SET ROLE pg_monitor')"
    )
    engine.revisions.add("0005", "op.execute('CREATE TABLE five ()')")

    result = engine.up()

    assert (result.outcome, result.applied) == (
        Outcome.APPLIED,
        ("0001", "0002", "0003", "0004", "0005"),
    ), result.message


SLOW_TO_MOVE = """
op.execute(
    "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END'"
)
op.execute(
    "CREATE TRIGGER wait BEFORE UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION wait()"
)
"""


@pytest.mark.parametrize("scope", ["", "LOCAL"], ids=["the session", "its transaction"])
def test_the_time_that_a_revision_gives_its_statements_does_not_bound_the_bookkeeping(
    engine: Engine, scope: str
) -> None:
    engine.revisions.add("0001", SLOW_TO_MOVE)
    engine.revisions.add(
        "0002",
        f"op.execute('CREATE TABLE two ()')\nop.execute(\"SET {scope} statement_timeout = '100ms'\")",
    )

    result = engine.up()

    assert (result.outcome, result.to) == (Outcome.APPLIED, "0002"), result.message
