"""How long nobody is at work when the operator that leads ends: two of them, and one Lease."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from local_benchmark.errors import BenchmarkError
from local_benchmark.operator import free_port
from local_benchmark.operator_table import Budget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_benchmark.contender import Contender

LEASE_SECONDS: Final = 15
"""How long a Lease lasts, as the manifests have it."""

_BOUNDS: Final = {signal.SIGTERM: 2.0, signal.SIGKILL: LEASE_SECONDS + 5.0}
_LONGEST_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.01


async def takeovers(contender: Contender, folder: Path, say: Callable[[str], None]) -> list[Budget]:
    """Return how long it took until the standby led, for each manner in which a leader ends.

    Args:
        contender: our operator, which takes part in an election.
        folder: for the operators' logs.
        say: is told what is being done.
    """
    found = []
    for number, most in _BOUNDS.items():
        say(f"the leader ends by {number.name}")
        seconds = await asyncio.to_thread(_takeover, contender, folder, number)
        found.append(Budget(f"takeover after {number.name}, s", seconds, most))
    return found


def _takeover(contender: Contender, folder: Path, number: signal.Signals) -> float:
    logs = [folder / f"{number.name}-{place}.log" for place in ("leader", "standby")]
    with contender.running("default", free_port(), logs[0]) as leader:
        _wait_for_lead(logs[0])
        with contender.running("default", free_port(), logs[1]):
            began = time.monotonic()
            os.kill(leader.pid, number)
            _wait_for_lead(logs[1])
            return time.monotonic() - began


def _wait_for_lead(log: Path) -> None:
    until = time.monotonic() + _LONGEST_SECONDS
    while '"leading"' not in log.read_text():
        if time.monotonic() > until:
            raise BenchmarkError(f"nobody led within {_LONGEST_SECONDS:g} s")
        time.sleep(_LOOK_SECONDS)
