"""How the command is started, and what that must not change."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.fix_migrator import MIGRATE

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Revisions


def test_python_runs_the_package_as_the_command() -> None:
    whole = subprocess.run([MIGRATE, "--help"], capture_output=True, text=True, check=True)

    ended = subprocess.run(
        [sys.executable, "-m", "schema_migrator", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (0, whole.stdout)


def test_a_run_of_sql_files_loads_only_what_it_needs(
    migrate: Command, revisions: Revisions
) -> None:
    (revisions.directory / "versions" / "0001_one.up.sql").write_text("CREATE TABLE one ()")

    ended = migrate("up", PYTHONPROFILEIMPORTTIME="1")

    assert ended.code == 0, ended.err
    loaded = {
        line.rpartition("|")[2].strip()
        for line in ended.err.splitlines()
        if line.startswith("import time:")
    }
    assert "schema_migrator.sql_body" in loaded
    assert not loaded & {"alembic", "sqlalchemy", "tomllib", "uuid", "platform"}
