"""The README knows every name that is interface: nothing missing, nothing made up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schema_migrator.arguments import parser
from schema_migrator.result import EXIT_CODES, Outcome
from schema_operator.reason import Reason
from schema_operator.resource import Spec

README = (Path(__file__).parents[1] / "README.md").read_text()


def _first_cells(heading: str) -> str:
    """The first column of the table whose first heading is this."""
    table = README[README.index(f"| {heading} |") :].partition("\n\n")[0]
    return "\n".join(line.split(" | ")[0] for line in table.splitlines()[2:])


def _second_cells(heading: str) -> str:
    table = README[README.index(f"| {heading} |") :].partition("\n\n")[0]
    return "\n".join(line.split(" | ")[1] for line in table.splitlines()[2:])


def test_every_reason_is_documented_and_no_other() -> None:
    assert set(re.findall(r"`(\w+)`", _first_cells("reason"))) == {str(reason) for reason in Reason}


def test_every_field_of_the_spec_is_documented_and_no_other() -> None:
    documented = {
        name.partition(".")[0]
        for name in re.findall(r"`([\w.]+)`", _first_cells("field of `spec`"))
    }
    assert documented == {field.alias or name for name, field in Spec.model_fields.items()}


def test_every_exit_code_and_outcome_is_documented() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+)", _first_cells("exit"), re.MULTILINE)}
    assert codes == {1, 2, *EXIT_CODES.values()}
    outcomes = set(re.findall(r"`(\w+)`", _second_cells("exit")))
    assert outcomes == {str(outcome) for outcome in Outcome} - {"started"}


def test_every_command_is_documented() -> None:
    (commands,) = [action for action in parser()._actions if action.dest == "command"]
    assert commands.choices is not None
    documented = re.findall(r"`(\w+)", _first_cells("command"))
    assert set(documented) == set(commands.choices)


def test_the_makefile_targets_of_the_readme_exist() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"make ([a-z0-9-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w./-]+)\)", README))))
def test_links_into_the_tree_lead_somewhere(path: str) -> None:
    assert (Path(__file__).parents[1] / path).exists()
