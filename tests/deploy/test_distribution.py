"""What is published is the same for whoever builds it: anybody can build it again and compare."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_PARTS = ("deploy", "docs", "migrations", "operator", "tests")
_FILES = ("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml")


def _built(source: Path, checkout: Path, target: str, *, mask: int, moment: int, zone: str) -> str:
    """The digest of what a checkout of its own gives, on a machine of another kind."""
    for name in _PARTS:
        ignored = shutil.ignore_patterns("__pycache__", "local", "*.pyc")
        shutil.copytree(source / name, checkout / name, ignore=ignored)
    for name in _FILES:
        shutil.copyfile(source / name, checkout / name)
    for path in checkout.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
        os.utime(path, (moment, moment))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", "out"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "TZ": zone, "PYTHONHASHSEED": str(mask)},
        umask=mask,
        check=True,
        capture_output=True,
    )
    (path,) = (checkout / "out").iterdir()
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_folder_umask_times_and_zone_leave_no_trace(
    target: str, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    first = _built(
        pytestconfig.rootpath, tmp_path / "a", target, mask=0o022, moment=10**9, zone="UTC"
    )
    second = _built(
        pytestconfig.rootpath,
        tmp_path / "far" / "away",
        target,
        mask=0o077,
        moment=17 * 10**8,
        zone="Asia/Tokyo",
    )

    assert first == second
