"""What is left in the kernel of an engine, or of nodes, that was killed.

Processes and mounts are in namespaces of their own and go with the first
process; a control group does not, nor a link of this machine's own. Run as a
program: ``leftovers FOLDER GROUP LINK``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Final

from local_kubernetes import network
from local_kubernetes.errors import LocalKubernetesError

_GROUPS: Final = Path("/sys/fs/cgroup")
_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05


def mark(folder: Path) -> str:
    """Return the argument by which the first process of a folder is known.

    Args:
        folder: all that it writes is in it.
    """
    return f"--pidfile={folder}/pid"


def remove(folder: Path, group: str, link: str) -> None:
    """Wait until the processes are gone, then remove what stayed.

    Args:
        folder: the one that the first process is known by.
        group: the control group that all of its containers are in.
        link: the name of a network interface.
    """
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and (_runs(folder) or not _remove_groups(group)):
        time.sleep(_POLL_SECONDS)
    with contextlib.suppress(LocalKubernetesError):  # there is none, or it went by itself
        network.ip("link", "delete", link)


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
    remove(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
