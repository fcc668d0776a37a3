from __future__ import annotations

import subprocess
import sys
import tarfile
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


def test_the_source_distribution_carries_what_its_tests_and_its_readme_read(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path],
        cwd=pytestconfig.rootpath,
        check=True,
        capture_output=True,
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}

    documents = {f"docs/{path.name}" for path in (pytestconfig.rootpath / "docs").glob("*.md")}
    assert "docs/migrate.md" in documents
    assert documents | {"README.md", "migrations/tenant_registry/versions/0001_init.py"} <= names
