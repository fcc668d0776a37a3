"""Fifty thousand events and more: does the operator's memory grow with them?

Each event is a change that it has to take in and that changes nothing for it: an
annotation of a resource that is done, or of a Job of such a resource.
"""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
from typing import TYPE_CHECKING, Any, Final

from local_benchmark.load import IMAGE, Load
from local_benchmark.operator import quiet, started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_benchmark.contender import Contender
    from local_kubernetes.node.client import Client

SLOPE_BYTES: Final = 20.0
"""The most bytes of memory that one event may cost for good: one MiB in 50 000 events."""

_OBJECTS: Final = 50
_AT_ONCE: Final = 16
_SAMPLES: Final = 20
_MERGE: Final = "application/merge-patch+json"
_LABELS: Final = "migrations.tenant-registry.dev"


@dataclasses.dataclass(frozen=True, slots=True)
class Soaked:
    """What was seen.

    Attributes:
        events: how many there were after the first sample.
        samples: the events so far and the bytes of memory, as often as it was looked.
        cpu: seconds of the operator's processor time, all in all.
    """

    events: int
    samples: list[tuple[int, int]]
    cpu: float

    @property
    def slope(self) -> float:
        """Bytes an event, by the straight line that fits best."""
        events, memory = zip(*self.samples, strict=True)
        return statistics.linear_regression(events, memory).slope


async def soak(
    client: Client,
    contender: Contender,
    folder: Path,
    events: int,
    say: Callable[[str], None],
) -> Soaked:
    """Send events and look at the memory; half as many more go before the first look."""
    load = Load(client, "soak")
    await load.prepare(1)
    await load.settled(_OBJECTS + 1)
    names = [f"shop-{number:05d}" for number in range(1, _OBJECTS + 1)]
    jobs = f"/apis/batch/v1/namespaces/{load.namespace}/jobs"
    for name in names:
        await client.request("POST", jobs, _job(name))
    paths = [f"{load.path}/{name}" for name in names] + [f"{jobs}/{name}" for name in names]
    async with started(contender, load.namespace, folder / "soak.log") as process:
        await _send(client, paths, events // 2)
        await quiet(process)
        samples = [(0, process.memory())]
        for number in range(1, _SAMPLES + 1):
            await _send(client, paths, events // _SAMPLES)
            await quiet(process)
            samples.append((number * (events // _SAMPLES), process.memory()))
            say(f"{samples[-1][0]} events: {samples[-1][1] / (1 << 20):.1f} MiB")
        return Soaked(samples[-1][0], samples, process.cpu())


async def _send(client: Client, paths: list[str], count: int) -> None:
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            change = {"metadata": {"annotations": {"soak": f"{count}-{number}"}}}
            path = paths[number % len(paths)]
            await client.request("PATCH", path, change, content_type=_MERGE)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


def _job(name: str) -> dict[str, Any]:
    """Return a Job that looks like one of a resource's, and waits for ever."""
    labels = {
        f"{_LABELS}/name": name,
        f"{_LABELS}/uid": "another",
        f"{_LABELS}/database": f"soak-{name}",
    }
    container = {"name": "migrate", "image": IMAGE}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }
