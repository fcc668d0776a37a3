"""The tree is laid out so that nothing hides the standard library, and the wheel holds the product."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.conftest import pytest_plugins

ROOT = Path(__file__).parents[1]
SOURCE_ROOTS = ("operator", "migrations", "deploy/local")


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_no_python_file_lies_directly_in_a_source_root(root: str) -> None:
    assert sorted((ROOT / root).glob("*.py")) == []


def test_the_standard_librarys_operator_is_found_from_the_top_of_the_tree() -> None:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import operator; print(operator.itemgetter.__module__, operator.__file__)",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found.startswith("operator ")
    assert str(ROOT / "operator") not in found


def test_the_wheel_holds_both_programs_and_the_revisions_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "schema_migrator",
        "schema_operator",
        "tenant_registry",
        wheel.name.partition("-py3")[0] + ".dist-info",
    }
    assert "tenant_registry/versions/0001_init.py" in names
    assert "schema_migrator/py.typed" in names


def test_no_fixture_for_all_takes_the_place_of_another() -> None:
    """pytest would take the last one, without a word."""
    paths = [ROOT / f"{module.replace('.', '/')}.py" for module in pytest_plugins]
    names = [
        node.name
        for path in paths
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and any("pytest.fixture" in ast.unparse(one) for one in node.decorator_list)
    ]
    assert len(names) > 20
    assert sorted(names) == sorted(set(names))


def test_the_changelog_and_the_version_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == "Unreleased" or released[0] == version
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", one) for one in released[1:])


def test_every_make_target_has_a_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = {
        name for line in re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE) for name in line.split()
    }
    documented = set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))
    assert phony - documented == {"go"}


@pytest.mark.parametrize(
    "name",
    [
        "migrator",
        "operator",
        "development",
        "go",
        *sorted(f"trees/{path.stem}" for path in (ROOT / "requirements/trees").glob("*.txt")),
    ],
)
def test_requirements_are_pinned_with_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#", "\t"))]
    assert entries
    assert all("==" in line and line.endswith("\\") for line in entries)
    assert "://" not in text
