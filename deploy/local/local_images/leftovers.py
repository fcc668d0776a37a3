"""What an engine leaves in the kernel once it has been killed: control groups.

Its processes and mounts are in namespaces of their own and go with the first
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
    """Return the argument by which the processes of an engine are known.

    Args:
        folder: the engine's.
    """
    return f"--pidfile={folder}/pid"


def remove(folder: Path, name: str) -> None:
    """Wait until an engine's processes are gone, then remove its control groups.

    Args:
        folder: the engine's.
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
