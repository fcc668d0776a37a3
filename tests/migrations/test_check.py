"""``migrate check``: what a tree's own CI finds on an empty database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from schema_migrator import catalogue
from schema_migrator.history import Names

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine, Revisions

TABLE = ("op.execute('CREATE TABLE one (id int)')", "op.execute('DROP TABLE one')")


def _check(migrate: Command) -> tuple[int, list[dict[str, Any]]]:
    ended = migrate("check", "--json")
    return ended.code, json.loads(ended.out)["findings"]


def test_a_good_tree_passes_and_leaves_the_database_empty(
    engine: Engine, revisions: Revisions, migrate: Command
) -> None:
    revisions.add("0001", *TABLE)
    revisions.add(
        "0002",
        "op.execute(\"CREATE TYPE mood AS ENUM ('a')\")\nop.execute('ALTER TABLE one ADD m mood')",
        "op.execute('ALTER TABLE one DROP m')\nop.execute('DROP TYPE mood')",
    )
    with engine.database.connect() as connection:
        before = catalogue.read(connection, Names("public"))

    ended = migrate("check")

    assert (ended.code, ended.out) == (
        0,
        "2 revisions applied, reverted and applied again: nothing found\n",
    ), ended.err
    with engine.database.connect() as connection:
        assert catalogue.is_empty(connection)
        assert catalogue.read(connection, Names("public")) == before


LEFT: dict[str, tuple[str, str, str]] = {
    "a table": ("op.execute('CREATE TABLE two ()')", "pass", "+ relation public.two"),
    "an index": ("op.execute('CREATE INDEX i ON one (id)')", "pass", "+ index CREATE INDEX i"),
    "a column": ("op.execute('ALTER TABLE one ADD x int')", "pass", "+ column public.one"),
    "a default": (
        "op.execute('ALTER TABLE one ALTER id SET DEFAULT 1')",
        "pass",
        "+ column public.one",
    ),
    "a constraint": (
        "op.execute('ALTER TABLE one ADD CONSTRAINT k CHECK (id > 0)')",
        "pass",
        "+ constraint k on public.one",
    ),
    "an enum": (
        "op.execute(\"CREATE TYPE mood AS ENUM ('a')\")",
        "pass",
        "+ type public.mood",
    ),
    "a function": (
        "op.execute(\"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'\")",
        "pass",
        "+ function CREATE OR REPLACE FUNCTION public.f()",
    ),
    "a trigger": (
        "op.execute('CREATE TRIGGER t BEFORE UPDATE ON one EXECUTE FUNCTION suppress_redundant_updates_trigger()')",
        "pass",
        "+ trigger CREATE TRIGGER t",
    ),
    "a comment": ("op.execute(\"COMMENT ON TABLE one IS 'x'\")", "pass", "+ comment table"),
    "a right": ("op.execute('GRANT SELECT ON one TO PUBLIC')", "pass", "+ relation public.one"),
    "a view": ("op.execute('CREATE VIEW v AS SELECT 1')", "pass", "+ relation public.v"),
    "a policy": ("op.execute('CREATE POLICY p ON one')", "pass", "+ policy p on public.one"),
    "a sequence": ("op.execute('CREATE SEQUENCE s')", "pass", "+ relation public.s"),
    "a schema": ("op.execute('CREATE SCHEMA s')", "pass", "+ schema s"),
    "too little": ("pass", "op.execute('DROP TABLE one')", "- relation public.one"),
}


@pytest.mark.parametrize("case", LEFT)
def test_a_downgrade_that_leaves_something_else_is_found(
    revisions: Revisions, migrate: Command, case: str
) -> None:
    up, down, detail = LEFT[case]
    revisions.add("0001", *TABLE)
    revisions.add("0002", up, down)

    code, findings = _check(migrate)

    assert code == 10
    assert (findings[0]["revision"], findings[0]["problem"]) == (
        "0002",
        "reverted, it leaves something else",
    )
    assert any(one.startswith(detail) for one in findings[0]["details"]), findings


def test_a_column_that_was_dropped_and_is_back_is_the_same_column(
    revisions: Revisions, migrate: Command
) -> None:
    revisions.add("0001", "op.execute('CREATE TABLE one (a int, b int)')", TABLE[1])
    revisions.add(
        "0002", "op.execute('ALTER TABLE one DROP b')", "op.execute('ALTER TABLE one ADD b int')"
    )

    assert _check(migrate) == (0, [])


FOUND = {
    "several heads": ("0002", None, "0001", "the tree has several heads"),
    "no downgrade": ("0002", "", ..., "revision 0002 has no downgrade"),
    "an id that is too long": ("0" * 33, "pass", ..., "has an id of more than 32 characters"),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_needs_no_database_is_found_first(
    engine: Engine, revisions: Revisions, migrate: Command, case: str
) -> None:
    revision, down, parent, problem = FOUND[case]
    revisions.add("0001", *TABLE)
    if down is None:
        revisions.add("0002b", "pass", parent=parent)
    revisions.add(revision, "pass", "pass" if down is None else down)

    code, findings = _check(migrate)

    assert code == 10
    assert problem in findings[0]["problem"]
    assert not engine.exists("alembic_version")


def test_a_revision_that_does_not_apply_again_is_found(
    revisions: Revisions, migrate: Command
) -> None:
    revisions.add("0001", *TABLE)
    revisions.add(
        "0002", "op.execute('CREATE TABLE two ()')", "op.execute('DROP TABLE IF EXISTS tow')"
    )

    ended = migrate("check")

    assert ended.code == 10
    assert "revision 0002 reverted, it leaves something else" in ended.out
    assert "revision 0002 does not apply again after it was reverted" in ended.out
    assert "42P07" in ended.out


BLOCK = """
op.execute('CREATE TABLE IF NOT EXISTS two ()')
with op.get_context().autocommit_block():
    op.execute('{}')
    op.execute('CREATE TABLE IF NOT EXISTS four ()')
"""
DROP = "op.execute('DROP TABLE IF EXISTS two, three, four')"
RESUMABLE: dict[str, tuple[str, str, str, str | None]] = {
    "one that can": (
        BLOCK.format("CREATE TABLE IF NOT EXISTS three ()"),
        DROP,
        "True",
        None,
    ),
    "one that can not": (
        BLOCK.format("CREATE TABLE three ()"),
        DROP,
        "True",
        "is resumable, and is not when stopped before statement 2",
    ),
    "one that can not once its last statement is done": (
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE three ()')",
        DROP,
        "True",
        "is resumable, and is not when stopped before statement 2",
    ),
    "one that can both ways": (
        BLOCK.format("CREATE TABLE IF NOT EXISTS three ()"),
        f"with op.get_context().autocommit_block():\n    {DROP}",
        "'both'",
        None,
    ),
    "one that can not downwards": (
        BLOCK.format("CREATE TABLE IF NOT EXISTS three ()"),
        (
            "with op.get_context().autocommit_block():\n    op.execute('DROP TABLE three')\n"
            "    op.execute('DROP TABLE two, four')"
        ),
        "'down'",
        "is resumable downwards, and is not when stopped before statement 2",
    ),
}


@pytest.mark.parametrize("case", RESUMABLE)
def test_a_revision_that_says_it_can_be_resumed_is_stopped_at_each_statement(
    engine: Engine, revisions: Revisions, migrate: Command, case: str
) -> None:
    up, down, declared, problem = RESUMABLE[case]
    revisions.add("0001", *TABLE)
    revisions.add("0002", up, down, head=f"resumable = {declared}")

    code, findings = _check(migrate)

    if problem is None:
        assert (code, findings) == (0, [])
    else:
        assert code == 10
        assert problem in findings[0]["problem"]


def test_a_database_that_is_not_empty_is_left_alone(
    engine: Engine, revisions: Revisions, migrate: Command
) -> None:
    revisions.add("0001", *TABLE)
    engine.execute("CREATE TABLE precious ()")

    ended = migrate("check")

    assert ended.code == 14
    assert ended.err.count("\n") == 1
    assert not engine.exists("one")
    assert not engine.exists("alembic_version")


def test_the_embedded_tree_passes(migrate: Command) -> None:
    assert migrate("check", MIGRATE_TREE="tenant_registry").code == 0
