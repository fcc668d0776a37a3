"""Who blocks a step, and how far it is, is told while it waits and not afterwards."""

from __future__ import annotations

import dataclasses
import os
import pty
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from schema_migrator import url
from schema_migrator.console import Console
from schema_migrator.errors import UnreachableError
from schema_migrator.observer import Activity, Observer
from schema_migrator.result import Outcome
from schema_migrator.route import Goal, Way
from schema_migrator.run import Run
from schema_migrator.terminal import Terminal
from schema_migrator.tree import Step, load
from tests.fix_migrator import MIGRATE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from schema_migrator.result import Result
    from tests.fix_migrator import Command, Engine

pytestmark = pytest.mark.every_postgres


@pytest.fixture
def blocked(engine: Engine) -> Engine:
    """A database whose next revision needs a lock on ``one``."""
    engine.revisions.add("0001", "op.execute('CREATE TABLE one (id int)')")
    assert engine.up().outcome is Outcome.APPLIED
    engine.revisions.add("0002", "op.execute('ALTER TABLE one ADD x int')")
    return engine


@contextmanager
def _blocking(engine: Engine, name: str = "report-job") -> Iterator[psycopg.Connection]:
    """A session that holds a lock on ``one``."""
    with engine.database.connect(application_name=name) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM one")
        yield connection


def test_the_session_that_blocks_is_named_while_the_step_waits(blocked: Engine) -> None:
    with _blocking(blocked) as blocker, ThreadPoolExecutor() as pool:
        pid = blocker.info.backend_pid
        running = pool.submit(blocked.up)
        (seen,) = until(
            lambda: [one for one in blocked.reporter.activities if one.waits_for][:1],
            what="a blocker",
        )
        blocker.execute("ROLLBACK")
        result = running.result(timeout=20)

    assert result.outcome is Outcome.APPLIED, result.message
    assert seen.statement == "ALTER TABLE one ADD x int"
    assert seen.waits_for[0].startswith(
        f"report-job (user postgres, backend {pid}, idle in transaction"
    )
    assert result.blocked_by is not None
    assert result.blocked_by.startswith("report-job (user postgres")


def test_a_step_that_never_gets_its_lock_ends_with_the_blockers_name(blocked: Engine) -> None:
    with _blocking(blocked):
        result = blocked.up(timeout=1.5)

    assert result.outcome is Outcome.LOCKED
    assert "report-job" in (result.blocked_by or "")
    assert "report-job" in result.message
    assert any("report-job" in one for one in blocked.reporter.messages)


def test_a_blockers_query_is_told_to_nobody(blocked: Engine) -> None:
    with _blocking(blocked) as blocker:
        blocker.execute("SELECT 'hunter2'")
        result = blocked.up(timeout=1.5)

    assert "hunter2" not in repr((result, blocked.reporter))


RIGHTS = {
    "without pg_read_all_stats": ("SELECT", False),
    "with pg_read_all_stats": ("GRANT pg_read_all_stats TO {role}", True),
}


@pytest.mark.parametrize("case", RIGHTS)
def test_a_role_without_rights_still_learns_who_it_is(blocked: Engine, case: str) -> None:
    statement, sees_state = RIGHTS[case]
    role = f"weak_{os.urandom(4).hex()}"
    blocked.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'pw';"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON SCHEMA public TO {role};"
        f"ALTER TABLE one OWNER TO {role};" + statement.format(role=role)
    )
    try:
        weak = f"postgresql://{role}:pw@{blocked.database.url.rpartition('@')[2]}"
        place = dataclasses.replace(blocked.place(), url=url.parse(weak))
        run = Run(place, load(str(blocked.revisions.directory)), blocked.reporter, timeout=1.5)
        with _blocking(blocked) as blocker:
            result = run.move(Goal(target="head", way=Way.UP))
            pid = blocker.info.backend_pid
    finally:
        blocked.execute(
            f"DROP OWNED BY {role}; REASSIGN OWNED BY {role} TO postgres; DROP ROLE {role}"
        )

    assert result.outcome is Outcome.LOCKED, result.message
    assert (result.blocked_by or "").startswith(f"report-job (user postgres, backend {pid}")
    assert ("in its transaction" in (result.blocked_by or "")) is sees_state


def test_a_prepared_transaction_that_blocks_is_named(blocked: Engine) -> None:
    gid = f"order-{os.urandom(4).hex()}"
    with blocked.database.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE one")
        connection.execute(f"PREPARE TRANSACTION '{gid}'")
    try:
        result = blocked.up(timeout=1.5)
    finally:
        blocked.execute(f"ROLLBACK PREPARED '{gid}'")

    assert (result.outcome, result.blocked_by) == (
        Outcome.LOCKED,
        f"prepared transaction {gid}",
    )


def test_the_phase_of_an_index_build_is_told_and_the_snapshot_that_it_waits_for(
    engine: Engine,
) -> None:
    engine.revisions.add("0001", "op.execute('CREATE TABLE one (id int)')")
    engine.up()
    engine.revisions.add(
        "0002",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON one (id)')",
    )
    with (
        engine.database.connect(application_name="old-report") as blocker,
        ThreadPoolExecutor() as pool,
    ):
        blocker.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        blocker.execute("SELECT 1")
        running = pool.submit(engine.up)
        seen = until(
            lambda: [
                one
                for one in engine.reporter.activities
                if one.phase == "waiting for old snapshots" and one.waits_for
            ],
            what="the build waiting for a snapshot",
        )[0]
        blocker.execute("ROLLBACK")
        result: Result = running.result(timeout=20)

    assert result.outcome is Outcome.APPLIED
    assert seen.waits_for[0].startswith("old-report (")
    assert seen.percent is not None


def test_a_quick_step_is_not_looked_at(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Observer, "_connect", lambda _: pytest.fail("a second session"))
    engine.settings = dataclasses.replace(engine.settings, lock_timeout=30.0)
    engine.revisions.add("0001", "op.execute('CREATE TABLE one (id int)')")

    assert engine.up().outcome is Outcome.APPLIED
    assert engine.reporter.activities == []


def test_a_run_goes_on_where_nobody_can_look(
    blocked: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Observer) -> None:
        raise UnreachableError("no connection is left")

    monkeypatch.setattr(Observer, "_connect", refuse)
    with _blocking(blocked) as blocker, ThreadPoolExecutor() as pool:
        running = pool.submit(blocked.up)
        until(lambda: any("55P03" in one for one in blocked.reporter.messages), what="a lost lock")
        blocker.execute("ROLLBACK")

        assert running.result(timeout=20).outcome is Outcome.APPLIED
    assert blocked.reporter.activities == []


def test_nothing_is_left_of_the_observer_after_a_run(blocked: Engine) -> None:
    with _blocking(blocked):
        blocked.up(timeout=1.5)

    until(
        lambda: (
            not blocked.query(
                "SELECT 1 FROM pg_stat_activity WHERE application_name ~ '^migrate' AND datname = current_database()"
            )
        ),
        what="no session of the run",
    )


def test_a_log_has_a_line_for_a_blocker_and_not_one_for_each_look(
    blocked: Engine, migrate: Command
) -> None:
    with _blocking(blocked) as blocker:
        process = migrate.start("up", "--lock-timeout", "30s")
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        looks = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^migrate-observer'"
        assert until(lambda: blocked.query(looks + " AND datname = current_database()")[0][0])
        begun = blocked.query("SELECT now()")[0][0]
        last = "SELECT 1 FROM pg_stat_activity WHERE application_name ~ '^migrate-observer' AND query_start > %s"
        until(
            lambda: blocked.query(
                last.replace("%s", f"'{begun}'::timestamptz + interval '1.5 s'")
                + " AND datname = current_database()"
            ),
            what="more looks",
        )
        blocker.execute("ROLLBACK")
    ended = migrate.wait(process)

    assert ended.code == 0
    assert lines[0] == "migrate: 0002 up: Revision 0002\n"
    assert lines[1].startswith("migrate: 0002 up: waiting for report-job (user postgres, backend ")
    assert "\x1b" not in "".join(lines) + ended.err
    assert ended.err.startswith("migrate: 0002 up: done in ")
    assert "report-job" in (ended.result or {})["blockedBy"]


def test_a_terminal_has_one_line_that_is_written_over(blocked: Engine, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with _blocking(blocked) as blocker:
        process = subprocess.Popen(
            [MIGRATE, "up", "--lock-timeout", "30s"],
            env={
                "PATH": os.environ["PATH"],
                "TERM": "xterm",
                "DATABASE_URL": blocked.database.url,
                "MIGRATE_TREE": str(blocked.revisions.directory),
            },
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        seen = ""
        while seen.count("waiting for report-job") < 2:
            seen += os.read(ours, 4096).decode()
        blocker.execute("ROLLBACK")
    assert process.wait(timeout=20) == 0
    while "done in" not in seen:
        seen += os.read(ours, 4096).decode()
    os.close(ours)
    if process.stdout is not None:
        process.stdout.close()

    live = seen[seen.index("\r\x1b[K") :]
    assert live.startswith("\r\x1b[Kmigrate: 0002 up: ")
    assert "\r\x1b[K\x1b[32mmigrate: 0002 up: done in" in live


def _step(engine: Engine) -> Step:
    return load(str(engine.revisions.directory)).steps_up(("0001",), ())[0]


def test_a_live_line_fits_the_terminal_and_is_cleared_before_anything_else(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    engine.revisions.add("0001", "pass")
    console = Console(lambda text: text.replace("secret", "[redacted]"), Terminal(is_live=True))
    console.started(_step(engine))

    console.activity(
        Activity(
            statement="UPDATE one SET x = 'secret' " * 9,
            seconds=61.0,
            phase="building index",
            percent=40,
        )
    )
    console.warn("something")

    first, live, after = capsys.readouterr().err.replace("\r\x1b[K", "\n").splitlines()[0:3]
    assert first == "migrate: 0001 up: Revision 0001"
    assert live == "" or len(live) < 50
    assert "secret" not in live + after
