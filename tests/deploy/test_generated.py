"""What is made from other files under deploy/ is as `make generate` would make it now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
GENERATED: dict[Path, str] = runpy.run_path(str(DEPLOY / "generate.py"))["generated"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_a_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text() == GENERATED[path], "run `make generate`"
