"""The running operator: its parts put together, started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

import kopf

from schema_operator import connect, handlers
from schema_operator.api import Client
from schema_operator.cache import Cache
from schema_operator.health import Health
from schema_operator.intake import Intake
from schema_operator.metrics import Metrics
from schema_operator.queue import Queue
from schema_operator.reconcile import Reconciler, utc_now
from schema_operator.resync import Resync

if TYPE_CHECKING:
    from schema_operator.names import Key
    from schema_operator.options import Options

log = logging.getLogger(__name__)

_LAST_TURNS_SECONDS: Final = 5.0
"""How long turns that are under way may take to end when the operator is stopped."""


async def run(options: Options) -> None:
    """Run the operator until it is told to stop by SIGTERM or SIGINT.

    Raises:
        OptionsError: there is no way to the API server.
    """
    configuration = await connect.configuration(options.kubeconfig)
    cache = Cache()
    queue = Queue()
    metrics = Metrics(cache, queue)
    health = Health(metrics.render)
    client = Client(configuration, metrics.request)
    reconciler = Reconciler(
        api=client, cache=cache, queue=queue, options=options, metrics=metrics, clock=utc_now
    )
    intake = Intake(cache, queue, reconciler.wake, utc_now)

    def touched(key: Key, database: str | None) -> None:
        queue.add(key)
        if database is not None:
            reconciler.wake(database)

    resync = Resync(client, cache, options.namespaces, touched, utc_now)
    try:
        if options.health_listen is not None:
            await health.start(*options.health_listen)
            log.info("listening", extra={"port": health.port})
        acting = asyncio.create_task(_act(options, resync, reconciler, health))
        watching = asyncio.create_task(
            kopf.operator(
                registry=handlers.registry(
                    intake, lambda: connect.configuration(options.kubeconfig)
                ),
                settings=handlers.settings(),
                standalone=True,
                clusterwide=not options.namespaces,
                namespaces=options.namespaces,
            )
        )
        await _first_of(watching, acting)
    finally:
        queue.close()
        await client.close()
        await health.stop()


async def _act(options: Options, resync: Resync, reconciler: Reconciler, health: Health) -> None:
    """Decide and act, once everything that exists has been seen; on the way out, end the turns."""
    await resync.seen()
    log.info("acting", extra={"workers": options.workers})
    workers = [asyncio.create_task(reconciler.work()) for _ in range(options.workers)]
    health.ready = True
    try:
        await resync.for_ever(options.resync)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_TURNS_SECONDS):
                await reconciler.idle()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _first_of(*tasks: asyncio.Task[None]) -> None:
    """Run tasks until the first ends, then end the others; what the first raised is raised."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
