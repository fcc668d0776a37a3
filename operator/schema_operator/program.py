"""The running operator: its parts put together, started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import uuid
from typing import TYPE_CHECKING, Final

import kopf

from schema_operator import connect, errors, handlers
from schema_operator.api import JOBS, PODS, Client
from schema_operator.cache import Cache
from schema_operator.clock import Clock
from schema_operator.health import Health
from schema_operator.intake import Intake
from schema_operator.lease import Election
from schema_operator.metrics import Metrics
from schema_operator.queue import Queue
from schema_operator.reconcile import Reconciler
from schema_operator.reflector import Reflector
from schema_operator.resync import Resync
from schema_operator.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema_operator.names import Key
    from schema_operator.options import Options

log = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_LAST_TURNS_SECONDS: Final = 5.0
"""How long turns that are under way may take to end when the operator is stopped."""


async def run(options: Options) -> None:
    """Run the operator until it is told to stop by SIGTERM or SIGINT.

    Raises:
        LostLeaseError: another operator may be at work by now.
        OptionsError: there is no way to the API server, or the address for health is taken.
    """
    log_in = functools.partial(connect.configuration, options.kubeconfig)
    configuration = await log_in()
    cache = Cache()
    queue = Queue()
    metrics = Metrics(cache, queue)
    health = Health(metrics.render)
    clock = Clock()
    transport = Transport(configuration, metrics.request, log_in, clock)
    api = Client(transport)
    reconciler = Reconciler(
        api=api, cache=cache, queue=queue, options=options, metrics=metrics, clock=clock.now
    )
    intake = Intake(cache, queue, reconciler.wake, clock.now)

    touched = functools.partial(_touched, cache, queue, reconciler)
    election = _election(options, api)
    resync = Resync(api, cache, options.namespaces, touched, clock.now)
    try:
        if options.health_listen is not None:
            await _listen(health, *options.health_listen)
        if election is not None:
            health.ready = True  # a standby does all that it is there for
            await _lead(election)
            health.ready = False
        # These are made before kopf starts: at its end it waits for all tasks that are younger
        # than itself, as for its own that hang.
        seen = asyncio.Event()
        workers = [asyncio.create_task(_work(reconciler, seen)) for _ in range(options.workers)]
        reflectors = _reflectors(options, api, intake, resync)
        reflecting = [asyncio.create_task(reflector.run()) for reflector in reflectors]
        acting = asyncio.create_task(_act(options, resync, reflectors, health, seen))
        health.hears = lambda: not resync.behind and all(one.alive for one in reflectors)
        watching = asyncio.create_task(
            kopf.operator(
                registry=handlers.registry(intake, log_in),
                settings=handlers.settings(),
                standalone=True,
                # What kopf would choose begins with the user's name, and a number has none.
                identity=_name(),  # type: ignore[arg-type]  # kopf does not publish the type
                clusterwide=not options.namespaces,
                namespaces=options.namespaces,
            )
        )
        keeping = () if election is None else (asyncio.create_task(election.keep()),)
        try:
            await _first_of(watching, acting, *reflecting, *keeping)
        finally:
            health.ready = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_TURNS_SECONDS):
                    await reconciler.idle()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if election is not None:
                await election.release()
    finally:
        queue.close()
        await transport.close()
        await health.stop()


def _touched(
    cache: Cache, queue: Queue, reconciler: Reconciler, key: Key, database: str | None
) -> None:
    """Let those have a turn for whom it matters that something had been missed."""
    queue.add(key)
    for dependent in cache.dependents_of(key):
        queue.add(dependent)
    if database is not None:
        reconciler.wake(database)


def _name() -> str:
    """Return a name that no other operator has, not even one that was on this host before."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


def _election(options: Options, api: Client) -> Election | None:
    if options.lease_namespace is None:
        return None
    return Election(
        api,
        namespace=options.lease_namespace,
        name=options.lease_name,
        identity=_name(),
        duration=options.lease_duration,
    )


async def _lead(election: Election) -> None:
    """Stand by until the Lease is ours; SIGTERM and SIGINT end that.

    Raises:
        CancelledError: a signal came.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    for number in _SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    await election.lead()
    for number in _SIGNALS:
        loop.remove_signal_handler(number)  # kopf has its own from here on


async def _listen(health: Health, address: str, port: int) -> None:
    try:
        await health.start(address, port)
    except OSError as error:
        raise errors.OptionsError(f"--health-listen: {error.strerror or error}") from error
    log.info("listening", extra={"port": health.port})


def _reflectors(
    options: Options, api: Client, intake: Intake, resync: Resync
) -> tuple[Reflector, ...]:
    """Return what tells of Jobs and pods, which come too often for kopf."""
    return tuple(
        Reflector(api, kind, namespace, take=take, compare=resync.compare, heard=intake.heard)
        for kind, take in ((JOBS, intake.job), (PODS, intake.pod))
        for namespace in options.namespaces or (None,)
    )


async def _act(
    options: Options,
    resync: Resync,
    reflectors: Sequence[Reflector],
    health: Health,
    seen: asyncio.Event,
) -> None:
    """Let the workers begin once everything that exists has been seen, and keep that so.

    A Job not seen yet would be created a second time.
    """
    for reflector in reflectors:
        await reflector.listed.wait()
    await resync.seen()
    log.info("acting", extra={"workers": options.workers})
    seen.set()
    health.ready = True
    await resync.for_ever(options.resync)


async def _work(reconciler: Reconciler, seen: asyncio.Event) -> None:
    await seen.wait()
    await reconciler.work()


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
