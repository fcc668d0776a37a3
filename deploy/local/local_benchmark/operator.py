"""The operator's benchmark: bursts of resources, and a restart with many that are done.

Times are the API server's: from its receiving what an operator reacts to, until
its answer to the operator's write. So both contenders are measured the same way
and from outside, and what the server and the wire take is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

from local_benchmark.load import Load
from local_kubernetes.audit import READS, WRITES
from local_kubernetes.launch import NODE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from local_benchmark.contender import Contender, Process
    from local_kubernetes.audit import Request
    from local_kubernetes.cluster import Cluster
    from local_kubernetes.node.client import Client

_NODE_USER: Final = f"system:node:{NODE}"
_QUIET_SECONDS: Final = 1.0
_QUIET_CPU: Final = 0.03
_STATUS: Final = "schemamigrations/status"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one operator took for one piece of work.

    Attributes:
        work: the piece of work.
        name: the operator.
        seconds: until all was done, by the clock.
        cpu: seconds of the operator's own processor time.
        peak: bytes of its memory at the peak.
        writes: requests that change objects; for each run, where there were runs.
        reads: requests that get or list objects; likewise.
        runs: how many runs there were.
        start: seconds from a resource's creation to its Job's, one a run.
        report: seconds from a container's end to the last status, one a run.
    """

    work: str
    name: str
    seconds: float
    cpu: float
    peak: int
    writes: float
    reads: float
    runs: int = 0
    start: Sequence[float] = ()
    report: Sequence[float] = ()


def percentile(values: Sequence[float], share: int) -> float:
    """Return the value that so many of a hundred do not exceed."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


@dataclasses.dataclass(frozen=True, slots=True)
class OperatorBenchmark:
    """Measures one operator after another on one cluster.

    Attributes:
        cluster: where.
        client: the one who creates the resources.
        folder: for the operators' logs.
        say: is told what is being done.
    """

    cluster: Cluster
    client: Client
    folder: Path
    say: Callable[[str], None]

    async def idle(self, contender: Contender) -> Figures:
        """Measure an operator with nothing to look after."""
        load = Load(self.client, f"idle-{_slug(contender)}")
        await load.prepare(1)
        async with self._running(contender, load.namespace) as (process, mark):
            return self._figures("idle", contender, process, mark, process.start_seconds)

    async def singles(self, contender: Contender, count: int) -> Figures:
        """Measure resources one after another, each when the one before is Ready."""
        return await self._runs("1", contender, count, one_by_one=True)

    async def burst(self, contender: Contender, count: int) -> Figures:
        """Measure resources that are created all at once."""
        return await self._runs(str(count), contender, count, one_by_one=False)

    async def restart(self, contender: Contender, load: Load, count: int) -> Figures:
        """Measure a start with many resources that are done."""
        mark = self.cluster.audit_log.end()
        began = time.monotonic()
        async with self._running(contender, load.namespace) as (process, _):
            # Its first answer may be long in coming, and until then it rests.
            while not self._watches(contender, mark):  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(_QUIET_SECONDS)
            await quiet(process)
            seconds = time.monotonic() - began - _QUIET_SECONDS
            return self._figures(f"restart, {count} done", contender, process, mark, seconds)

    def _watches(self, contender: Contender, mark: int) -> bool:
        requests = self.cluster.audit_log.since(mark, contender.user)
        return any((one.verb, one.resource) == ("watch", "schemamigrations") for one in requests)

    async def _runs(
        self, work: str, contender: Contender, count: int, *, one_by_one: bool
    ) -> Figures:
        load = Load(self.client, f"{'one' if one_by_one else 'burst'}-{count}-{_slug(contender)}")
        await load.prepare(count)
        async with self._running(contender, load.namespace) as (process, mark):
            before = process.cpu()
            began = time.monotonic()
            await (load.one_by_one(count) if one_by_one else load.burst(count))
            seconds = time.monotonic() - began
            # Its Jobs' last events are part of the work.
            await quiet(process)
            figures = self._figures(work, contender, process, mark, seconds)
            start, report = self._latencies(contender, load.namespace, mark)
        return dataclasses.replace(
            figures,
            cpu=figures.cpu - before,
            writes=figures.writes / count,
            reads=figures.reads / count,
            runs=count,
            start=start,
            report=report,
        )

    @contextlib.asynccontextmanager
    async def _running(
        self, contender: Contender, namespace: str
    ) -> AsyncIterator[tuple[Process, int]]:
        self.say(f"{contender.name}: {namespace}")
        log = self.folder / f"{namespace}-{_slug(contender)}.log"
        async with started(contender, namespace, log) as process:
            yield process, self.cluster.audit_log.end()

    def _figures(
        self, work: str, contender: Contender, process: Process, mark: int, seconds: float
    ) -> Figures:
        requests = self.cluster.audit_log.since(mark, contender.user)
        return Figures(
            work=work,
            name=contender.name,
            seconds=seconds,
            cpu=process.cpu(),
            peak=process.peak(),
            writes=sum(one.verb in WRITES for one in requests),
            reads=sum(one.verb in READS for one in requests),
        )

    def _latencies(
        self, contender: Contender, namespace: str, mark: int
    ) -> tuple[list[float], list[float]]:
        log = self.cluster.audit_log
        created = {
            one.name: one.received
            for one in log.since(mark, "admin")
            if (one.verb, one.resource) == ("create", "schemamigrations")
            and one.namespace == namespace
        }
        ended: dict[str, Any] = {}
        for one in log.since(mark, _NODE_USER):
            if one.namespace == namespace and _reports_an_end(one):
                ended.setdefault(one.name.rsplit("-", 2)[0], one.received)
        begun: dict[str, Any] = {}
        reported: dict[str, Any] = {}
        for one in log.since(mark, contender.user):
            if (one.verb, one.resource) == ("create", "jobs"):
                begun[one.name.rpartition("-")[0]] = one.answered
            elif one.resource == _STATUS:
                reported[one.name] = one.answered
        return (
            [(begun[name] - at).total_seconds() for name, at in created.items()],
            [(reported[name] - at).total_seconds() for name, at in ended.items()],
        )


def _reports_an_end(request: Request) -> bool:
    status = (request.body or {}).get("status") or {}
    return any(
        "terminated" in (one.get("state") or {}) for one in status.get("containerStatuses") or ()
    )


@contextlib.asynccontextmanager
async def started(contender: Contender, namespace: str, log: Path) -> AsyncIterator[Process]:
    """Run an operator while the block runs; it has come to rest."""
    loop = asyncio.get_running_loop()
    running = contender.running(namespace, free_port(), log)
    process = await loop.run_in_executor(None, running.__enter__)
    try:
        await quiet(process)
        yield process
    finally:
        await loop.run_in_executor(None, running.__exit__, None, None, None)


async def quiet(process: Process) -> None:
    """Return when the operator has had nothing to do for a second."""
    while True:
        before = process.cpu()
        await asyncio.sleep(_QUIET_SECONDS)
        if process.cpu() - before <= _QUIET_CPU:
            return


def _slug(contender: Contender) -> str:
    return contender.name.replace(" ", "-")


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
