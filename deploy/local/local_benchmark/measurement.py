"""One measured run of a program, and medians of several."""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local_benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_RUNNER = Path(__file__).with_name("run_measured.py")
_LONGEST = 600  # seconds


@dataclasses.dataclass(frozen=True, slots=True)
class Measurement:
    """What one run took, or the median of several.

    Attributes:
        seconds: from start to end, by the clock.
        cpu: seconds of the program's own processor time.
        memory: bytes at the peak.
    """

    seconds: float
    cpu: float
    memory: int


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Measurement:
    """Run a program and return what it took.

    Args:
        command: the program's path and its arguments.
        environment: added to the process's own.

    Raises:
        BenchmarkError: it failed, so that its time means nothing.
    """
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(_RUNNER), *command],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST,
    )
    words = ended.stdout.split()
    if ended.returncode != 0 or words[3] != "0":
        lines = ended.stderr.strip().splitlines()
        raise BenchmarkError(f"{Path(command[0]).name} failed: {lines[-1] if lines else words}")
    return Measurement(float(words[0]), float(words[1]), int(words[2]) * 1024)


def median(measurements: Iterable[Measurement]) -> Measurement:
    """Return the median of each figure."""
    several = list(measurements)
    return Measurement(
        statistics.median(one.seconds for one in several),
        statistics.median(one.cpu for one in several),
        int(statistics.median(one.memory for one in several)),
    )
