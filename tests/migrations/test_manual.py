"""docs/migrate.md knows every option, variable, refusal and field of JSON: nothing missing, nothing made up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from schema_migrator import options, result
from schema_migrator.arguments import parser
from schema_migrator.result import Outcome, Plan, Refusal, Result

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine, Revisions

MANUAL = (Path(__file__).parents[2] / "docs" / "migrate.md").read_text()


def _section(heading: str) -> str:
    text = MANUAL.partition(f"## {heading}\n")[2]
    assert text, heading
    return re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]


def _example(heading: str) -> dict[str, Any]:
    document = json.loads(_section(heading).partition("```json\n")[2].partition("```")[0])
    assert isinstance(document, dict)
    return document


def test_every_option_is_there_with_its_variable_and_no_other() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)[^`]*` \| `(\w+)` \|", _section("Options"), re.MULTILINE)

    assert dict(rows) == {option.flag: option.variable for option in options.EVERY}


def test_every_flag_of_the_parser_is_an_option_or_said_to_have_no_variable() -> None:
    (commands,) = [action for action in parser()._actions if action.dest == "command"]
    assert isinstance(commands.choices, dict)
    flags = {
        flag
        for command in commands.choices.values()
        for action in command._actions
        for flag in action.option_strings
        if flag.startswith("--")
    }
    without = set(re.findall(r"`(--[a-z]+)", _section("Options").rpartition("|\n")[2]))

    assert flags - {option.flag for option in options.EVERY} == without | {"--help"}


def test_every_refusal_is_there_and_no_other() -> None:
    sentence = _section("Result").rpartition("one of")[2]

    assert set(re.findall(r"`(\w+)`", sentence)) == {str(refusal) for refusal in Refusal}


def test_the_result_is_there_with_all_its_fields() -> None:
    full = Result(
        outcome=Outcome.REFUSED,
        refusal=Refusal.PLAN_OUTDATED,
        from_="a",
        to="b",
        target="c",
        applied=("d",),
        pending=1,
        dirty=False,
        incident="e",
        sqlstate="f",
        message="g",
        blocked_by="h",
        plan=Plan(id="i", revisions=("j",), destructive=("k",)),
        server="l",
        migrator="m",
    )

    assert _shape(_example("Result")) == _shape(json.loads(result.encode(full)))
    assert result.decode(json.dumps(_example("Result"))).outcome is Outcome.REFUSED


def _shape(value: Any) -> Any:
    """The names in a document, without its values; of a list the first entry stands for all."""
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return None


def test_the_status_is_there_with_all_its_fields(
    engine: Engine, revisions: Revisions, migrate: Command
) -> None:
    revisions.add("0001", "op.execute('CREATE TABLE one (x int)')")
    assert migrate("up", "--image", "app:1").code == 0
    revisions.add(
        "0002",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE half ()')\n"
        "    op.execute('SELECT 1/0')",
    )
    engine.up()

    assert _shape(json.loads(migrate("status", "--json").out)) == _shape(_example("`status`"))


def test_the_plan_is_there_with_all_its_fields(revisions: Revisions, migrate: Command) -> None:
    versions = revisions.directory / "versions"
    (versions / "0001_one.up.sql").write_text("ALTER TABLE one DROP x")

    document = json.loads(migrate("plan", "--json").out)

    assert _shape(document) == _shape(_example("`plan`"))


def test_the_findings_of_a_check_are_there_with_all_their_fields(
    revisions: Revisions, migrate: Command
) -> None:
    revisions.add("0001", "op.execute('CREATE TABLE one ()')")

    document = json.loads(migrate("check", "--json").out)

    assert _shape(document) == _shape(_example("`check`"))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w./-]+)", MANUAL))))
def test_links_lead_somewhere(path: str) -> None:
    assert (Path(__file__).parents[2] / "docs" / path).exists()


def test_a_plan_is_made_for_what_the_environment_aims_at(
    revisions: Revisions, migrate: Command
) -> None:
    for number in (1, 2):
        revisions.add(f"000{number}", f"op.execute('CREATE TABLE t{number} ()')")

    assert json.loads(migrate("plan", "--json", MIGRATE_TARGET="0001").out)["target"] == "0001"
    assert json.loads(migrate("plan", "0002", "--json", MIGRATE_TARGET="0001").out)["target"] == (
        "0002"
    )
