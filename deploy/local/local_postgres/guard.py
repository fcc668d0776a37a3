"""Waits until nobody uses a server any more, and ends it.

Run as a program by its path, with the standard library alone, so that it starts
at once and needs no environment: ``guard.py LEASE FOLDER USER GROUP COMMAND…``,
where user and group are numbers, or empty for the caller's own.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path


def main(lease: str, folder: str, user: str, group: str, *command: str) -> None:
    """Wait for the lease, run the command that ends the server, delete the folder."""
    with Path(lease).open("a", encoding="utf-8") as stream:
        # Held until the folder is gone: who comes too late must not take a
        # share in a server that is being stopped.
        fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            subprocess.run(
                command,
                cwd="/",
                check=False,
                user=int(user) if user else None,
                group=int(group) if group else None,
                extra_groups=[] if user else None,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
