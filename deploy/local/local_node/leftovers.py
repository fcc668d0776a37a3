"""What a killed site leaves: control groups, and its link where it never took it over.

Run as a program: ``leftovers FOLDER GROUP LINK``.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from local_images import leftovers
from local_node import addresses
from local_node.errors import LocalNodeError


def remove(folder: Path, group: str, link: str) -> None:
    """Wait until the site's processes are gone, then remove what the kernel did not.

    Args:
        folder: the site's.
        group: the control group that its containers were in.
        link: the name of this machine's end of its link.
    """
    leftovers.remove(folder, group)
    with contextlib.suppress(LocalNodeError):  # gone with the site
        addresses.ip("link", "delete", link)


if __name__ == "__main__":
    remove(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
