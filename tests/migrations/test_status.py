"""``migrate status``: every revision of a tree, and what became of it in one database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def _status(migrate: Command) -> dict[str, Any]:
    ended = migrate("status", "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert isinstance(document, dict)
    return document


def _edit(engine: Engine) -> None:
    engine.revisions.add("0001", "op.execute('CREATE TABLE another ()')")


def _interrupt(engine: Engine) -> None:
    engine.revisions.add(
        "0003",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE half ()')\n"
        "    op.execute('SELECT 1/0')",
    )
    engine.up()


CASES: dict[str, tuple[Sequence[Callable[[Engine], object]], list[str], str]] = {
    "an empty database": (
        [],
        ["pending", "pending", "pending"],
        "the database is at base, 3 pending",
    ),
    "some applied": (
        [lambda engine: engine.up(2)],
        ["applied", "applied", "pending"],
        "the database is at 0002, 1 pending",
    ),
    "all applied": (
        [lambda engine: engine.up()],
        ["applied", "applied", "applied"],
        "the database is at 0003",
    ),
    "one reverted": (
        [lambda engine: engine.up(), lambda engine: engine.down(1)],
        ["applied", "applied", "pending"],
        "the database is at 0002, 1 pending",
    ),
    "one edited since": (
        [lambda engine: engine.up(2), _edit],
        ["edited", "applied", "pending"],
        "edited since they were applied: 0001; what was run is not what the tree says now",
    ),
    "one edited after it was reverted": (
        [lambda engine: engine.up(1), lambda engine: engine.down(1), _edit],
        ["pending", "pending", "pending"],
        "the database is at base, 3 pending",
    ),
    "moved outside": (
        [
            lambda engine: engine.up(),
            lambda engine: engine.execute("UPDATE alembic_version SET version_num = '0002'"),
        ],
        ["applied", "applied", "pending"],
        "moved outside of migrate: the history ended at 0003",
    ),
    "ahead of the tree": (
        [lambda engine: engine.force("0009", unchecked=True)],
        ["pending", "pending", "pending", "unknown"],
        "ahead: the tree does not have 0009; use a newer image",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_status_says_of_each_revision_what_became_of_it(
    engine: Engine, three: Revisions, migrate: Command, case: str
) -> None:
    prepare, states, note = CASES[case]
    for step in prepare:
        step(engine)

    document = _status(migrate)

    assert [one["state"] for one in document["revisions"]] == states
    assert note in document["notes"]
    assert document["pending"] == sum(state == "pending" for state in states)
    assert document["movedOutside"] is (case == "moved outside")
    shown = migrate("status")
    assert shown.code == 0
    assert note in shown.out.splitlines()
    assert "\x1b" not in shown.out


def test_status_says_when_and_by_whom_a_revision_was_applied(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    before = engine.query("SELECT now()")[0][0]
    assert (
        migrate("up", "1", "--pod", "pod-7", "--image", "app:3", "--run-id", "release-3").code == 0
    )

    (first, second, _) = _status(migrate)["revisions"]

    assert first["revision"] == "0001"
    assert first["title"] == "Revision 0001"
    assert (first["host"], first["image"], first["run"]) == ("pod-7", "app:3", "release-3")
    assert first["user"] == engine.query("SELECT current_user")[0][0]
    assert first["appliedAt"] > before.isoformat()
    assert first["durationSeconds"] >= 0
    assert "appliedAt" not in second
    line = migrate("status").out.splitlines()[1]
    assert line.startswith("0001      applied  ")
    assert "on pod-7, app:3" in line


def test_status_tells_a_recorded_revision_from_one_that_was_run(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    engine.up(1)
    assert migrate("force", "0002", "--reason", "by hand").code == 0

    (first, second, third) = _status(migrate)["revisions"]

    assert "recordedBy" not in first
    assert (second["recordedBy"], second["reason"]) == ("force", "by hand")
    assert "recordedBy" not in third


def test_status_of_a_dirty_database_says_what_to_do(
    engine: Engine, three: Revisions, migrate: Command
) -> None:
    engine.up(2)
    _interrupt(engine)

    document = _status(migrate)

    incident = document["incident"]
    assert (document["dirty"], incident["revision"], incident["statementNumber"]) == (
        True,
        "0003",
        2,
    )
    assert incident["statement"] == "SELECT 1/0"
    assert [one["state"] for one in document["revisions"]] == ["applied", "applied", "dirty"]
    shown = migrate("status")
    assert shown.code == 0
    assert f"migrate force REVISION --incident {incident['id']}" in shown.out


def test_status_creates_nothing(engine: Engine, three: Revisions, migrate: Command) -> None:
    assert migrate("status").code == 0

    assert (
        engine.query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        == []
    )
