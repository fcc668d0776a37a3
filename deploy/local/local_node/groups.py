"""The control group that a site's containers are in."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_INHERITED: Final = ("cpuset.cpus", "cpuset.mems")
"""Empty in a new group of cgroup v1, which then can hold no process."""


def make(name: str) -> None:
    """Make a group, in each hierarchy where there are several.

    Args:
        name: with a slash for one inside another.

    Raises:
        OSError: it can't be made.
    """
    single = (_GROUPS / "cgroup.procs").exists()
    hierarchies = [_GROUPS] if single else [each.parent for each in _GROUPS.glob("*/cgroup.procs")]
    for hierarchy in hierarchies:
        folder = hierarchy
        for part in name.split("/"):
            parent, folder = folder, folder / part
            if single:
                _hand_down(parent)
            folder.mkdir(exist_ok=True)
            for setting in _INHERITED:
                if not single and (folder / setting).exists():
                    (folder / setting).write_text((parent / setting).read_text())


def _hand_down(parent: Path) -> None:
    """Let the groups inside one be bounded by all that it is bounded by (cgroup v2)."""
    for controller in (parent / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):  # a machine may keep one to itself
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
