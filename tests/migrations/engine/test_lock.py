"""One migrator at a time, and nobody waits without a bound."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from schema_migrator.history import LOCK_CLASS
from schema_migrator.report import version
from schema_migrator.result import Outcome
from schema_migrator.walk import pause_after
from tests.fix_migrator import until

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine

pytestmark = pytest.mark.every_postgres


def test_of_four_at_once_one_applies_and_the_others_find_nothing_to_do(
    engine: Engine, migrate: Command
) -> None:
    for number in range(1, 6):
        engine.revisions.add(
            f"000{number}",
            f"op.execute('CREATE TABLE t{number} ()')\nop.execute('SELECT pg_sleep(0.05)')",
        )

    processes = [migrate.start("up", MIGRATE_RESULT_FILE="") for _ in range(4)]
    ended = [migrate.wait(process) for process in processes]

    assert [one.code for one in ended] == [0, 0, 0, 0], [one.err for one in ended]
    assert sorted(one.out.partition(":")[0].partition(" ")[0] for one in ended) == [
        "applied",
        "nothing",
        "nothing",
        "nothing",
    ]
    assert engine.query(
        "SELECT revision, count(*) FROM alembic_version_history WHERE outcome = 'applied' GROUP BY 1 ORDER BY 1"
    ) == [(f"000{number}", 1) for number in range(1, 6)]


def test_waiting_migrators_do_not_disturb_a_concurrent_index_build(
    engine: Engine, migrate: Command
) -> None:
    engine.revisions.add(
        "0001", "op.execute('CREATE TABLE one AS SELECT generate_series(1, 200000) AS id')"
    )
    engine.revisions.add(
        "0002",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON one (id)')\n"
        "    op.execute('SELECT pg_sleep(0.5)')\n    op.execute('CREATE INDEX CONCURRENTLY j ON one (id)')",
    )

    processes = [migrate.start("up", MIGRATE_RESULT_FILE="") for _ in range(3)]
    ended = [migrate.wait(process) for process in processes]

    assert [one.code for one in ended] == [0, 0, 0], [one.err for one in ended]
    assert engine.position() == ["0002"]


def test_a_lock_that_is_held_is_given_up_with_the_holders_name(engine: Engine) -> None:
    engine.revisions.add("0001", "op.execute('CREATE TABLE one ()')")
    with engine.place().connect() as connection:
        names = engine.place().names(connection)
    with engine.database.connect(application_name="somebody") as holder:
        holder.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, names.lock_key])
        pid = holder.info.backend_pid

        result = engine.up(timeout=0.5)

    assert result.outcome is Outcome.LOCKED
    assert result.blocked_by is not None
    assert "somebody" in result.blocked_by
    assert str(pid) in result.blocked_by
    assert not engine.exists("one")


def test_nothing_to_do_needs_no_lock(engine: Engine) -> None:
    engine.revisions.add("0001", "op.execute('CREATE TABLE one ()')")
    engine.up()
    with engine.place().connect() as connection:
        names = engine.place().names(connection)
    with engine.database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, names.lock_key])

        assert engine.up(timeout=0.5).outcome is Outcome.UP_TO_DATE


def test_an_applications_own_advisory_locks_do_not_collide(engine: Engine) -> None:
    engine.revisions.add("0001", "op.execute('CREATE TABLE one ()')")
    with engine.place().connect() as connection:
        key = engine.place().names(connection).lock_key
    with engine.database.connect() as application:
        application.execute("SELECT pg_advisory_lock(%s)", [(LOCK_CLASS << 32) | (key % 2**32)])

        assert engine.up(timeout=2).outcome is Outcome.APPLIED


def test_the_lock_is_free_at_no_moment_of_a_run(engine: Engine) -> None:
    with engine.place().connect() as connection:
        key = engine.place().names(connection).lock_key
    engine.revisions.add("0001", "op.execute('CREATE TABLE one ()')")
    # A step has asked whether the lock is held. Half of it is given back here: the other half is still there.
    engine.revisions.add(
        "0002",
        f"""
        ask = op.get_bind().exec_driver_sql
        assert ask('SELECT pg_advisory_unlock({LOCK_CLASS}, {key})').scalar()
        assert ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
            " AND pid = pg_backend_pid()").scalar() == 1
        assert ask('SELECT pg_try_advisory_lock({LOCK_CLASS}, {key})').scalar()
        """,
    )

    result = engine.up()

    assert (result.outcome, result.to) == (Outcome.APPLIED, "0002"), result.message


def test_a_lost_lock_is_retried_until_it_is_got(engine: Engine) -> None:
    engine.revisions.add("0001", "op.execute('CREATE TABLE one (id int)')")
    engine.up()
    engine.revisions.add(
        "0002", "op.execute('CREATE TABLE two ()')\nop.execute('ALTER TABLE one ADD x int')"
    )
    with engine.database.connect() as blocker, ThreadPoolExecutor() as pool:
        blocker.execute("BEGIN")
        blocker.execute("SELECT * FROM one")
        running = pool.submit(engine.up)
        until(
            lambda: any("55P03" in message for message in engine.reporter.messages),
            what="a lost lock",
        )
        blocker.execute("ROLLBACK")
        result = running.result(timeout=20)

    assert (result.outcome, result.to) == (Outcome.APPLIED, "0002"), result.message
    assert result.lock_wait_seconds > 0.3


def test_an_enumerated_type_that_was_rolled_back_is_made_again(engine: Engine) -> None:
    engine.execute("CREATE SEQUENCE tries")
    engine.revisions.add("0001", "op.execute('CREATE TABLE one ()')")
    engine.revisions.add(
        "0002",
        """
        op.create_table('two', sa.Column('c', sa.Enum('x', 'y', name='kind')))
        if op.get_bind().exec_driver_sql("SELECT nextval('tries')").scalar() == 1:
            op.execute("DO 'BEGIN RAISE lock_not_available; END'")
        """,
    )

    result = engine.up()

    assert (result.outcome, result.to) == (Outcome.APPLIED, "0002"), result.message
    assert engine.query("SELECT last_value FROM tries") == [(2,)]


def test_a_lock_that_is_never_got_ends_with_the_runs_time(engine: Engine) -> None:
    engine.revisions.add("0001", "op.execute('CREATE TABLE one (id int)')")
    engine.up()
    engine.revisions.add(
        "0002", "op.execute('CREATE TABLE two ()')\nop.execute('ALTER TABLE one ADD x int')"
    )
    with engine.database.connect() as blocker:
        blocker.execute("BEGIN")
        blocker.execute("SELECT * FROM one")

        result = engine.up(timeout=1.5)

    assert (result.outcome, result.sqlstate, result.to, result.dirty) == (
        Outcome.LOCKED,
        "55P03",
        "0001",
        False,
    )
    assert not engine.exists("two")


def test_each_try_of_a_revision_sees_its_module_afresh(engine: Engine) -> None:
    engine.revisions.add("0001", "op.execute('CREATE TABLE one (id int)')")
    engine.up()
    engine.revisions.add(
        "0002",
        "tries.append(1)\nassert len(tries) == 1\nop.execute('ALTER TABLE one ADD x int')",
        head="tries = []",
    )
    with engine.database.connect() as blocker, ThreadPoolExecutor() as pool:
        blocker.execute("BEGIN")
        blocker.execute("SELECT * FROM one")
        running = pool.submit(engine.up)
        until(
            lambda: any("55P03" in message for message in engine.reporter.messages),
            what="a lost lock",
        )
        blocker.execute("ROLLBACK")

        assert running.result(timeout=20).outcome is Outcome.APPLIED


def test_a_reader_never_calls_a_live_run_dirty(engine: Engine) -> None:
    block = "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')"
    engine.revisions.add("0001", block, block)
    place = engine.place()
    ended = threading.Event()
    seen: list[object] = []

    def read() -> None:
        while not ended.is_set():
            seen.append(version(place, None, check=False).dirty)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(15):
            assert engine.up().outcome is Outcome.APPLIED
            assert engine.down(1).outcome is Outcome.APPLIED
    finally:
        ended.set()
        reader.join()

    assert len(seen) > 20
    assert not any(seen)


@pytest.mark.parametrize(
    ("tries", "seconds"),
    [(1, 0.2), (2, 0.4), (6, 6.4), (7, 10.0), (100_000, 10.0)],
    ids=["first", "second", "sixth", "longest", "for days"],
)
def test_pauses_between_tries_double_up_to_the_longest(tries: int, seconds: float) -> None:
    assert pause_after(tries) == pytest.approx(seconds)
