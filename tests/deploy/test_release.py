"""The workflow that publishes a release: what can be known of it without running it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yaml"
LINTER = ROOT / "deploy" / "local" / "build" / "actionlint"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return found


def _uses(jobs: dict[str, Any]) -> list[str]:
    return [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]


def test_the_fields_own_linter_finds_nothing() -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go to build actionlint with")
    program = "github.com/rhysd/actionlint/cmd/actionlint"
    ended = subprocess.run(
        [go, "run", "-C", LINTER, program, "-shellcheck=", "-pyflakes=", WORKFLOW],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stdout + ended.stderr


def test_every_action_is_pinned_to_a_commit_and_says_its_version(jobs: dict[str, Any]) -> None:
    text = WORKFLOW.read_text()
    pinned = re.findall(r"uses: (\S+@[0-9a-f]{40}) # v\d+\.\d+\.\d+\n", text)
    assert pinned == _uses(jobs)
    # One action, one version.
    assert len(set(pinned)) == len({name.partition("@")[0] for name in pinned})


def test_a_job_may_do_only_what_it_says(jobs: dict[str, Any]) -> None:
    assert yaml.safe_load(WORKFLOW.read_text())["permissions"] == {"contents": "read"}
    writes = {
        name: sorted(k for k, v in job.get("permissions", {}).items() if v == "write")
        for name, job in jobs.items()
    }
    assert writes == {
        "test": [],
        "build": ["attestations", "id-token"],
        "images": ["attestations", "id-token", "packages"],
        "chart": ["id-token", "packages"],
        "pypi": ["id-token"],
        "publish": ["contents"],
    }


def test_nothing_is_published_that_was_not_tested(jobs: dict[str, Any]) -> None:
    def before(name: str) -> set[str]:
        needed = jobs[name].get("needs", [])
        direct = {needed} if isinstance(needed, str) else set(needed)
        return direct.union(*map(before, direct))

    assert {name for name in jobs if "test" not in before(name)} == {"test"}


def test_it_names_no_registry_of_its_own(jobs: dict[str, Any]) -> None:
    logins = [
        step["with"]["registry"]
        for job in jobs.values()
        for step in job["steps"]
        if step.get("uses", "").startswith("docker/login-action")
    ]
    assert logins == ["${{ vars.REGISTRY }}"] * 2
    assert not re.search(r"\b[a-z0-9-]+\.(io|com|org|dev)\b", WORKFLOW.read_text())


def test_what_it_calls_is_there(jobs: dict[str, Any]) -> None:
    commands = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    makefile = (ROOT / "Makefile").read_text()
    targets = " ".join(re.findall(r"\bmake ([a-z -]+)$", commands, re.MULTILINE)).split()
    assert {"wheel", "sdist", "sbom", "chart", "audit"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    dockerfile = (ROOT / "Dockerfile").read_text()
    (build,) = (step for step in jobs["images"]["steps"] if step.get("id") == "build")
    arguments = set(re.findall(r"\b([A-Z]+)=", build["with"]["build-args"]))
    assert arguments == {"VERSION", "REVISION", "SOURCE", "BASE"}
    assert all(f"\nARG {name}" in dockerfile for name in arguments)
    for each in jobs["images"]["strategy"]["matrix"]["include"]:
        assert f" AS {each['target']}\n" in dockerfile
