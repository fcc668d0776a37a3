from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_wheel_carries_the_revisions(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=pytestconfig.rootpath,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    source = pytestconfig.rootpath / "migrations" / "tenant_registry" / "versions"
    revisions = {f"tenant_registry/versions/{path.name}" for path in source.glob("*.py")}
    assert "tenant_registry/versions/0001_init.py" in revisions
    assert revisions <= set(names)
