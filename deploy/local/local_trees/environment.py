"""An application's environment: its packages, as pinned, and the migrator."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]


class TreeError(Exception):
    """Something went wrong; the text says what, for a person."""


class Environment:
    """A virtual environment of one application.

    Args:
        name: the application's.
        folder: where the environments of all are.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        self._requirements = ROOT / "requirements" / "trees" / f"{name}.txt"

    def install(self, wheel: Path) -> None:
        """Make it if its requirements changed, and put the migrator's present state into it.

        Args:
            wheel: the migrator's.

        Raises:
            TreeError: something could not be installed.
        """
        stamp = self.folder / "installed"
        digest = hashlib.sha256(self._requirements.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != digest:
            venv.create(self.folder, with_pip=True, clear=True)
            self._pip("--require-hashes", "--requirement", str(self._requirements))
            stamp.write_text(digest)
        self._pip("--no-deps", "--force-reinstall", str(wheel))

    def _pip(self, *arguments: str) -> None:
        self.run(
            "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments
        )

    def run(self, program: str, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
        """Run one of its programs and return its standard output.

        Raises:
            TreeError: it failed; with the end of what it said.
        """
        ended = subprocess.run(
            [self.folder / "bin" / program, *arguments],
            env={
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                "PYTHONPATH": str(ROOT / "deploy" / "local"),
                "PYTHONWARNINGS": "ignore",
                **(variables or {}),
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )
        if ended.returncode:
            lines = (ended.stdout + ended.stderr).strip().splitlines()[-8:]
            raise TreeError("\n".join([f"{program} {' '.join(arguments)[:200]} failed:", *lines]))
        return ended.stdout


def build_wheel(folder: Path) -> Path:
    """Build the migrator's wheel into a folder and return it.

    Raises:
        TreeError: it can't be built.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    ended = subprocess.run(
        [*command, folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise TreeError(f"the wheel can't be built: {ended.stderr.strip()[-500:]}")
    return next(folder.glob("*.whl"))
