"""``migrate plan``: what a run would do, and an id that stands for exactly that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from schema_migrator.effect import Effect, find
from schema_migrator.statement import split

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_migrator import Command, Ended, Engine, Revisions


def _plan(migrate: Command, *words: str) -> dict[str, Any]:
    ended = migrate("plan", "--json", *words)
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert isinstance(document, dict)
    return document


def _id(migrate: Command, *words: str) -> str:
    return str(_plan(migrate, *words)["plan"]["id"])


def _refusal(ended: Ended) -> tuple[int, Any]:
    return ended.code, (ended.result or {}).get("refusal")


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


def test_an_sql_file_is_shown_as_it_is(revisions: Revisions, migrate: Command) -> None:
    text = "-- why\nCREATE TABLE one (id int);\nDROP TABLE IF EXISTS old;\n"
    (revisions.directory / "versions" / "0001_one.up.sql").write_text(text)

    (step,) = _plan(migrate)["steps"]
    shown = migrate("plan")

    assert (step["faith"], step["sql"]) == ("exact", text.strip())
    assert text.strip() in shown.out
    assert "-- removes: table old" in shown.out.splitlines()
    assert (shown.result or {})["plan"]["destructive"] == ["0001: table old"]


def test_locks_on_a_table_that_the_step_itself_makes_are_left_out(
    revisions: Revisions, migrate: Command
) -> None:
    (revisions.directory / "versions" / "0001_one.up.sql").write_text(
        "CREATE TABLE one (id int, two int REFERENCES two);"
        "CREATE INDEX ON one (id); ALTER TABLE one ALTER id TYPE bigint; CREATE INDEX ON two (id)"
    )

    (step,) = _plan(migrate)["steps"]

    assert step["locks"] == ["SHARE ROW EXCLUSIVE on two", "SHARE on two"]


def test_a_reader_who_stops_reading_is_no_bug(three: Revisions, migrate: Command) -> None:
    process = migrate.start("plan")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None

    _, error = process.communicate(timeout=30)

    assert (process.returncode, error) == (0, "")


def test_a_plan_changes_nothing_and_runs_as_it_says(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    document = _plan(migrate)

    assert engine.query("SELECT relname FROM pg_class WHERE relname ~ '^(t[0-9]|alembic)'") == []
    assert [step["revision"] for step in document["steps"]] == ["0001", "0002", "0003"]
    ended = migrate("up", "--plan-id", document["plan"]["id"])
    assert (ended.code, (ended.result or {})["to"]) == (0, "0003"), ended.err


def test_a_plan_downwards_shows_what_it_removes(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    engine.up()

    plan = _plan(migrate, "0001")["plan"]

    assert plan["revisions"] == ["0003", "0002"]
    assert plan["destructive"] == ["0003: table t3", "0002: table t2"]
    ended = migrate("goto", "0001", "--allow-downgrade", "--plan-id", plan["id"])
    assert ended.code == 0, ended.err
    assert engine.position() == ["0001"]


def test_there_is_no_plan_where_there_is_nothing_to_do(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    engine.up()

    document = _plan(migrate)

    assert (document["outcome"], document["plan"], document["steps"]) == ("up_to_date", None, [])


def test_the_same_plan_has_the_same_id_however_often_it_is_made(
    three: Revisions, migrate: Command
) -> None:
    three.add("0004", "import uuid\nop.execute(f\"SELECT '{uuid.uuid4()}'\")")

    first, second = _plan(migrate), _plan(migrate)

    assert first["plan"]["id"] == second["plan"]["id"]
    assert first["steps"][3]["digest"] != second["steps"][3]["digest"]


CHANGES: dict[str, Callable[[Engine], object]] = {
    "a revision's source": lambda engine: engine.revisions.add("0002", "op.execute('SELECT 2')"),
    "one more revision": lambda engine: engine.revisions.add("0004", "pass"),
    "the position": lambda engine: engine.force("0001"),
    "the position by this tree but not by this plan": lambda engine: (
        engine.up(1),
        engine.down(1),
        engine.force("0001"),
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_plan_that_is_no_longer_what_would_run_is_refused(
    engine: Engine, three: Revisions, migrate: Command, case: str
) -> None:
    approved = _id(migrate)
    CHANGES[case](engine)

    ended = migrate("up", "--plan-id", approved)

    assert _refusal(ended) == (15, "plan_outdated"), ended.err
    assert _id(migrate) in ended.err
    assert not engine.exists("t2")
    assert not engine.exists("t3")


def test_line_ends_do_not_make_another_plan(three: Revisions, migrate: Command) -> None:
    approved = _id(migrate)
    path = three.directory / "versions" / "0002_test.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert _id(migrate) == approved


def test_a_plan_goes_on_after_one_of_its_own_steps_had_failed(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    approved = _id(migrate)
    engine.execute("CREATE TABLE t3 ()")
    failed = migrate("up", "--plan-id", approved)
    assert (failed.code, (failed.result or {})["to"]) == (10, "0002"), failed.err
    engine.execute("DROP TABLE t3")

    ended = migrate("up", "--plan-id", approved)

    assert (ended.code, (ended.result or {})["to"]) == (0, "0003"), ended.err
    assert (ended.result or {})["applied"] == ["0003"]


def test_a_plan_of_some_steps_ends_with_them_though_it_is_run_again(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    approved = _id(migrate, "+2")
    assert migrate("up", "2", "--plan-id", approved).code == 0

    again = migrate("up", "2", "--plan-id", approved)

    assert (again.code, (again.result or {})["outcome"]) == (0, "up_to_date"), again.err
    assert engine.position() == ["0002"]


def test_a_plan_that_was_begun_is_refused_once_its_source_changed(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    approved = _id(migrate)
    engine.up(1)
    three.add("0003", "op.execute('SELECT 3')")

    assert _refusal(migrate("up", "--plan-id", approved)) == (15, "plan_outdated")
    assert engine.position() == ["0001"]


def test_a_dirty_database_has_no_plan(engine: Engine, three: Revisions, migrate: Command) -> None:
    three.add(
        "0004",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE half ()')\n"
        "    op.execute('SELECT 1/0')",
    )
    engine.up()

    ended = migrate("plan")

    assert ended.code == 11
    assert (ended.result or {})["incident"] in ended.err


EFFECTS = {
    "an index": (
        "CREATE UNIQUE INDEX i ON ONLY s.one (id)",
        Effect(locks=("SHARE on s.one",)),
    ),
    "an index without blocking": (
        "CREATE INDEX CONCURRENTLY ON one (id)",
        Effect(locks=("SHARE UPDATE EXCLUSIVE on one",)),
    ),
    "columns": (
        "ALTER TABLE one ADD x numeric(10, 2), DROP COLUMN IF EXISTS y, ALTER z DROP NOT NULL",
        Effect(locks=("ACCESS EXCLUSIVE on one",), removes=("column y of one",)),
    ),
    "a type": (
        'ALTER TABLE "One" ALTER COLUMN a TYPE bigint',
        Effect(locks=('ACCESS EXCLUSIVE on "One" (may rewrite it)',)),
    ),
    "a foreign key": (
        "ALTER TABLE one ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES two (id) NOT VALID",
        Effect(locks=("SHARE ROW EXCLUSIVE on one", "SHARE ROW EXCLUSIVE on two")),
    ),
    "its validation": (
        "ALTER TABLE one VALIDATE CONSTRAINT k",
        Effect(locks=("SHARE UPDATE EXCLUSIVE on one",)),
    ),
    "a new table": (
        "CREATE TABLE one (a int REFERENCES two)",
        Effect(locks=("SHARE ROW EXCLUSIVE on two",), makes="one"),
    ),
    "tables": (
        "/* old */ DROP TABLE one, s.two",
        Effect(
            locks=("ACCESS EXCLUSIVE on one", "ACCESS EXCLUSIVE on s.two"),
            removes=("table one", "table s.two"),
        ),
    ),
    "a table and what hangs on it": (
        "DROP TABLE one CASCADE",
        Effect(locks=("ACCESS EXCLUSIVE on one",), removes=("table one",), is_known=False),
    ),
    "a function": ("DROP FUNCTION f(int, text)", Effect(removes=("function f",))),
    "a trigger": (
        "DROP TRIGGER t ON one",
        Effect(locks=("ACCESS EXCLUSIVE on one",), removes=("trigger t of one",)),
    ),
    "all rows": (
        "TRUNCATE one",
        Effect(locks=("ACCESS EXCLUSIVE on one",), removes=("all rows of one",)),
    ),
    "some rows": (
        "DELETE FROM one WHERE id = 1",
        Effect(locks=("ROW EXCLUSIVE on one",), removes=("rows of one",)),
    ),
    "a type of its own": ("CREATE TYPE mood AS ENUM ('a', 'b')", Effect()),
    "a function's work": ("SELECT drop_everything()", Effect(is_known=False)),
    "a block": ("DO $$ BEGIN DROP TABLE one; END $$", Effect(is_known=False)),
    "a query that deletes": (
        "WITH gone AS (DELETE FROM one RETURNING *) SELECT 1",
        Effect(is_known=False),
    ),
}


@pytest.mark.parametrize("case", EFFECTS)
def test_a_statements_locks_and_removals_are_told_by_its_kind(case: str) -> None:
    text, effect = EFFECTS[case]

    (statement,) = split(text)

    assert find(statement) == effect


LOCKED = {
    "an index": "CREATE INDEX ON one (id)",
    "a column": "ALTER TABLE one ADD x int",
    "statistics": "ALTER TABLE one ALTER id SET STATISTICS 10",
    "storage": "ALTER TABLE one SET (fillfactor = 50)",
    "a foreign key": "ALTER TABLE one ADD FOREIGN KEY (id) REFERENCES two (id)",
    "a triggers state": "ALTER TABLE one DISABLE TRIGGER USER",
    "a trigger": "CREATE TRIGGER t BEFORE UPDATE ON one EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "a policy": "CREATE POLICY p ON one",
    "a comment": "COMMENT ON TABLE one IS 'x'",
    "a lock": "LOCK TABLE one IN SHARE ROW EXCLUSIVE MODE",
    "rows": "UPDATE one SET id = 1",
    "truncate": "TRUNCATE one",
    "statistics of columns": "CREATE STATISTICS s ON id, other FROM one",
    "a rule": "CREATE RULE r AS ON DELETE TO one DO INSTEAD NOTHING",
}


@pytest.mark.parametrize("case", LOCKED)
def test_the_server_takes_the_lock_that_is_told(engine: Engine, case: str) -> None:
    text = LOCKED[case]
    (statement,) = split(text)
    strength = [
        "AccessShareLock",
        "RowShareLock",
        "RowExclusiveLock",
        "ShareUpdateExclusiveLock",
        "ShareLock",
        "ShareRowExclusiveLock",
        "ExclusiveLock",
        "AccessExclusiveLock",
    ]
    with engine.database.connect() as connection:
        connection.execute("CREATE TABLE two (id int PRIMARY KEY)")
        connection.execute("CREATE TABLE one (id int, other int)")
        connection.execute("BEGIN")
        connection.execute(text.encode())
        taken = [
            row[0]
            for row in connection.execute(
                "SELECT mode FROM pg_locks WHERE relation = 'one'::regclass AND pid = pg_backend_pid()"
            )
        ]

    told = find(statement).locks[0].removesuffix(" on one").title().replace(" ", "") + "Lock"
    assert told == max(taken, key=strength.index)
