"""The look for secrets finds what is planted, wherever the product writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fix_cluster import eventually
from tests.fix_secrets import gather
from tests.local.workload import container, job
from tests.operator.fix_operator import migration
from tests.witness import Witness

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects

ROOT = Path(__file__).parents[1]
URL = "postgresql://app:0123456789abcdef@127.0.0.1:5432/shop"

RUN = f"""
import logging


def test_that_writes(witness, tmp_path):
    witness.secret({URL!r})
    witness.text("output of a program", OUTPUT)
    (tmp_path / "operator.log").write_text(LOG)
"""


def ended(folder: Path, output: str, log: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest whose one test passes, after a program of its has written something."""
    (folder / "test_written.py").write_text(f"OUTPUT = {output!r}\nLOG = {log!r}\n{RUN}")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.fix_secrets", "-p", "no:cacheprovider"),
            *(f"--rootdir={folder}", f"--basetemp={folder / 'base'}", *options, str(folder)),
        ],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("--numprocesses=1",)], ids=["one-process", "workers"])
@pytest.mark.parametrize(
    ("output", "log", "words"),
    [
        ("connected", f"can't reach {URL}", "operator.log: …can't reach [the secret]…"),
        ("password 0123456789abcdef!", "{}", "output of a program: …password [the secret]!…"),
    ],
    ids=["in-a-log", "in-an-output"],
)
def test_a_run_in_which_a_secret_was_written_fails_though_its_tests_passed(
    tmp_path: Path, output: str, log: str, words: str, options: tuple[str, ...]
) -> None:
    run = ended(tmp_path, output, log, *options)
    assert "1 passed" in run.stdout
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert words in run.stdout
    assert "0123456789abcdef" not in run.stdout + run.stderr


@pytest.mark.parametrize("options", [(), ("--numprocesses=1",)], ids=["one-process", "workers"])
def test_a_run_in_which_none_was_written_passes(tmp_path: Path, options: tuple[str, ...]) -> None:
    run = ended(tmp_path, "connected to 127.0.0.1:5432/shop as app", "{}", *options)
    assert run.returncode == pytest.ExitCode.OK, run.stdout
    assert "Secrets: 0 of 3 words found in 2 texts" in run.stdout


def test_a_password_that_may_be_a_word_is_looked_for_with_its_user(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    witness.secret("postgresql://test:test@localhost/test")
    witness.text("one", "this is a test")
    witness.text("two", "at test:test@elsewhere")
    assert [finding.source for finding in witness.account().findings] == ["two"]


def test_whatever_stands_in_a_namespace_is_looked_through(
    installed: Cluster, objects: Objects, tmp_path: Path
) -> None:
    says = container(f"echo {URL}")
    objects.apply(job("shop", says), migration("shop", image=f"local/{URL}", suspend=True))
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "shop"},
        "involvedObject": {"kind": "Job", "namespace": objects.namespace, "name": "shop"},
        "message": URL,
    }
    objects.apply(event)
    found = Witness(tmp_path)
    found.secret(URL)

    def whole() -> set[str]:
        for source, text in gather(objects):
            found.text(source, text)
        return {finding.source.split()[0] for finding in found.account().findings}

    everywhere = {"job", "pod", "event", "schemamigration", "log"}
    eventually(lambda: whole() == everywhere)
