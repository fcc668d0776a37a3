"""SQL files are revisions, named as golang-migrate names them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from schema_migrator import tree as trees
from schema_migrator.errors import ConfigurationError
from schema_migrator.result import Outcome

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine, Revisions


def write(revisions: Revisions, name: str, up: str, down: str | None = "SELECT 1") -> Path:
    """Write a pair of SQL files."""
    folder = revisions.directory / "versions"
    path = folder / f"{name}.up.sql"
    path.write_bytes(up.encode())
    if down is not None:
        (folder / f"{name}.down.sql").write_bytes(down.encode())
    return path


def three(revisions: Revisions) -> None:
    """Write a tree of three SQL revisions."""
    write(revisions, "0001_one", "CREATE TABLE one (id int);", "DROP TABLE one;")
    write(
        revisions,
        "0002_two",
        "CREATE TABLE two (id int); INSERT INTO two VALUES (1);",
        "DROP TABLE two;",
    )
    write(
        revisions,
        "0003_three",
        "CREATE INDEX CONCURRENTLY i ON one (id);",
        "DROP INDEX CONCURRENTLY i;",
    )


@pytest.mark.every_postgres
def test_a_tree_of_sql_files_goes_up_and_down(engine: Engine, revisions: Revisions) -> None:
    three(revisions)

    up = engine.up()
    assert (up.outcome, up.applied, up.to) == (Outcome.APPLIED, ("0001", "0002", "0003"), "0003"), (
        up.message
    )
    assert engine.exists("i")
    assert engine.up().outcome is Outcome.UP_TO_DATE
    assert engine.down(1).to == "0002"
    assert engine.goto("1", allow_downgrade=True).to == "0001"
    assert engine.goto("+1").to == "0002"
    assert engine.down().to == "base"
    assert not engine.exists("one")


def test_neither_alembic_nor_sqlalchemy_is_loaded_for_sql_files(
    migrate: Command, revisions: Revisions
) -> None:
    three(revisions)

    ended = migrate("up", PYTHONPROFILEIMPORTTIME="1")

    assert ended.code == 0, ended.err
    loaded = {
        line.rpartition("|")[2].strip()
        for line in ended.err.splitlines()
        if line.startswith("import time:")
    }
    assert "psycopg" in loaded
    assert not {
        name for name in loaded if name.partition(".")[0] in ("alembic", "sqlalchemy", "mako")
    }


@dataclasses.dataclass(frozen=True)
class Case:
    """An SQL file on a database that has the table ``one``."""

    name: str
    up: str
    outcome: Outcome = Outcome.APPLIED
    kept: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    sqlstate: str | None = None


CASES = (
    Case("several statements in one transaction", "CREATE TABLE a (); CREATE TABLE b (); SELECT 1/0;", Outcome.FAILED, gone=("a", "b"), sqlstate="22012"),
    Case("a body in dollars", "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN RETURN 1; END; $body$; CREATE TABLE a ();", kept=("a",)),
    Case("a transaction of its own around the whole", "BEGIN;\nCREATE TABLE a ();\nSELECT 1/0;\nCOMMIT;", Outcome.FAILED, gone=("a",), sqlstate="22012"),
    Case("a transaction of its own that works", "BEGIN; CREATE TABLE a (); COMMIT;", kept=("a",)),
    Case("a commit in the middle", "CREATE TABLE a (); COMMIT; CREATE TABLE b ();", kept=("a", "b")),
    Case("a commit in the middle and an error after it", "CREATE TABLE a ();\nCOMMIT;\nSELECT 1/0;", Outcome.DIRTY, kept=("a",), sqlstate="22012"),
    Case("ROLLBACK", "CREATE TABLE a (); ROLLBACK; CREATE TABLE b ();", Outcome.FAILED, gone=("a", "b")),
    Case("an isolation level", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE a AS SELECT current_setting('transaction_isolation') AS level;", kept=("a",)),
    Case("percent signs and colons", "CREATE TABLE a AS SELECT '100%s %(x)s' AS percent, '1'::text AS colons, ':name' AS name;", kept=("a",)),
    Case("line ends of Windows and a byte order mark", "\ufeffCREATE TABLE a ();\r\nCREATE TABLE b ();\r\n", kept=("a", "b")),
    Case("nothing but a comment", "-- later\n"),
    Case("an empty file", ""),
    Case("no transaction, by its own word", "-- migrate: no-transaction\nCREATE TABLE a ();\nCREATE INDEX CONCURRENTLY i ON one (id);\n", kept=("a", "i")),
    Case("no transaction, and an error after a statement", "-- migrate: no-transaction\nCREATE TABLE a ();\nSELECT 1/0;\n", Outcome.DIRTY, kept=("a",), sqlstate="22012"),
    Case("an index built concurrently that fails", "CREATE UNIQUE INDEX CONCURRENTLY i ON one (id)", Outcome.FAILED, gone=("i",), sqlstate="23505"),
    Case("VACUUM alone", "VACUUM one;"),
    Case("a comment that the end of the file ends", "CREATE TABLE a (); -- at last", kept=("a",)),
    Case("a comment before a semicolon, in a transaction of its own", "BEGIN;\nCREATE TABLE a () -- one\n;\nCREATE TABLE b ();\nCOMMIT;", kept=("a", "b")),
    Case("a quote that is not closed", "CREATE TABLE a (); SELECT 'it", Outcome.FAILED, gone=("a",), sqlstate="42601"),
    Case("a quote that is closed by ours, if it is let", "CREATE TABLE a (); SELECT 'it\n; SET statement_timeout = 0; COMMIT; SELECT ", Outcome.FAILED, gone=("a",), sqlstate="42601"),
    Case("a statement that is not ended", "CREATE TABLE a (); INSERT INTO one VALUES (1", Outcome.FAILED, gone=("a",), sqlstate="42601"),
    Case("a function body that is not ended", "CREATE TABLE a (); CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1;", Outcome.FAILED, gone=("a",), sqlstate="42601"),
    Case("COPY to a client that takes nothing", "CREATE TABLE a (); COPY one TO STDOUT;", Outcome.FAILED, gone=("a",)),
    Case("COPY from a client that has nothing", "CREATE TABLE a (); COPY one FROM STDIN;", Outcome.FAILED, gone=("a",)),
    Case("a role, a search path and quoting of its own", "CREATE TABLE a (); SET ROLE pg_monitor; SET search_path = ''; SET standard_conforming_strings = off; SET client_encoding = 'LATIN1';", kept=("a",)),
    Case("a savepoint that is rolled back to", "CREATE TABLE a (); SAVEPOINT s; CREATE TABLE b (); ROLLBACK TO SAVEPOINT s;", kept=("a",), gone=("b",)),
    Case("what a session remembers is forgotten", "CREATE TABLE a (id serial); INSERT INTO a DEFAULT VALUES; DISCARD SEQUENCES; DISCARD PLANS; RESET ALL;", kept=("a",)),
    Case("a constraint that fails at the commit", "CREATE TABLE a (); ALTER TABLE one ADD x int UNIQUE DEFERRABLE INITIALLY DEFERRED; UPDATE one SET x = 1;", Outcome.FAILED, gone=("a",), sqlstate="23505"),
    Case("version rows that are taken away", "CREATE TABLE a (); DELETE FROM alembic_version;", Outcome.FAILED, gone=("a",)),
    Case("the lock given up", "CREATE TABLE a (); SELECT pg_advisory_unlock_all();", Outcome.FAILED, gone=("a",)),
    Case("a concurrent refresh, which needs no exception", "CREATE MATERIALIZED VIEW a AS SELECT DISTINCT id FROM one; CREATE UNIQUE INDEX ON a (id); REFRESH MATERIALIZED VIEW CONCURRENTLY a;", kept=("a",)),
)  # fmt: skip


@pytest.mark.every_postgres
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_runs_as_it_stands(engine: Engine, revisions: Revisions, case: Case) -> None:
    write(revisions, "0001_one", "CREATE TABLE one (id int); INSERT INTO one VALUES (1), (1);")
    write(revisions, "0002_case", case.up)

    result = engine.up()

    assert (result.outcome, result.sqlstate) == (case.outcome, case.sqlstate), result.message
    assert result.to == ("0002" if case.outcome is Outcome.APPLIED else "0001")
    assert [name for name in case.kept if not engine.exists(name)] == []
    assert [name for name in case.gone if engine.exists(name)] == []
    assert engine.open_rows() == (1 if case.outcome is Outcome.DIRTY else 0)


def test_sql_and_python_revisions_stand_in_one_line_by_number(
    engine: Engine, revisions: Revisions
) -> None:
    revisions.add("0001", "op.execute('CREATE TABLE one (id int)')", "op.execute('DROP TABLE one')")
    write(revisions, "0002_two", "CREATE TABLE two (id int);", "DROP TABLE two;")
    revisions.head = "0002"
    revisions.add(
        "0003", "op.execute('CREATE TABLE three (id int)')", "op.execute('DROP TABLE three')"
    )
    write(
        revisions,
        "0004_four",
        "CREATE INDEX CONCURRENTLY i ON one (id);",
        "DROP INDEX CONCURRENTLY i;",
    )

    up = engine.up()
    assert (up.applied, up.to) == (("0001", "0002", "0003", "0004"), "0004"), up.message
    down = engine.down()
    assert (down.applied, down.to) == (("0004", "0003", "0002", "0001"), "base"), down.message


def test_a_missing_down_file_is_refused_before_anything_is_reverted(
    engine: Engine, revisions: Revisions
) -> None:
    write(revisions, "0001_one", "CREATE TABLE one ();", "DROP TABLE one;")
    write(revisions, "0002_two", "CREATE TABLE two ();", None)
    write(revisions, "0003_three", "CREATE TABLE three ();", "DROP TABLE three;")
    engine.up()

    result = engine.down()

    assert (result.outcome, result.to) == (Outcome.REFUSED, "0003")
    assert "0002" in result.message


def test_an_interrupted_file_that_can_resume_does(engine: Engine, revisions: Revisions) -> None:
    write(revisions, "0001_one", "CREATE TABLE one ();")
    text = "-- migrate: no-transaction\n-- migrate: resumable\nCREATE TABLE IF NOT EXISTS a ();\nVACUUM one;\n"
    path = write(revisions, "0002_two", text)
    assert engine.up(1).outcome is Outcome.APPLIED
    # What a kill between the two statements leaves.
    engine.execute("CREATE TABLE a ()")
    engine.execute(
        "INSERT INTO alembic_version_history (run, direction, revision, from_position, host, migrator, in_transaction,"
        " statement_number, statement, incident) VALUES ('r', 'up', '0002', '0001', 'h', '0', false, 2, 'VACUUM one', 'x')"
    )

    assert engine.up().outcome is Outcome.APPLIED

    path.write_text(text.replace("-- migrate: resumable\n", ""))
    engine.down(1)
    engine.execute(
        "INSERT INTO alembic_version_history (run, direction, revision, from_position, host, migrator, in_transaction,"
        " statement_number, statement, incident) VALUES ('r', 'up', '0002', '0001', 'h', '0', false, 2, 'VACUUM one', 'y')"
    )
    assert engine.up().outcome is Outcome.DIRTY


BROKEN = {
    "two files of one number": (["0001_a.up.sql", "1_b.up.sql"], "has the number 1 too"),
    "a down without an up": (["0001_a.up.sql", "0002_b.down.sql"], "has no .up.sql beside it"),
    "no number": (["0001_a.up.sql", "b.up.sql"], "must begin with a number"),
    "a number that is too long": ([f"{'1' * 33}_a.up.sql"], "more than 32 digits"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_names_that_make_no_line_are_refused_by_name(revisions: Revisions, case: str) -> None:
    names, words = BROKEN[case]
    for name in names:
        (revisions.directory / "versions" / name).write_text("SELECT 1")

    with pytest.raises(ConfigurationError, match=words):
        trees.load(str(revisions.directory))


def test_a_directive_that_is_not_known_is_refused(engine: Engine, revisions: Revisions) -> None:
    write(revisions, "0001_one", "-- migrate: no-transactions\nSELECT 1;")

    result = engine.up()

    assert result.outcome is Outcome.INVALID
    assert '"-- migrate: no-transactions" is not known' in result.message


def test_a_file_with_a_zero_byte_is_refused_whole(engine: Engine, revisions: Revisions) -> None:
    write(revisions, "0001_one", "CREATE TABLE one ();\0CREATE TABLE two ();")

    result = engine.up()

    assert (result.outcome, result.to) == (Outcome.INVALID, "base")
    assert "0001_one.up.sql is no text" in result.message
    assert not engine.exists("one")


def test_numbers_longer_than_a_machine_word_are_ordered_as_numbers(
    engine: Engine, revisions: Revisions
) -> None:
    write(revisions, "99999999999999999999_late", "CREATE TABLE late ();", "DROP TABLE late;")
    write(revisions, "20240101000000_early", "CREATE TABLE early ();", "DROP TABLE early;")

    assert engine.up().applied == ("20240101000000", "99999999999999999999")


BUILD = Path(__file__).parents[2] / "deploy" / "local" / "build" / "golang-migrate"


@pytest.mark.skipif(shutil.which("go") is None, reason="the directory is in a Go module")
def test_golang_migrates_own_example_runs_unchanged(migrate: Command) -> None:
    found = subprocess.run(
        ["go", "mod", "download", "-json", "github.com/golang-migrate/migrate/v4"],
        cwd=BUILD,
        capture_output=True,
        check=True,
    )
    directory = (
        Path(json.loads(found.stdout)["Dir"]) / "database" / "postgres" / "examples" / "migrations"
    )

    ended = migrate("up", "--tree", str(directory))

    assert ended.code == 0, ended.err
    assert ended.result is not None
    assert (len(ended.result["applied"]), ended.result["to"]) == (9, "1885849751")
    assert migrate("version", "--tree", str(directory)).out == "1885849751\n"
    # Four of them have no file for the way down: golang-migrate would pass over these without a word.
    assert migrate("down", "--all", "--tree", str(directory)).code == 15
