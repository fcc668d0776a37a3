"""Networks of this machine for nodes and containers, which nobody else uses."""

from __future__ import annotations

import os
import secrets
import subprocess
from typing import Final

from local_kubernetes.errors import LocalKubernetesError

# Out of the block for tests between networks (RFC 2544), which no network here uses.
BLOCK: Final = "198.19"
"""The first half of the addresses that are given out."""

_ATTEMPTS: Final = 20


def free() -> int:
    """Choose a network of 256 addresses in the block that this machine has no route to.

    Returns:
        The third number of its addresses.

    Raises:
        LocalKubernetesError: none was found.
    """
    for _ in range(_ATTEMPTS):
        number = secrets.randbelow(256)
        if not ip("route", "show", "root", f"{BLOCK}.{number}.0/24"):
            return number
    raise LocalKubernetesError(f"all networks of {BLOCK}.0.0/16 that were tried are in use")


def ip(*arguments: str) -> str:
    """Run ``ip`` and return its output.

    Raises:
        LocalKubernetesError: it failed; with its own words.
    """
    ended = subprocess.run(
        ["ip", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"},
    )
    if ended.returncode:
        raise LocalKubernetesError(f"ip {' '.join(arguments)}: {ended.stderr.strip()}")
    return ended.stdout.strip()
