"""What is left in the kernel of an engine, or of nodes, that was killed: control groups.

Processes and mounts are in namespaces of their own and go with the first
process. Run as a program: ``leftovers FOLDER NAME``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05


def mark(folder: Path) -> str:
    """Return the argument by which the first process of a folder is known.

    Args:
        folder: all that it writes is in it.
    """
    return f"--pidfile={folder}/pid"


def remove(folder: Path, name: str) -> None:
    """Wait until the processes are gone, then remove the control groups.

    Args:
        folder: the one that the first process is known by.
        name: of the control group that all of its containers are in.
    """
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and (_runs(folder) or not _remove_groups(name)):
        time.sleep(_POLL_SECONDS)


def _runs(folder: Path) -> bool:
    argument = mark(folder).encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument in process.read_bytes().split(b"\0"):
                return True
    return False


def _remove_groups(name: str) -> bool:
    """Remove the groups, in each hierarchy where there are several; return whether all went."""
    tops = [*_GROUPS.glob(f"*/{name}"), *_GROUPS.glob(name)]
    for top in tops:
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
    return not any(top.exists() for top in tops)


if __name__ == "__main__":
    remove(Path(sys.argv[1]), sys.argv[2])
