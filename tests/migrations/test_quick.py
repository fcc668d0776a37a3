"""The quick path answers what the full path would, in every state, and loads nothing for it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

from schema_migrator import manifest, result, source_graph
from schema_migrator.history import Names
from schema_migrator.launcher import render
from tests.fix_migrator import Engine, Revisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg

    from tests.postgres_server import Database

HEAVY = re.compile(
    r"\b(psycopg|sqlalchemy|alembic|argparse|json|importlib\.metadata|schema_migrator\.(cli|run|result))$",
    re.MULTILINE,
)
QUICK = (
    "up",
    "up 2",
    "goto head",
    "goto heads",
    "goto 0003",
    "exec -- echo hello",
    "exec --lock-timeout 3s -- /bin/sh -c exit",
    "version",
    "version --check",
)


@dataclasses.dataclass(frozen=True)
class Answer:
    code: int
    out: str
    said: str
    report: result.Result | None
    quick: bool


def ask(
    module: str, command: str, folder: Path, database: Database, tree: Revisions, **variables: str
) -> Answer:
    """Run the command by one of its two beginnings, and note which modules it loaded."""
    file = folder / f"result-{module}"
    file.unlink(missing_ok=True)
    ended = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-c",
            f"from schema_migrator.{module} import main; main()",
            *command.split(),
        ],
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database.url,
            "MIGRATE_TREE": str(tree.directory),
            "MIGRATE_RESULT_FILE": str(file),
            "MIGRATE_POD": "pod",
            **variables,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    loaded = "\n".join(one for one in ended.stderr.splitlines() if one.startswith("import time:"))
    said = "\n".join(one for one in ended.stderr.splitlines() if not one.startswith("import time:"))
    report = None
    if file.exists():
        report = dataclasses.replace(
            result.decode(file.read_bytes()), duration_seconds=0.0, lock_wait_seconds=0.0
        )
        report = dataclasses.replace(report, message=_timeless(report.message))
    return Answer(
        ended.returncode, _timeless(ended.stdout), _timeless(said), report, not HEAVY.search(loaded)
    )


def _timeless(text: str) -> str:
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+", "(time)", text)
    text = re.sub(r'"durationSeconds": [0-9.]+', '"durationSeconds": 0', text)
    return re.sub(r"\b\d+(\.\d+)?m?s\b", "(seconds)", text)


@pytest.fixture
def tree(revisions: Revisions) -> Revisions:
    """Three revisions with their manifest."""
    for number in ("0001", "0002", "0003"):
        revisions.add(number, f"op.execute('CREATE TABLE t{number} ()')", "pass")
    versions = revisions.directory / "versions"
    (versions / manifest.NAME).write_text(
        manifest.render(str(versions), source_graph.read(versions))
    )
    return revisions


def at_head(database: Database, tree: Revisions) -> None:
    assert Engine(database, tree).up().exit_code == 0


def open_row(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO alembic_version_history (run, direction, revision, from_position, incident, host, migrator)"
        " VALUES ('r', 'down', '0003', '0003', 'incident1', 'here', '0')"
    )


STATES: dict[str, Callable[[Database, Revisions], None]] = {}


def state(function: Callable[[Database, Revisions], None]) -> Callable[..., None]:
    STATES[function.__name__] = function
    return function


@state
def fresh(database: Database, tree: Revisions) -> None:
    """No table at all."""


@state
def behind(database: Database, tree: Revisions) -> None:
    Engine(database, tree).up(2)


@state
def ahead(database: Database, tree: Revisions) -> None:
    at_head(database, tree)
    Engine(database, tree).execute("UPDATE alembic_version SET version_num = '0004'")


@state
def several_rows(database: Database, tree: Revisions) -> None:
    at_head(database, tree)
    Engine(database, tree).execute("INSERT INTO alembic_version VALUES ('0001')")


@state
def dirty(database: Database, tree: Revisions) -> None:
    at_head(database, tree)
    with database.connect() as connection:
        open_row(connection)


@state
def history_missing(database: Database, tree: Revisions) -> None:
    at_head(database, tree)
    Engine(database, tree).execute("DROP TABLE alembic_version_history")


@state
def history_elsewhere(database: Database, tree: Revisions) -> None:
    """The name is found on the search path, but not beside the version table."""
    at_head(database, tree)
    Engine(database, tree).execute(
        "CREATE SCHEMA other; ALTER TABLE alembic_version_history SET SCHEMA other"
    )


@state
def position_lost(database: Database, tree: Revisions) -> None:
    at_head(database, tree)
    Engine(database, tree).execute("DELETE FROM alembic_version")


@state
def edited(database: Database, tree: Revisions) -> None:
    """The tree changed after its manifest was made."""
    at_head(database, tree)
    tree.add("0004", "pass")


@state
def edited_after_it_was_applied(database: Database, tree: Revisions) -> None:
    """The manifest is of the tree as it is now."""
    at_head(database, tree)
    Engine(database, tree).execute(
        "UPDATE alembic_version_history SET checksum = 'x' WHERE revision = '0002'"
    )


@pytest.mark.parametrize("command", ["up", "goto heads", "exec -- echo", "version --check"])
@pytest.mark.parametrize("name", STATES)
def test_both_paths_say_the_same(
    name: str,
    command: str,
    new_database: Callable[[], Database],
    tree: Revisions,
    tmp_path: Path,
) -> None:
    answers = []
    files = {path: path.read_bytes() for path in (tree.directory / "versions").glob("*.*")}
    for module in ("entry", "cli"):
        database = new_database()
        tree.head = "0003"
        STATES[name](database, tree)
        answers.append(ask(module, command, tmp_path, database, tree))
        for path in (tree.directory / "versions").glob("*.*"):
            path.unlink() if path not in files else path.write_bytes(files[path])

    quick, full = answers

    assert dataclasses.replace(quick, quick=False) == dataclasses.replace(full, quick=False)
    assert not quick.quick or (command, name) == (
        "version --check",
        "edited_after_it_was_applied",
    )


@pytest.mark.every_postgres
@pytest.mark.parametrize("command", QUICK)
def test_at_head_nothing_is_loaded_and_the_answer_is_the_same(
    command: str, database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)

    quick = ask("entry", command, tmp_path, database, tree)
    full = ask("cli", command, tmp_path, database, tree)

    assert quick.quick
    assert not full.quick
    assert quick == dataclasses.replace(full, quick=True)
    assert quick.code == 0


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO alembic_version_history (run, direction, revision, from_position, ended_at, outcome,"  # noqa: ISC004 - one statement
        " checksum, host, migrator) VALUES ('r', 'up', 'gone', '0', now(), 'applied', 'x', 'h', '0')",
        "UPDATE alembic_version_history SET checksum = NULL",
        "DELETE FROM alembic_version_history",
        "UPDATE alembic_version_history SET checksum = 'x', direction = 'down' WHERE revision = '0002'",
        "UPDATE alembic_version_history SET checksum = 'x', outcome = 'failed' WHERE revision = '0002'",
    ],
)
def test_what_the_history_holds_besides_is_no_edit(
    change: str, database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)
    Engine(database, tree).execute(change)

    quick = ask("entry", "up", tmp_path, database, tree)

    assert quick.quick
    assert quick == dataclasses.replace(ask("cli", "up", tmp_path, database, tree), quick=True)


def test_the_result_file_is_the_same_to_the_byte_but_for_the_time(
    database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)
    texts = []
    for module in ("entry", "cli"):
        ask(module, "up", tmp_path, database, tree)
        text = (tmp_path / f"result-{module}").read_text()
        texts.append(re.sub(r'"durationSeconds":[0-9.]+', "", text))
    assert texts[0] == texts[1]


def test_a_longer_result_of_before_is_overwritten_whole(
    database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)
    file = tmp_path / "log"
    file.write_text("x" * 4000)

    ask("entry", "up", tmp_path, database, tree, MIGRATE_RESULT_FILE=str(file))

    assert json.loads(file.read_text())["outcome"] == "up_to_date"


def test_several_heads_are_in_order_whatever_the_column_collates_by(
    database: Database, revisions: Revisions, tmp_path: Path
) -> None:
    for name in ("B1", "a2"):
        revisions.add(name, "pass", parent=None)
    versions = revisions.directory / "versions"
    (versions / manifest.NAME).write_text(
        manifest.render(str(versions), source_graph.read(versions))
    )
    assert Engine(database, revisions).goto("heads").to == "B1,a2"
    if Engine(database, revisions).query("SELECT 1 FROM pg_collation WHERE collname = 'en-x-icu'"):
        # Not every build has a collation in which these are the other way round.
        Engine(database, revisions).execute(
            'ALTER TABLE alembic_version ALTER version_num TYPE varchar(32) COLLATE "en-x-icu"'
        )

    quick = ask("entry", "goto heads", tmp_path, database, revisions)

    assert quick.out == "nothing to do: the database is at B1,a2\n"
    assert quick.quick
    full = ask("cli", "goto heads", tmp_path, database, revisions)
    assert quick == dataclasses.replace(full, quick=True)


def test_a_live_migrator_is_named_by_both(
    database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)
    with database.connect() as connection:
        names = Names("public")
        connection.execute("SELECT pg_advisory_lock(%s, %s)", [0x736D6967, names.lock_key])
        open_row(connection)

        quick = ask("entry", "up", tmp_path, database, tree)
        full = ask("cli", "up", tmp_path, database, tree)

    assert "in progress" in quick.out
    assert quick == full


@pytest.mark.parametrize(
    "options",
    [
        "--version-table other",
        "--version-table=other --version-table-schema=place",
        "--version-table-schema place",
    ],
)
def test_other_tables_are_asked_when_they_are_named(
    options: str, database: Database, tree: Revisions, tmp_path: Path
) -> None:
    Engine(database, tree).execute("CREATE SCHEMA place")
    assert ask("cli", f"up {options}", tmp_path, database, tree).code == 0

    quick = ask("entry", f"up {options}", tmp_path, database, tree)

    assert quick.quick
    assert quick == dataclasses.replace(
        ask("cli", f"up {options}", tmp_path, database, tree), quick=True
    )
    assert not ask("entry", "goto 0003", tmp_path, database, tree).quick


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ("up", {"MIGRATE_TIMEOUT": "15m", "MIGRATE_LOCK_TIMEOUT": "1m30s", "MIGRATE_IMAGE": "i"}),
        ("up", {"MIGRATE_ON_DATABASE_AHEAD": "accept", "MIGRATE_STATEMENT_TIMEOUT": "0s"}),
        ("version", {"MIGRATE_ON_DATABASE_AHEAD": "refuse"}),
        ("goto head --allow-downgrade", {"MIGRATE_RUN_ID": "r"}),
        ("up --lock-timeout 500ms --timeout=1h", {}),
    ],
)
def test_options_that_are_understood_stay_quick(
    command: str, variables: dict[str, str], database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)

    quick = ask("entry", command, tmp_path, database, tree, **variables)

    assert quick.quick
    assert quick == dataclasses.replace(
        ask("cli", command, tmp_path, database, tree, **variables), quick=True
    )


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ("up", {"MIGRATE_LOCK_TIMEOUT": "5"}),
        ("up", {"MIGRATE_LOCK_TIMEOUT": "0s"}),
        ("up", {"MIGRATE_LOCK_TIMEOUT": "1h1m1s1ms1s"}),
        ("up", {"MIGRATE_TIMEOUT": "123456s"}),
        ("up", {"MIGRATE_TIMEOUT": "19s"}),
        ("up", {"MIGRATE_SURPRISE": "1"}),
        ("up", {"MIGRATE_tree": "x"}),
        ("up", {"MIGRATE_TREE": "no_such_package"}),
        ("up", {"MIGRATE_ON_DATABASE_AHEAD": "perhaps"}),
        ("up --json", {}),
        ("exec", {}),
        ("exec --", {}),
        ("exec -- no-such-command", {}),
        ("exec -- /etc/passwd", {}),
        ("exec up -- echo", {}),
        ("up --lock-timeout", {}),
        ("up --lock-timeout --tree", {}),
        ("up --no-such-option", {}),
        ("up 0", {}),
        ("up -1", {}),
        ("up --check", {}),
        ("--check version", {}),
        ("version --allow-downgrade", {}),
        ("version --on-database-ahead refuse", {}),
        ("goto", {}),
        ("goto 0002", {}),
        ("goto 0004", {}),
        ("down 9", {}),
        ("", {}),
        ("up", {"DATABASE_URL": ""}),
        ("up", {"DATABASE_URL": "postgresql://u:p@${secrets.DB}/x"}),
        ("up", {"DATABASE_URL": "postgresql://u:<no value>@h/x"}),
        ("up", {"DATABASE_URL": "mysql://u:p@h/x"}),
        ("up", {"DATABASE_URL": "postgresql+a-b://u:p@h/x"}),
        ("up", {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x"}),
        ("up", {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1"}),
        ("up", {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x?nonsense=1"}),
        ("up", {"DATABASE_URL": "host=127.0.0.1 port=1 nonsense"}),
        ("up", {"MIGRATE_RESULT_FILE": "/no/such/folder"}),
    ],
)
def test_everything_else_is_left_to_the_full_path(
    command: str, variables: dict[str, str], database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)

    quick = ask("entry", command, tmp_path, database, tree, **variables)
    full = ask("cli", command, tmp_path, database, tree, **variables)

    assert not quick.quick
    assert quick == full


@pytest.mark.parametrize("what", ["password", "database"])
def test_a_refused_connection_is_reported_by_the_full_path_without_any_secret(
    what: str, database: Database, tree: Revisions, tmp_path: Path
) -> None:
    parts = urlsplit(database.url)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"nobody:hush@{host}", path="/nowhere"))
    if what == "database":
        url = urlunsplit(parts._replace(path="/nowhere"))

    quick = ask("entry", "up", tmp_path, database, tree, DATABASE_URL=url)

    assert quick.code == 13
    assert not re.search("hush|nobody|nowhere", quick.out + quick.said)
    assert quick == ask("cli", "up", tmp_path, database, tree, DATABASE_URL=url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "keywords"])
def test_every_form_of_the_url_is_quick(
    scheme: str, database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)
    parts = urlsplit(database.url)
    url = f"{scheme}://{database.url.partition('://')[2]}"
    if scheme == "keywords":
        url = (
            f"host={parts.hostname} port={parts.port} user={parts.username}"
            f" password={parts.password} dbname={parts.path[1:]}"
        )
    assert ask("entry", "up", tmp_path, database, tree, DATABASE_URL=url).quick


def test_a_locked_version_table_does_not_hold_the_quick_path_up(
    database: Database, tree: Revisions, tmp_path: Path
) -> None:
    at_head(database, tree)
    with database.connect() as connection, connection.transaction():
        connection.execute("LOCK alembic_version")

        quick = ask("entry", "up", tmp_path, database, tree)
        full = ask("cli", "up", tmp_path, database, tree)

    assert not quick.quick
    assert quick == full


def test_nothing_is_left_set_in_the_session_behind_a_pooler(
    database: Database, tree: Revisions, tmp_path: Path
) -> None:
    """What is set ends with the string that sets it: `SET LOCAL` gives no warning there."""
    at_head(database, tree)
    with database.connect() as connection:
        notices: list[str | None] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute(b"SET LOCAL lock_timeout = '500ms'; SELECT 1")
        found = connection.execute("SHOW lock_timeout").fetchone()
    assert (notices, found) == ([], ("0",))


def test_the_launcher_is_quick_and_finds_the_full_path(
    database: Database, tree: Revisions, tmp_path: Path
) -> None:
    launcher = tmp_path / "migrate"
    launcher.write_text(render())
    launcher.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.url,
        "MIGRATE_TREE": str(tree.directory),
    }

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [launcher, "up"], env=environment, capture_output=True, text=True, check=False
        )

    assert run().stdout == "applied 3 revisions; the database is at 0003\n"
    assert run().stdout == "nothing to do: the database is at 0003\n"
    assert "-SP" in launcher.read_text().splitlines()[0]
