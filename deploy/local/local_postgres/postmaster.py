"""What a running server says of itself in its ``postmaster.pid``."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# The file's lines, as PostgreSQL's miscadmin.h numbers them, from zero.
_PROCESS, _PORT, _STATUS = 0, 3, 7


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The server's first process."""

    process: int
    port: int


def read(data: Path) -> Postmaster | None:
    """Return the server that runs on a data folder and takes connections, if there is one."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) <= _STATUS or lines[_STATUS].strip() != "ready":
        return None
    process = int(lines[_PROCESS])
    # The file outlives a machine that lost its power, and another program may
    # have the number now.
    return Postmaster(process, int(lines[_PORT])) if _program(process) == "postgres" else None


def _program(process: int) -> str | None:
    """Return the name of the program that a process runs, if there is such a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # another user's, but there
    statistics = Path(f"/proc/{process}/stat")
    if statistics.exists():
        # "17 (postgres) S 1 …"; Z is one that has ended and waits for its parent.
        name, _, rest = statistics.read_text(encoding="utf-8").partition("(")[2].rpartition(")")
        return None if rest.split()[0] == "Z" else name
    listed = subprocess.run(
        ["ps", "-o", "comm=", "-p", str(process)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return Path(listed.stdout.strip()).name or None
