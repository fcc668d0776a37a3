"""How the command is started, and what that must not change."""

from __future__ import annotations

import subprocess
import sys

from tests.fix_migrator import MIGRATE


def test_python_runs_the_package_as_the_command() -> None:
    whole = subprocess.run([MIGRATE, "--help"], capture_output=True, text=True, check=True)

    ended = subprocess.run(
        [sys.executable, "-m", "schema_migrator", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (0, whole.stdout)
