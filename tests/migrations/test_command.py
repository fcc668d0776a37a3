"""The command ``migrate``: what a person types, what is printed, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.fix_migrator import MIGRATE, until

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine, Revisions


@pytest.fixture
def three(revisions: Revisions) -> Revisions:
    """A tree of three revisions."""
    for number in (1, 2, 3):
        revisions.add(
            f"000{number}",
            f"op.execute('CREATE TABLE t{number} ()')",
            f"op.execute('DROP TABLE t{number}')",
        )
    return revisions


@pytest.mark.usefixtures("three")
def test_a_day_with_the_command(migrate: Command) -> None:
    steps = (
        (("version",), 0, "base\n"),
        (("up", "1"), 0, "applied 1 revision; the database is at 0001\n"),
        (("up",), 0, "applied 2 revisions; the database is at 0003\n"),
        (("up",), 0, "nothing to do: the database is at 0003\n"),
        (("up", "2"), 0, "nothing to do: the database is at 0003\n"),
        (("version",), 0, "0003\n"),
        (("version", "--check"), 0, "0003\n"),
        (("down", "2"), 0, "reverted 2 revisions; the database is at 0001\n"),
        (("version", "--check"), 15, "0001\n"),
        (
            ("up", "9"),
            0,
            "applied 2 revisions; the database is at 0003 (asked for 9, only 2 were left)\n",
        ),
        (("goto", "0002"), 15, ""),
        (
            ("goto", "0002", "--allow-downgrade"),
            0,
            "reverted 1 revision; the database is at 0002\n",
        ),
        (("goto", "+1"), 0, "applied 1 revision; the database is at 0003\n"),
        (("goto", "-2", "--allow-downgrade"), 0, "reverted 2 revisions; the database is at 0001\n"),
        (("goto", "head"), 0, "applied 2 revisions; the database is at 0003\n"),
        (("down", "4"), 15, ""),
        (("down", "--all"), 0, "reverted 3 revisions; the database is at base\n"),
        (("down", "--all"), 0, "nothing to do: no revision is applied\n"),
        (("force", "0002"), 0, "recorded 0002, ran nothing\n"),
        (("force", "-1"), 0, "recorded base, ran nothing\n"),
        (("force", "nope"), 15, ""),
        (("force", "nope", "--unchecked"), 0, "recorded nope, ran nothing\n"),
        (("up",), 15, ""),
        (
            ("up", "--on-database-ahead", "accept"),
            0,
            "the database is ahead at nope, as accepted\n",
        ),
        (("force", "base"), 0, "recorded base, ran nothing\n"),
    )
    for words, code, out in steps:
        ended = migrate(*words)
        assert (words, ended.code, ended.out) == (words, code, out), ended.err
        assert ended.err == "" or ended.err.startswith("migrate: ")
        if ended.code:
            assert len(ended.err.splitlines()) == 1


REFUSALS = {
    "an unknown target": (("goto", "nope"), "target_unknown"),
    "a downgrade without leave": (("goto", "base"), "downgrade_not_allowed"),
    "more down than is applied": (("down", "9"), "too_few_applied"),
    "an incident that is not open": (("force", "0001", "--incident", "x"), "incident_mismatch"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_in_the_result_which_it_is(
    three: Revisions, migrate: Command, case: str
) -> None:
    words, refusal = REFUSALS[case]
    assert migrate("up", "2").code == 0

    ended = migrate(*words)

    assert ended.code == 15
    assert ended.result is not None
    assert (ended.result["outcome"], ended.result["refusal"], ended.result["to"]) == (
        "refused",
        refusal,
        "0002",
    )


def test_a_missing_downgrade_is_refused_before_anything_is_reverted(
    three: Revisions, migrate: Command
) -> None:
    three.add("0002", "op.execute('CREATE TABLE t2 ()')", "")
    assert migrate("up").code == 0

    ended = migrate("down", "--all")

    assert ended.code == 15, ended.err
    assert ended.result is not None
    assert (ended.result["refusal"], ended.result["to"]) == ("downgrade_missing", "0003")


def test_a_lost_position_is_refused_and_resolved_by_force(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    assert migrate("up").code == 0
    engine.execute("DELETE FROM alembic_version")

    refused = migrate("up")

    assert (refused.code, (refused.result or {}).get("refusal")) == (15, "position_lost")
    assert "migrate force 0003" in refused.err
    assert migrate("force", "0003").code == 0
    assert migrate("up").code == 0


def test_a_missing_history_is_made_again_and_recorded(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    assert migrate("up", "2").code == 0
    engine.execute("DROP TABLE alembic_version_history")

    ended = migrate("up")

    assert ended.code == 0
    assert "an interrupted revision before this run can't be excluded" in ended.err
    assert engine.query("SELECT direction, revision FROM alembic_version_history ORDER BY id") == [
        ("adopted", "0002"),
        ("up", "0003"),
    ]


def test_reading_creates_nothing(engine: Engine, three: Revisions, migrate: Command) -> None:
    assert migrate("version").code == 0
    assert migrate("version", "--check").code == 15
    assert migrate("down", "--all").code == 0
    assert (
        engine.query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        == []
    )


def test_stock_alembic_reads_the_same_position(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import create_engine

    assert migrate("up", "2").code == 0

    alembic = create_engine("postgresql+psycopg://", creator=engine.database.connect)
    with alembic.connect() as connection:
        assert MigrationContext.configure(connection).get_current_heads() == ("0002",)
    alembic.dispose()


USAGE = {
    "no command": (),
    "an unknown command": ("uq",),
    "an unknown flag": ("up", "--nope"),
    "no number for down": ("down",),
    "a number and all": ("down", "1", "--all"),
    "zero revisions": ("up", "0"),
    "a duration without a unit": ("up", "--timeout", "5"),
    "no bound for locks": ("up", "--lock-timeout", "0s"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage_ends_with_2_and_one_line(migrate: Command, case: str) -> None:
    ended = migrate(*USAGE[case])

    assert ended.code == 2
    if USAGE[case]:
        assert ended.err.startswith("migrate: ")
        assert ended.err.count("\n") == 1
    assert ended.result is None


CONFIGURATION = {
    "not a url": ({"DATABASE_URL": "not a url"}, "DATABASE_URL is no URL"),
    "unresolved": ({"DATABASE_URL": "${secrets.db}"}, "Orca"),
    "a duration without a unit": (
        {"MIGRATE_LOCK_TIMEOUT": "5"},
        "MIGRATE_LOCK_TIMEOUT needs a number and a unit",
    ),
    "a wrong choice": (
        {"MIGRATE_ON_DATABASE_AHEAD": "maybe"},
        "MIGRATE_ON_DATABASE_AHEAD is one of refuse, accept",
    ),
    "no such package": (
        {"MIGRATE_TREE": "no_such_package"},
        'there is no Python package "no_such_package"',
    ),
    "no such directory": ({"MIGRATE_TREE": "./nowhere"}, "there is no directory"),
}


@pytest.mark.parametrize("case", CONFIGURATION)
def test_a_wrong_environment_ends_with_14_and_names_the_variable(
    three: Revisions, migrate: Command, case: str
) -> None:
    variables, words = CONFIGURATION[case]

    ended = migrate("up", **variables)

    assert ended.code == 14, ended.err
    assert words in ended.err
    assert ended.result is not None
    assert ended.result["outcome"] == "invalid"
    assert words in ended.result["message"]


def test_an_environment_variable_nobody_knows_is_warned_of_but_for_a_services_links(
    three: Revisions, migrate: Command
) -> None:
    ended = migrate(
        "up", MIGRATE_TIMEOT="1m", MIGRATE_PORT="tcp://10.0.0.1:80", MIGRATE_SERVICE_HOST="10.0.0.1"
    )

    assert ended.code == 0
    assert "MIGRATE_TIMEOT is no option" in ended.err
    assert "PORT" not in ended.err


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_an_unreachable_server_is_told_from_a_refused_password_without_showing_either(
    three: Revisions, migrate: Command
) -> None:
    wrong = migrate.database.url.replace("://postgres:", "://postgres:hunter2")
    nobody = f"postgresql://someone:hunter2@127.0.0.1:{_closed_port()}/app"
    nowhere = "postgresql://someone:hunter2@host.invalid/app"
    for url, words in ((wrong, "refuses"), (nobody, "no server answers"), (nowhere, "no address")):
        ended = migrate("up", DATABASE_URL=url)
        assert ended.code == 13, ended.err
        assert words in ended.err
        for part in ("hunter2", "someone", "127.0.0.1", "host.invalid"):
            assert part not in ended.err + ended.out
            assert part not in str(ended.result)


def test_a_password_in_a_revisions_own_error_is_redacted(
    revisions: Revisions, migrate: Command
) -> None:
    revisions.add("0001", "raise ValueError('could not use ' + os.environ['DATABASE_URL'])")

    ended = migrate("up")

    assert ended.code == 10
    assert "could not use [redacted]" in ended.err
    password = migrate.database.url.partition("@")[0].rpartition(":")[2]
    assert password not in ended.err + ended.out + str(ended.result)


def test_a_tree_that_does_not_load_is_told_with_file_and_line(
    three: Revisions, migrate: Command
) -> None:
    path = three.add("0004", "pass")
    path.write_text(path.read_text() + "\nimport no_such_module\n")

    ended = migrate("up")

    assert ended.code == 14
    assert "no_such_module" in ended.err
    assert "0004_test.py, line" in ended.err


def test_two_revisions_of_one_id_are_refused(three: Revisions, migrate: Command) -> None:
    path = three.directory / "versions" / "0003_again.py"
    path.write_text((three.directory / "versions" / "0003_test.py").read_text())

    ended = migrate("up")

    assert ended.code == 14
    assert "0003 is present more than once" in ended.err


def test_several_heads_are_refused_with_their_names_and_moved_by_heads(
    three: Revisions, migrate: Command
) -> None:
    three.add(
        "0003b", "op.execute('CREATE TABLE t3b ()')", "op.execute('DROP TABLE t3b')", parent="0002"
    )

    refused = migrate("up")
    assert refused.code == 15
    assert "0003, 0003b" in refused.err
    moved = migrate("goto", "heads")
    assert (moved.code, (moved.result or {}).get("to")) == (0, "0003,0003b"), moved.err
    assert migrate("version").out == "0003,0003b\n"
    back = migrate("goto", "base", "--allow-downgrade")
    assert (back.code, (back.result or {}).get("to")) == (0, "base"), back.err


def test_create_writes_the_next_number_and_the_tree_stays_whole(
    three: Revisions, migrate: Command
) -> None:
    ended = migrate("create", "Add billing address!", DATABASE_URL="")

    assert ended.code == 0, ended.err
    path = three.directory / "versions" / "0004_add_billing_address.py"
    assert ended.out == f"{path}\n"
    assert 'down_revision = "0003"' in path.read_text()
    compile(path.read_text(), path, "exec")
    failed = migrate("up")
    assert failed.code == 10
    assert "write the upgrade of 0004" in failed.err
    assert migrate("create", "!?").code == 14


def test_json_reports_the_result_on_standard_output(three: Revisions, migrate: Command) -> None:
    import json

    ended = migrate("up", "--json")
    document = json.loads(ended.out)

    assert (document["v"], document["outcome"], document["from"], document["to"]) == (
        1,
        "applied",
        "base",
        "0003",
    )
    assert document["applied"] == ["0001", "0002", "0003"]
    assert document == ended.result
    assert json.loads(migrate("version", "--json").out)["pending"] == 0


def test_a_held_run_stays_ready_until_it_is_told_to_end(three: Revisions, migrate: Command) -> None:
    port = _closed_port()
    process = migrate.start("up", "--hold", "--listen", f"127.0.0.1:{port}")

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False

    until(ready, what="readiness")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    ended = migrate.wait(process)
    assert ended.code == 0
    assert ended.result is not None
    assert ended.result["outcome"] == "applied"


def test_help_lists_commands_and_exit_codes() -> None:
    shown = subprocess.run(
        [MIGRATE, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )

    for words in ("up", "down", "goto", "version", "force", "create", "DATABASE_URL", "11  dirty"):
        assert words in shown.stdout
