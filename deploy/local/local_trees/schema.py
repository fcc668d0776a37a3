"""A database's schema as ``pg_dump`` writes it, without what is the migrator's or differs each time."""

from __future__ import annotations

import difflib
import subprocess
from typing import TYPE_CHECKING

from local_trees.environment import TreeError

if TYPE_CHECKING:
    from pathlib import Path


def dump(program: Path, url: str) -> list[str]:
    """Return the lines of a schema.

    Args:
        program: ``pg_dump``.
        url: where the database is.

    Raises:
        TreeError: it can't be dumped.
    """
    ended = subprocess.run(
        [program, "--schema-only", "--no-owner", "--exclude-table=alembic_version*", url],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise TreeError(f"pg_dump failed with {ended.returncode}")
    return [
        line
        for line in ended.stdout.splitlines()
        # Comments name versions, and \restrict a key that is made anew each time.
        if line.strip() and not line.startswith(("--", "\\"))
    ]


def difference(wanted: list[str], found: list[str]) -> list[str]:
    """Return what differs between two schemas, a line each; none where they are equal."""
    lines = difflib.unified_diff(wanted, found, "its own command", "migrate", n=1, lineterm="")
    return list(lines)
