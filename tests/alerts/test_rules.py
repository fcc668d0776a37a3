"""The alerts under Prometheus' own check of rules: what sets each off, and what does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local_kubernetes.progress import Progress
from local_programs.program import PROMTOOL

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def promtool(*arguments: str, folder: Path = RULES) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROMTOOL.locate(Progress(sys.__stderr__))), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.service
def test_each_alert_is_set_off_by_what_it_is_for() -> None:
    checked = promtool("check", "rules", "rules.yaml")
    assert checked.returncode == 0, checked.stderr
    written = (RULES / "rules.yaml").read_text().count("- alert: ")
    assert f"{written} rules found" in checked.stdout
    tested = promtool("test", "rules", "rules_test.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.service
def test_an_alert_that_says_something_else_is_noticed(tmp_path: Path) -> None:
    for name in ("rules.yaml", "rules_test.yaml"):
        (tmp_path / name).write_text((RULES / name).read_text())
    text = (tmp_path / "rules.yaml").read_text()
    changed = text.replace("schema_migration_dirty == 1", "schema_migration_dirty == 0")
    assert changed != text
    (tmp_path / "rules.yaml").write_text(changed)
    assert promtool("test", "rules", "rules_test.yaml", folder=tmp_path).returncode != 0
