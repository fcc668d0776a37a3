"""Our operator and the textbook one on one cluster, in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from local_benchmark import contender, load
from local_benchmark.operator import OperatorBenchmark
from local_benchmark.soak import soak
from local_benchmark.takeover import LEASE_SECONDS, takeovers
from local_demo.operator import ACCOUNT, NAMESPACE, install
from local_kubernetes.cluster import Cluster
from local_kubernetes.launch import Options
from local_kubernetes.node.client import Client
from local_kubernetes.processes import Identity
from local_kubernetes.progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from local_benchmark.operator import Figures
    from local_benchmark.operator_table import Budget
    from local_benchmark.soak import Soaked


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        resources: how many at once; 1 stands for one after another.
        samples: how many one after another.
        settled: how many are done at the restart; 0: no restart.
        alone: whether the textbook operator is left out.
        takeover: whether leaders are ended, and how soon the next leads is measured.
    """

    resources: Sequence[int]
    samples: int
    settled: int
    alone: bool
    takeover: bool


async def measure(
    plan: Plan, say: Callable[[str], None]
) -> tuple[str, list[Figures], list[Budget]]:
    """Return Kubernetes' version, the figures, of each work ours first, and of takeovers.

    Raises:
        BenchmarkError: an operator failed, or took too long.
        LocalKubernetesError: there is no cluster to be had.
    """
    async with _prepared() as (cluster, client, place):
        benchmark = OperatorBenchmark(cluster, client, place, say)
        rows = await _rows(benchmark, plan)
        if not plan.takeover:
            return cluster.version, rows, []
        lease = (f"--lease-namespace={NAMESPACE}", f"--lease-duration={LEASE_SECONDS}s")
        candidate = _ours(cluster, *lease)
        return cluster.version, rows, await takeovers(candidate, place, say)


async def endure(events: int, say: Callable[[str], None]) -> Soaked:
    """Return what so many events do to the operator's memory.

    Raises:
        BenchmarkError: it failed.
        LocalKubernetesError: there is no cluster to be had.
    """
    async with _prepared() as (cluster, client, place):
        (ours,) = _contenders(cluster, alone=True)
        return await soak(client, ours, place, events, say)


@contextlib.asynccontextmanager
async def _prepared() -> AsyncIterator[tuple[Cluster, Client, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        options = Options(images={"local/benchmark:*": load.MIGRATOR}, owner=Identity.own())
        place = Path(folder)
        with Cluster.start(place / "cluster", options, Progress.on_standard_error()) as cluster:
            install(cluster)
            async with Client.open(cluster.kubeconfig, place) as client:
                yield cluster, client, place


async def _rows(benchmark: OperatorBenchmark, plan: Plan) -> list[Figures]:
    contenders = _contenders(benchmark.cluster, alone=plan.alone)
    rows: list[Figures] = []

    async def add(measuring: Awaitable[Figures]) -> None:
        rows.append(await measuring)
        # The whole takes a while, and may end before its table is printed.
        benchmark.say(f"  {rows[-1].seconds:.1f} s, CPU {rows[-1].cpu:.2f} s")

    for one in contenders:
        await add(benchmark.idle(one))
    for count in plan.resources:
        for one in contenders:
            singly = count == 1
            await add(
                benchmark.singles(one, plan.samples) if singly else benchmark.burst(one, count)
            )
    if plan.settled:
        done = load.Load(benchmark.client, "settled")
        benchmark.say(f"creating {plan.settled} resources that are done")
        await done.prepare(1)
        await done.settled(plan.settled)
        for one in contenders:
            await add(benchmark.restart(one, done, plan.settled))
    return rows


def _ours(cluster: Cluster, *arguments: str) -> contender.Contender:
    account = cluster.kubeconfig_for_service_account(NAMESPACE, ACCOUNT, 12 * 3600)
    user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
    return contender.ours(user, account, *arguments)


def _contenders(cluster: Cluster, *, alone: bool) -> list[contender.Contender]:
    found = [_ours(cluster)]
    if not alone:
        user = "textbook-operator"
        certificate = cluster.kubeconfig_for(user, ["system:masters"])
        found.append(contender.textbook(user, certificate))
    return found
