"""The control group that a site's containers are in."""

from __future__ import annotations

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
            folder.mkdir(exist_ok=True)
            for setting in _INHERITED:
                if not single and (folder / setting).exists():
                    (folder / setting).write_text((parent / setting).read_text())
