"""A run that is stopped leaves the truth behind, however it is stopped."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from schema_migrator.result import Outcome
from tests.fix_migrator import until

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine

FIRST = "op.execute('CREATE TABLE one (id int)')"
IN_TRANSACTION = "op.execute('CREATE TABLE half ()')\nop.execute('SELECT pg_sleep(60)')"
OUTSIDE = (
    "op.execute('CREATE TABLE half ()')\n"
    "with op.get_context().autocommit_block():\n    op.execute('SELECT pg_sleep(60)')"
)
WITH_BARE_EXCEPT = """
op.execute('CREATE TABLE half ()')
end = time.monotonic() + 20
while time.monotonic() < end:
    try:
        op.execute('SELECT pg_sleep(0.1)')
    except:
        pass
"""
IN_PYTHON = (
    "op.execute('CREATE TABLE half ()')\nop.execute('SELECT 1 /* python sleeps */')\ntime.sleep(60)"
)


def _sleeping(engine: Engine, text: str) -> None:
    until(
        lambda: engine.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'migrate/%'"
            f" AND query LIKE '%{text}%'"
        ),
        what=f"a session with {text}",
    )


def _gone(engine: Engine) -> bool:
    return not engine.query(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'migrate/%'"
    )


def test_a_killed_process_in_a_transaction_leaves_a_clean_database_and_the_next_run_goes_on(
    engine: Engine, migrate: Command
) -> None:
    engine.revisions.add("0001", FIRST)
    engine.revisions.add("0002", IN_TRANSACTION)
    process = migrate.start("up")
    _sleeping(engine, "pg_sleep")
    os.kill(process.pid, signal.SIGKILL)
    ended = migrate.wait(process)

    # The report says that it began, and nothing else: a reader can't take it for an end.
    assert ended.result == {
        "v": 1,
        "outcome": "started",
        "lockWaitSeconds": 0,
        "durationSeconds": 0,
    }
    killed = time.monotonic()
    until(lambda: _gone(engine), what="the end of the backend")
    assert time.monotonic() - killed < 3
    assert migrate("version").out == "0001\n"
    engine.revisions.add("0002", "op.execute('CREATE TABLE half ()')")
    after = migrate("up")
    assert (after.code, after.result and after.result["to"]) == (0, "0002"), after.err


def test_a_killed_process_outside_a_transaction_leaves_a_dirty_database(
    engine: Engine, migrate: Command
) -> None:
    engine.revisions.add("0001", FIRST)
    engine.revisions.add("0002", OUTSIDE)
    process = migrate.start("up")
    _sleeping(engine, "pg_sleep")
    os.kill(process.pid, signal.SIGKILL)
    migrate.wait(process)
    until(lambda: _gone(engine), what="the end of the backend")

    version = migrate("version")
    assert (version.code, version.out) == (0, "0001 (dirty)\n")
    refused = migrate("up")
    assert refused.code == 11
    assert "statement 1 outside a transaction (SELECT pg_sleep(60))" in refused.err
    assert refused.result is not None
    assert (refused.result["dirty"], refused.result["to"]) == (True, "0001")
    incident = refused.result["incident"]
    assert migrate("force", "0001", "--incident", "wrong").code == 11
    assert migrate("force", "0002", "--incident", incident, "--reason", "looked").code == 0
    assert migrate("version").out == "0002\n"
    assert engine.query(
        "SELECT direction, from_position, to_position, incident, reason FROM alembic_version_history"
        " WHERE outcome = 'forced' ORDER BY id DESC LIMIT 1"
    ) == [("force", "0001", "0002", incident, "looked")]


STOPS = {
    "in a statement": (IN_TRANSACTION, "pg_sleep", 17),
    "outside a transaction": (OUTSIDE, "pg_sleep", 11),
    "in Python": (IN_PYTHON, "python sleeps", 17),
    "in a revision that swallows everything": (WITH_BARE_EXCEPT, "pg_sleep", 17),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_run_within_two_seconds_and_reports_what_is_true(
    engine: Engine, migrate: Command, stop: str, number: signal.Signals
) -> None:
    body, text, code = STOPS[stop]
    engine.revisions.add("0001", FIRST)
    engine.revisions.add("0002", body)
    process = migrate.start("up")
    _sleeping(engine, text)
    sent = time.monotonic()
    process.send_signal(number)
    ended = migrate.wait(process)

    assert time.monotonic() - sent < 2.5
    assert ended.code == code, ended.err
    assert ended.result is not None
    assert ended.result["outcome"] == ("interrupted" if code == 17 else "dirty")
    until(lambda: _gone(engine), what="the end of the backend")
    assert migrate("version").out == ("0001\n" if code == 17 else "0001 (dirty)\n")


def test_the_time_of_a_run_is_bounded(engine: Engine, migrate: Command) -> None:
    engine.revisions.add("0001", FIRST)
    engine.revisions.add("0002", IN_TRANSACTION)

    ended = migrate("up", "--timeout", "4s")

    assert ended.code == 16, ended.err
    assert ended.result is not None
    assert (ended.result["outcome"], ended.result["to"], ended.result["dirty"]) == (
        "timeout",
        "0001",
        False,
    )
    until(lambda: _gone(engine), what="the end of the backend")


def test_a_lost_session_is_read_again(engine: Engine, migrate: Command) -> None:
    engine.revisions.add("0001", FIRST)
    engine.revisions.add("0002", IN_TRANSACTION)
    process = migrate.start("up")
    _sleeping(engine, "pg_sleep")
    engine.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'migrate/%' AND datname = current_database()"
    )

    ended = migrate.wait(process)

    assert ended.code == 10, ended.err
    assert ended.result is not None
    assert (ended.result["sqlstate"], ended.result["to"], ended.result["dirty"]) == (
        "57P01",
        "0001",
        False,
    )


def test_a_resumable_revision_goes_on_after_a_kill(engine: Engine, migrate: Command) -> None:
    body = "op.execute('CREATE TABLE IF NOT EXISTS half ()')\n" + OUTSIDE.partition("\n")[2]
    engine.revisions.add("0001", FIRST)
    engine.revisions.add("0002", body, head="resumable = True")
    process = migrate.start("up")
    _sleeping(engine, "pg_sleep")
    os.kill(process.pid, signal.SIGKILL)
    migrate.wait(process)
    until(lambda: _gone(engine), what="the end of the backend")
    engine.revisions.add("0002", body.replace("60", "0"), head="resumable = True")

    result = engine.up()

    assert (result.outcome, result.to) == (Outcome.APPLIED, "0002"), result.message
    assert engine.query(
        "SELECT n.supersedes = o.id, o.outcome, n.outcome FROM alembic_version_history n"
        " JOIN alembic_version_history o ON o.id = n.supersedes"
    ) == [(True, "superseded", "applied")]


def test_a_revision_that_failed_is_not_resumed(engine: Engine) -> None:
    engine.revisions.add("0001", FIRST)
    body = "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')\n    op.execute('SELECT 1/0')"
    engine.revisions.add("0002", body, head="resumable = True")

    assert engine.up().outcome is Outcome.DIRTY
    assert engine.up().outcome is Outcome.DIRTY
