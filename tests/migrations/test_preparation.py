"""``--baseline`` and ``--resolve``: a person's word that may stay where it is written acts once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine, Revisions

HALF = "op.execute('CREATE TABLE half ()')\nop.execute('COMMIT')\nop.execute('SELECT 1/0')"


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


@pytest.fixture
def dirty(engine: Engine, revisions: Revisions) -> str:
    """A database that is dirty at its second revision, which was put right since; the incident."""
    revisions.add("0001", "op.execute('CREATE TABLE t1 ()')")
    revisions.add("0002", HALF)
    incident = engine.up().incident
    assert incident is not None
    revisions.add("0002", "op.execute('CREATE TABLE t2 ()')")
    return incident


def test_a_schema_without_a_position_goes_on_from_its_baseline(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.execute("CREATE TABLE t1 ()")

    ended = migrate("goto", "--baseline", "0001", "head")

    assert (ended.code, ended.result) == (0, ended.result)
    assert ended.result is not None
    assert ended.result["applied"] == ["0002"]
    assert "recorded 0001" in ended.result["message"]
    assert engine.position() == ["0002"]


def test_an_empty_database_gets_no_baseline_and_every_revision(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    ended = migrate("up", MIGRATE_BASELINE="0001")

    assert ended.code == 0, ended.err
    assert engine.exists("t1")
    assert engine.position() == ["0002"]
    assert "the database is empty" in (ended.result or {})["message"]


@pytest.mark.parametrize("words", [("up",), ("goto", "head")], ids=" ".join)
def test_a_baseline_means_nothing_where_there_is_a_position(
    engine: Engine, two: Revisions, migrate: Command, words: tuple[str, ...]
) -> None:
    engine.up()
    engine.down(1)

    ended = migrate(*words, MIGRATE_BASELINE="0002")

    assert ended.code == 0, ended.err
    assert engine.position() == ["0002"]
    assert (ended.result or {})["applied"] == ["0002"]


def test_a_baseline_is_not_taken_for_a_database_that_went_back_to_base(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.up()
    engine.goto("base", allow_downgrade=True)
    engine.execute("CREATE TABLE other ()")

    ended = migrate("up", MIGRATE_BASELINE="0002")

    assert ended.code == 0, ended.err
    assert engine.exists("t1")


def test_a_plan_reckons_with_the_baseline_and_the_run_does_exactly_that_plan(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.execute("CREATE TABLE t1 ()")

    planned = migrate("plan", MIGRATE_BASELINE="0001").result
    assert planned is not None
    assert (planned["outcome"], planned["plan"]["revisions"]) == ("planned", ["0002"])
    assert planned["to"] == "base"
    assert not engine.exists("alembic_version")

    ended = migrate("goto", "head", "--plan-id", planned["plan"]["id"], MIGRATE_BASELINE="0001")
    assert ended.code == 0, ended.err
    assert engine.position() == ["0002"]


def test_a_baseline_that_is_all_there_is_to_record_has_a_plan_too(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.execute("CREATE TABLE t1 ()")

    planned = migrate("plan", MIGRATE_BASELINE="0002").result

    assert planned is not None
    assert (planned["outcome"], planned["pending"]) == ("planned", 0)
    assert planned["plan"]["id"].startswith("sha256:")


def test_the_incident_that_is_meant_is_resolved_and_the_run_goes_on(
    engine: Engine, dirty: str, migrate: Command
) -> None:
    engine.execute("DROP TABLE half")

    ended = migrate("goto", "head", "--resolve", f"{dirty}=0001")

    assert ended.code == 0, ended.err
    assert engine.position() == ["0002"]
    assert engine.exists("t2")
    assert f"incident {dirty} is resolved" in (ended.result or {})["message"]


def test_another_incident_stays_open(engine: Engine, dirty: str, migrate: Command) -> None:
    ended = migrate("up", MIGRATE_RESOLVE="0123456789ab=0001")

    assert ended.code == 11
    assert (ended.result or {})["incident"] == dirty
    assert engine.position() == ["0001"]


def test_a_resolution_of_an_incident_that_is_past_changes_nothing(
    engine: Engine, dirty: str, migrate: Command
) -> None:
    engine.force("0001", incident=dirty)
    migrate("up")

    ended = migrate("up", MIGRATE_RESOLVE=f"{dirty}=0001")

    assert ended.code == 0, ended.err
    assert engine.position() == ["0002"]
    assert f"incident {dirty} is not open" in (ended.result or {})["message"]


def test_nothing_runs_while_no_plan_is_approved_and_the_refusal_brings_the_plan(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    ended = migrate("goto", "head", "--plan-id", "none")

    assert ended.code == 15
    assert ended.result is not None
    assert ended.result["refusal"] == "plan_outdated"
    assert ended.result["plan"]["revisions"] == ["0001", "0002"]
    assert ended.result["plan"]["id"] == (migrate("plan").result or {})["plan"]["id"]
    assert engine.position() == []


def test_no_approval_is_needed_where_there_is_nothing_to_do(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.up()

    assert migrate("goto", "head", "--plan-id", "none").code == 0


def test_a_plan_downwards_is_refused_where_no_run_may_go_down(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.up()

    assert migrate("plan", "0001").code == 0
    ended = migrate("plan", "0001", MIGRATE_ALLOW_DOWNGRADE="false")
    assert (ended.code, (ended.result or {})["refusal"]) == (15, "downgrade_not_allowed")


def test_a_plan_for_a_database_that_is_ahead_follows_the_policy(
    engine: Engine, two: Revisions, migrate: Command
) -> None:
    engine.up()
    engine.force("0009", unchecked=True)

    assert migrate("plan").code == 15
    ended = migrate("plan", MIGRATE_ON_DATABASE_AHEAD="accept")
    assert (ended.code, (ended.result or {})["outcome"]) == (0, "ahead_accepted")


@pytest.mark.parametrize("text", ["", "0001", "=0001", "abc="])
def test_a_resolution_without_both_parts_is_a_wrong_flag(
    two: Revisions, migrate: Command, text: str
) -> None:
    ended = migrate("up", "--resolve", text)

    assert ended.code == 2
    assert "--resolve" in ended.err
    assert "Traceback" not in ended.err
