"""``migrate wait`` and ``migrate exec``: an entry point that starts nothing before its schema is there."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pytest

from tests.fix_migrator import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_migrator import Command, Engine, Revisions

SAY = (
    sys.executable,
    "-c",
    (
        "import hashlib, os, sys; url = hashlib.sha256(os.environb[b'DATABASE_URL']).hexdigest();"
        " print(os.getpid(), sys.argv[1:], url); sys.exit(7)"
    ),
)
"""Says what it was started with; of the URL only a digest, since no output may hold a secret."""


@pytest.fixture
def two(revisions: Revisions) -> Revisions:
    """A tree of two revisions."""
    for number in (1, 2):
        revisions.add(
            f"000{number}",
            f"op.execute('CREATE TABLE t{number} ()')",
            f"op.execute('DROP TABLE t{number}')",
        )
    return revisions


def _break(engine: Engine) -> None:
    engine.revisions.add(
        "0002",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE half ()')\n"
        "    op.execute('SELECT 1/0')",
    )
    engine.up()


CASES: dict[str, tuple[Callable[[Engine], object], tuple[str, ...], int, str]] = {
    "at the target": (lambda engine: engine.up(), (), 0, "the database is at 0002"),
    "at a revision": (lambda engine: engine.up(1), ("0001",), 0, "the database is at 0001"),
    "past a revision": (
        lambda engine: engine.up(),
        ("0001",),
        0,
        "the database is at 0002, past 0001",
    ),
    "base": (lambda engine: engine.up(), ("base",), 0, "past base"),
    "ahead": (
        lambda engine: engine.force("0009", unchecked=True),
        (),
        0,
        "the database is ahead: it is at 0009",
    ),
    "ahead and that is refused": (
        lambda engine: engine.force("0009", unchecked=True),
        ("--on-database-ahead", "refuse"),
        15,
        "use a newer image",
    ),
    "an unknown target": (lambda engine: engine.up(), ("nope",), 15, 'no revision "nope"'),
    "too late": (lambda engine: engine.up(1), ("--timeout", "3s"), 16, "waiting for 0002"),
    "dirty": (_break, (), 11, "migrate force REVISION --incident"),
    "dirty and waited for": (_break, ("--wait-dirty", "--timeout", "3s"), 16, "is dirty"),
    "a lost position": (
        lambda engine: (engine.up(), engine.execute("DELETE FROM alembic_version")),  # type: ignore[func-returns-value]
        (),
        15,
        "migrate force 0002",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_waiting_ends_when_it_can_be_said_how(
    engine: Engine, two: Revisions, migrate: Command, case: str
) -> None:
    prepare, words, code, text = CASES[case]
    prepare(engine)

    ended = migrate("wait", *words)

    assert (ended.code, text in ended.out + ended.err) == (code, True), ended.out + ended.err
    assert (ended.result or {})["message"] in ended.out + ended.err


def test_waiting_creates_nothing(engine: Engine, two: Revisions, migrate: Command) -> None:
    assert migrate("wait", "--timeout", "1s").code == 16

    assert engine.query("SELECT relname FROM pg_class WHERE relname ~ 'alembic'") == []


def test_waiting_says_once_what_it_waits_for_and_ends_with_the_migration(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.up(1)
    process = migrate.start("wait", "--", *SAY, "started")
    assert process.stderr is not None
    assert process.stderr.readline() == ("migrate: waiting for 0002: the database is at 0001\n")

    engine.up()
    ended = migrate.wait(process)

    assert ended.code == 7
    assert ended.out.startswith(f"{process.pid} ['started'] ")
    assert ended.err == "migrate: the database is at 0002\n"


def test_those_who_wait_hold_no_connection(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    process = migrate.start("wait")
    assert process.stderr is not None
    process.stderr.readline()

    until(
        lambda: (
            not engine.query(
                "SELECT 1 FROM pg_stat_activity WHERE application_name ~ '^migrate/'"
                " AND datname = current_database()"
            )
        ),
        what="no session of the waiting process",
    )
    assert process.poll() is None


def test_waiting_outlasts_a_server_that_is_not_there_yet(two: Revisions, migrate: Command) -> None:
    nobody = "postgresql://someone:hunter2@127.0.0.1:1/app"

    ended = migrate("wait", "--timeout", "6s", DATABASE_URL=nobody)

    assert ended.code == 13
    assert ended.err.splitlines()[0].startswith("migrate: no server answers")
    assert "hunter2" not in ended.err


def test_a_command_takes_over_after_the_migration(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    process = migrate.start("exec", "--", *SAY, "--flag", "--", "x")

    ended = migrate.wait(process)

    assert ended.code == 7
    url = hashlib.sha256(engine.database.url.encode()).hexdigest()
    assert ended.out == f"{process.pid} ['--flag', '--', 'x'] {url}\n"
    assert ended.err.splitlines()[-1] == ("migrate: applied 2 revisions; the database is at 0002")
    assert (ended.result or {})["outcome"] == "applied"
    assert engine.position() == ["0002"]


FAILURES = {
    "a revision that fails": ("op.execute('SELECT 1/0')", (), 10),
    "a command that is not there": ("pass", ("no-such-command",), 127),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_command_never_starts_after_a_failure(
    engine: Engine, two: Revisions, migrate: Command, case: str
) -> None:
    body, command, code = FAILURES[case]
    two.add("0003", body)

    ended = migrate("exec", "--", *(command or SAY))

    assert (ended.code, ended.out) == (code, "")
    if code == 127:
        assert ended.err == "migrate: no-such-command: there is no such command\n"
        assert ended.result is None
        assert not engine.exists("t1")


def test_a_command_is_not_hit_by_the_runs_own_alarm(two: Revisions, migrate: Command) -> None:
    check = "import signal; print(signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(15))"

    ended = migrate("exec", "--", sys.executable, "-c", check)

    assert ended.out == "0.0 0\n"


def test_json_of_a_run_goes_beside_the_commands_own_output(
    two: Revisions, migrate: Command
) -> None:
    ended = migrate("exec", "--json", "--", "echo", "hello")

    assert ended.out == "hello\n"
    assert '"outcome": "applied"' in ended.err


USAGE = {
    "no command": ("exec",),
    "no command after the dashes": ("exec", "--"),
    "a command without dashes": ("exec", "echo"),
}


@pytest.mark.parametrize("case", USAGE)
def test_a_command_is_told_by_two_dashes(migrate: Command, case: str) -> None:
    ended = migrate(*USAGE[case])

    assert ended.code == 2
    assert ended.err.count("\n") == 1


def test_a_server_that_takes_no_writes_can_be_waited_on(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.up()
    name = engine.database.url.rpartition("/")[2]
    engine.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    assert migrate("wait").code == 0
