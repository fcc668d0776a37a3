"""A revision begins in the string that completed the one before: what befalls either is told of it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schema_migrator.result import Outcome
from tests.fix_migrator import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_migrator import Command, Engine, Revisions


@pytest.fixture
def three(revisions: Revisions) -> Path:
    """Three SQL files, each of which makes a table."""
    folder = revisions.directory / "versions"
    for number, name in enumerate(("one", "two", "three"), 1):
        (folder / f"{number:04d}_{name}.up.sql").write_text(f"CREATE TABLE {name} (id int)")
        (folder / f"{number:04d}_{name}.down.sql").write_text(f"DROP TABLE {name}")
    return folder


def _history(engine: Engine) -> list[tuple[str, str]]:
    return [
        (revision, outcome)
        for revision, outcome in engine.query(
            "SELECT revision, outcome FROM alembic_version_history WHERE direction = 'up' ORDER BY id"
        )
    ]


def _refuse_rows_of(engine: Engine, revision: str, code: str = "23514") -> None:
    """Let the server refuse the history row of a revision."""
    engine.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'no row for you' USING ERRCODE = '{code}'; END $$"
    )
    engine.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON alembic_version_history FOR EACH ROW"
        f" WHEN (NEW.revision = '{revision}' AND NEW.outcome IS NULL) EXECUTE FUNCTION refuse()"
    )


@pytest.mark.every_postgres
@pytest.mark.usefixtures("three")
def test_what_can_not_begin_takes_nothing_from_what_is_completed(engine: Engine) -> None:
    assert engine.up(1).outcome is Outcome.APPLIED
    engine.down(1)
    _refuse_rows_of(engine, "0003")

    result = engine.up()

    assert result.outcome is Outcome.FAILED
    assert (result.applied, result.to, result.dirty) == (("0001", "0002"), "0002", False)
    assert result.sqlstate == "23514"
    assert "revision 0003 (up) failed: no row for you" in result.message
    assert engine.exists("two")
    assert not engine.exists("three")
    assert _history(engine)[-1] == ("0003", "failed")
    engine.execute("DROP TRIGGER refuse ON alembic_version_history")
    assert engine.up().applied == ("0003",)


@pytest.mark.usefixtures("three")
def test_what_can_not_begin_for_a_lock_is_tried_again(engine: Engine) -> None:
    assert engine.up(1).outcome is Outcome.APPLIED
    engine.down(1)
    engine.execute("CREATE SEQUENCE tries")
    _refuse_rows_of(engine, "0002", "55P03")
    engine.execute(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('tries') < 3 THEN RAISE EXCEPTION 'locked' USING ERRCODE = '55P03'; END IF; RETURN NEW; END $$"
    )

    result = engine.up()

    assert result.outcome is Outcome.APPLIED, result.message
    assert result.applied == ("0001", "0002", "0003")
    assert _history(engine)[-2:] == [("0002", "applied"), ("0003", "applied")]


def test_a_revision_that_did_not_stay_takes_the_begun_one_with_it(
    engine: Engine, three: Path
) -> None:
    (three / "0002_two.up.sql").write_text(
        "CREATE TABLE two (id int);"
        " CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE alembic_version SET version_num = '0001'; RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER undo AFTER UPDATE ON alembic_version DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.version_num = '0002') EXECUTE FUNCTION undo();"
    )

    result = engine.up()

    assert "what revision 0002 wrote did not stay" in result.message
    assert result.applied == ("0001",)
    assert not engine.exists("three")
    assert [row for row in _history(engine) if row[0] == "0003"] == []
    assert engine.open_rows() == 0


@pytest.mark.usefixtures("three")
def test_a_signal_while_the_next_begins_leaves_the_completed_one_applied(
    engine: Engine, migrate: Command
) -> None:
    assert engine.up(1).outcome is Outcome.APPLIED
    engine.down(1)
    engine.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_lock(77); RETURN NEW; END $$"
    )
    engine.execute(
        "CREATE TRIGGER wait BEFORE INSERT ON alembic_version_history FOR EACH ROW"
        " WHEN (NEW.revision = '0002') EXECUTE FUNCTION wait()"
    )
    with engine.database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(77)")
        running = migrate.start("up", "--lock-timeout", "60s")
        until(
            lambda: engine.query("SELECT 1 FROM pg_locks WHERE objid = 77 AND NOT granted"),
            what="the beginning of the second revision",
        )
        # The first was committed before the second began, in the same string.
        assert engine.position() == ["0001"]
        running.terminate()
        ended = migrate.wait(running)

    result = migrate.result()
    assert ended.code == 17
    assert result is not None
    assert (result["to"], result["applied"], result["dirty"]) == ("0001", ["0001"], False)
    assert engine.open_rows() == 0
    assert engine.up().applied == ("0002", "0003")


def test_a_file_that_can_not_be_read_is_told_when_it_is_its_turn(
    engine: Engine, three: Path
) -> None:
    (three / "0002_two.up.sql").write_text("ROLLBACK;")

    result = engine.up()

    assert (result.outcome, result.applied, result.to) == (Outcome.FAILED, ("0001",), "0001")
    assert "a revision may not send ROLLBACK" in result.message


def test_files_and_modules_follow_each_other_in_any_order(
    engine: Engine, revisions: Revisions, three: Path
) -> None:
    for number in (2, 3):
        for path in three.glob(f"000{number}_*.sql"):
            path.unlink()
    revisions.head = "0001"
    revisions.add("0002", "op.execute('CREATE TABLE two ()')", "op.execute('DROP TABLE two')")
    (three / "0003_three.up.sql").write_text("CREATE TABLE three ()")
    (three / "0003_three.down.sql").write_text("DROP TABLE three")
    (three / "0004_four.up.sql").write_text("CREATE TABLE four ()")
    (three / "0004_four.down.sql").write_text("DROP TABLE four")

    up = engine.up()

    assert up.applied == ("0001", "0002", "0003", "0004"), up.message
    down = engine.down()
    assert down.to == "base", down.message
    assert not any(engine.exists(name) for name in ("one", "two", "three", "four"))
