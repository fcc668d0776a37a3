"""An interrupted concurrent index statement heals by itself: nobody has to look."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from schema_migrator import heal
from schema_migrator.history import read_state
from schema_migrator.result import Outcome
from tests.fix_migrator import until

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine, Revisions

pytestmark = pytest.mark.every_postgres

TABLE = "op.execute('CREATE TABLE one (id int)')"
BUILD = """
with op.get_context().autocommit_block():
    op.execute('CREATE UNIQUE INDEX CONCURRENTLY i ON one (id)')
"""
BUILD_NAMELESS = BUILD.replace("CONCURRENTLY i ON", "CONCURRENTLY ON")


@pytest.mark.parametrize("build", [BUILD, BUILD_NAMELESS], ids=["with a name", "without a name"])
def test_a_failed_index_build_is_undone_at_once_and_is_not_dirty(
    engine: Engine, build: str
) -> None:
    engine.revisions.add("0001", TABLE + "\nop.execute('INSERT INTO one VALUES (1), (1)')")
    engine.revisions.add("0002", build)

    failed = engine.up()

    assert (failed.outcome, failed.sqlstate, failed.dirty, failed.to) == (
        Outcome.FAILED,
        "23505",
        False,
        "0001",
    )
    assert engine.query("SELECT 1 FROM pg_index WHERE indrelid = 'one'::regclass") == []
    engine.execute("DELETE FROM one WHERE ctid = (SELECT min(ctid) FROM one)")
    assert engine.up().outcome is Outcome.APPLIED
    assert engine.query("SELECT indisvalid FROM pg_index WHERE indrelid = 'one'::regclass") == [
        (True,)
    ]


def test_an_invalid_index_of_somebody_else_is_left_alone(engine: Engine) -> None:
    engine.revisions.add("0001", TABLE + "\nop.execute('INSERT INTO one VALUES (1), (1)')")
    engine.up()
    with pytest.raises(Exception, match="duplicate"), engine.database.connect() as connection:
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY other ON one (id)")
    engine.revisions.add("0002", BUILD)

    assert engine.up().outcome is Outcome.FAILED

    assert engine.query(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'one'::regclass"
    ) == [("other",)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_an_index_build_that_is_killed_is_built_by_the_next_run(
    engine: Engine, migrate: Command, number: signal.Signals
) -> None:
    engine.revisions.add("0001", TABLE)
    assert engine.up().outcome is Outcome.APPLIED
    engine.revisions.add("0002", BUILD)
    with engine.database.connect() as blocker:
        # An old snapshot: the build waits for it, its index there and invalid.
        blocker.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        blocker.execute("SELECT 1")
        process = migrate.start("up")
        until(
            lambda: engine.query(
                "SELECT 1 FROM pg_stat_progress_create_index WHERE phase ~ 'old snapshots'"
            ),
            what="the build waiting for a snapshot",
        )
        os.kill(process.pid, number)
        ended = migrate.wait(process)
        until(
            lambda: not engine.query("SELECT 1 FROM pg_stat_progress_create_index"),
            what="the end of the build",
        )
        if number == signal.SIGTERM:
            assert ended.code == 17, ended.err
        assert migrate("version").out == "0001\n"
        blocker.execute("ROLLBACK")

    result = engine.up()

    assert (result.outcome, result.to, result.dirty) == (Outcome.APPLIED, "0002", False), (
        result.message
    )
    assert engine.query("SELECT indisvalid FROM pg_index WHERE indrelid = 'one'::regclass") == [
        (True,)
    ]
    assert engine.open_rows() == 0


CASES = {
    "a build that had ended": (
        "CREATE INDEX CONCURRENTLY i ON one (id)",
        "CREATE INDEX i ON one (id)",
        heal.Healing.COMPLETED,
        {"i", "r"},
    ),
    "a build that had not begun": (
        "CREATE INDEX CONCURRENTLY i ON one (id)",
        "SELECT",
        heal.Healing.RUN_AGAIN,
        {"r"},
    ),
    "a build on a table that is not there": (
        "CREATE INDEX CONCURRENTLY i ON nowhere (id)",
        "SELECT",
        heal.Healing.RUN_AGAIN,
        {"r"},
    ),
    "two new indexes where the name was left to the server": (
        "CREATE INDEX CONCURRENTLY ON one (id)",
        "CREATE INDEX ON one (id); CREATE INDEX ON one (id)",
        heal.Healing.UNPROVABLE,
        {"one_id_idx", "one_id_idx1", "r"},
    ),
    "a drop that had ended": (
        "DROP INDEX CONCURRENTLY r",
        "DROP INDEX r",
        heal.Healing.COMPLETED,
        set(),
    ),
    "a drop that had not": (
        "DROP INDEX CONCURRENTLY r",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'r'::regclass",
        heal.Healing.RUN_AGAIN,
        {"r"},
    ),
    "a rebuild that was stopped before the swap": (
        "REINDEX INDEX CONCURRENTLY r",
        """CREATE INDEX r_ccnew ON one (id);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'r_ccnew'::regclass""",
        heal.Healing.RUN_AGAIN,
        {"r"},
    ),
    "a rebuild that was stopped after the swap": (
        "REINDEX INDEX CONCURRENTLY r",
        """ALTER INDEX r RENAME TO r_ccold; CREATE INDEX r ON one (id);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'r_ccold'::regclass""",
        heal.Healing.RUN_AGAIN,
        {"r"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_of_an_interrupted_statement_is_told_from_what_was_there(
    engine: Engine, case: str
) -> None:
    text, left, healing, indexes = CASES[case]
    engine.revisions.add("0001", TABLE + "\nop.execute('CREATE INDEX r ON one (id)')")
    engine.up()
    with engine.place().connect() as connection:
        before = heal.look(connection, text)
        connection.execute("SET allow_system_table_mods = on")
        connection.execute(left.encode())
        names = engine.place().names(connection)
        connection.execute(
            "INSERT INTO alembic_version_history (run, direction, revision, from_position, host, migrator,"
            " in_transaction, statement_number, statement, index_before, incident)"
            " VALUES ('r', 'up', '0002', '0001', 'h', '0', false, 1, %s, %s, 'x')",
            [text, before],
        )
        row = read_state(connection, names).open
        assert row is not None
        assert heal.concerns(row)

        assert heal.heal(connection, row) is healing

    found = engine.query(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'one'::regclass"
    )
    assert {name for (name,) in found} == indexes


def test_a_build_that_had_ended_is_not_run_again(engine: Engine, revisions: Revisions) -> None:
    revisions.add("0001", TABLE)
    engine.up()
    text = "CREATE INDEX CONCURRENTLY i ON one (id)"
    with engine.place().connect() as connection:
        before = heal.look(connection, text)
    engine.execute("CREATE INDEX i ON one (id)")
    engine.execute(
        "INSERT INTO alembic_version_history (run, direction, revision, from_position, host, migrator,"
        " in_transaction, statement_number, statement, index_before, incident)"
        f" VALUES ('r', 'up', '0002', '0001', 'h', '0', false, 1, '{text}', '{before}', 'x')"
    )
    revisions.add(
        "0002",
        f"with op.get_context().autocommit_block():\n    op.execute('{text}')\nop.execute('CREATE TABLE two ()')",
    )

    result = engine.up()

    assert (result.outcome, result.to) == (Outcome.APPLIED, "0002"), result.message
    assert engine.exists("two")
