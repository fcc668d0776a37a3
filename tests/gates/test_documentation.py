"""docs/gates.md says what the scripts, examples and tests here say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from schema_operator import names
from tests.gates import lua
from tests.gates.resources import unseen
from tests.gates.test_argocd import HEALTH
from tests.gates.test_kstatus import GATES
from tests.gates.test_pipeline import SCRIPT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gates.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

BESIDE = {"Ready": "", "Reconciling": "Reconciling", "Stalled": "Stalled", "neither": "–"}  # noqa: RUF001 - the README's dash


def rows(heading: str) -> list[list[str]]:
    table = PAGE[PAGE.index(f"| {heading} ") :].partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


def test_the_table_of_gates_is_what_the_tests_find() -> None:
    *known, new = rows("state")
    assert {
        BESIDE[re.split(r"[: ]", state)[0]]: (flux, argocd) for state, _, flux, argocd in known
    } == {beside: (str(gate), HEALTH[ready, beside]) for (ready, beside), gate in GATES.items()}
    assert [opens == "goes on" for _, opens, _, _ in known] == [True, False, False, False]
    assert new[3] == lua.run(lua.health_script(), unseen())["status"]


def test_the_exit_codes_are_those_of_the_script() -> None:
    documented = [code for code, _ in rows("exit")]
    assert documented == re.findall(r"^(?:exit| {4})  (\d)  ", SCRIPT.read_text(), re.MULTILINE)
    assert set(documented) == {"0", *re.findall(r"\bexit (\d)", SCRIPT.read_text())}


def test_the_actions_are_those_that_are_offered() -> None:
    documented = {name.strip("`") for name, *_ in rows("action")}
    assert documented == set(lua.run(lua.discovery_script(), unseen()))
    assert documented == {path.parent.name for path in ROOT.glob("deploy/argocd/actions/*/*.lua")}


def contained(part: Any, whole: Any) -> bool:
    """Whether all of a document's part stands in the whole."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and contained(value, whole[name]) for name, value in part.items()
        )
    return bool(part == whole)


EXAMPLES = {path: block for block in BLOCKS for path in re.findall(r"^# (deploy/\S+)", block)}


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_is_what_the_file_says(path: str) -> None:
    assert contained(yaml.safe_load(EXAMPLES[path]), yaml.safe_load((ROOT / path).read_text()))


def test_the_examples_name_the_resource_as_it_is_named() -> None:
    documents = [yaml.safe_load(block) for block in BLOCKS]
    checks = [each for one in documents for each in one.get("spec", {}).get("healthChecks", ())] + [
        one for one in documents if "kind" in one
    ]
    assert len(checks) == 2
    for each in checks:
        assert (each["apiVersion"], each["kind"]) == (names.API_VERSION, names.KIND)
    application = yaml.safe_load((ROOT / "deploy/argocd/example.yaml").read_text())["spec"]
    (ignored,) = application["ignoreDifferences"]
    assert (ignored["group"], ignored["kind"]) == (names.GROUP, names.KIND)


def test_the_application_waits_for_the_schema_of_the_same_source() -> None:
    schema, application = (
        yaml.safe_load((ROOT / "deploy/flux" / name).read_text())
        for name in ("schema.yaml", "application.yaml")
    )
    assert application["spec"]["dependsOn"] == [{"name": schema["metadata"]["name"]}]
    assert application["metadata"]["namespace"] == schema["metadata"]["namespace"]
    assert application["spec"]["sourceRef"] == schema["spec"]["sourceRef"]
    assert application["spec"]["path"] != schema["spec"]["path"]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w./-]+)\)", PAGE))))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / "docs" / path).exists()
