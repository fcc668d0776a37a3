"""Observe, decide, act: the one place where the three meet.

Every trigger, be it an event, a timer or a restart, ends in `Reconciler.turn`,
which looks only at the present. One turn of a resource runs at a time, so at
most one write of its status is on its way.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from schema_operator import act, decision, errors, observe, resource, wire
from schema_operator import status as statuses
from schema_operator.reason import ConditionType
from schema_operator.run import POD_EXPECTED_WITHIN
from schema_operator.slots import Slots
from schema_operator.step import Line, Step, Stop
from schema_operator.world import Rejection, Start, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from schema_operator.api import Api
    from schema_operator.cache import Cache
    from schema_operator.metrics import Metrics
    from schema_operator.names import Key
    from schema_operator.options import Options
    from schema_operator.projection import JobView, ResourceView
    from schema_operator.queue import Queue

log = logging.getLogger(__name__)

_BACKOFF_SECONDS: Final = (0.2, 60.0)
_LONGEST_BACKOFF: Final = timedelta(minutes=5)
_ADOPT_WITHIN: Final = timedelta(seconds=10)
"""How long a Job that exists already may take to be seen by the watch."""


class Reconciler:
    """Takes each resource one step further, as often as it is asked to.

    Attributes:
        slots: who may start a run.
    """

    def __init__(  # noqa: PLR0913 - the parts that meet here
        self,
        *,
        api: Api,
        cache: Cache,
        queue: Queue,
        options: Options,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self.slots = Slots()
        self._api = api
        self._cache = cache
        self._queue = queue
        self._options = options
        self._metrics = metrics
        self._clock = clock
        self._failures: dict[Key, int] = {}
        self._rejections: dict[Key, Rejection] = {}
        self._unseen: dict[str, datetime] = {}

    async def work(self) -> None:
        """Take keys from the queue for ever."""
        while True:
            key = await self._queue.get()
            try:
                with self._metrics.turn():
                    await self.turn(key)
            except Exception:
                # A bug must not end the worker, and its resource is not given up.
                log.exception("a turn failed", extra={"key": str(key)})
                self._later(key)
            finally:
                self._queue.done(key)

    async def idle(self) -> None:
        """Take no more keys, and return when no turn is under way."""
        self._queue.stop()
        await self._queue.idle()

    async def turn(self, key: Key) -> None:
        """Take one resource one step further."""
        view = self._cache.resource(key)
        if view is None:
            self._forget(key)
            return
        now = self._clock()
        world = observe.world(
            self._cache,
            self.slots,
            view,
            maximum_runs=self._options.maximum_runs,
            allowed_images=self._options.allowed_images,
            rejection=self._rejection(key),
            now=now,
        )
        step = decision.decide(world)
        self._line_up(world.wanted, step)
        if step.verdict is None:
            return
        status = statuses.compose(world.wanted, world.runs, step.verdict, now)
        before = wire.read(view.status)
        changed = status if status != before else None
        match step.action:
            case Start() as start:
                await self._start(view, world.wanted, start, changed)
            case Stop(job=job):
                await asyncio.gather(
                    self._write(view, world.wanted, changed), self._delete(key, (job,), stop=True)
                )
            case None:
                if await self._write(view, world.wanted, changed):
                    await self._delete(key, step.surplus, stop=False)
        if step.again is not None:
            self._queue.add_after(key, (step.again - self._clock()).total_seconds())

    def wake(self, database: str) -> None:
        """Let those have a turn that wait for a database, and the one that waits longest."""
        for key in self.slots.waiting_for(database):
            self._queue.add(key)
        if self._cache.working + self.slots.starting < self._options.maximum_runs:
            first = self.slots.first_queued()
            if first is not None:
                self._queue.add(first)

    def _line_up(self, wanted: Wanted, step: Step) -> None:
        """Keep the lines of those who wait: before anything is awaited, so no two start at once."""
        if isinstance(wanted.spec, resource.Spec):
            database = observe.database_of(wanted.key, wanted.spec)
            if isinstance(step.action, Start):
                self.slots.reserve(database, wanted.key)
                return
            if step.line is not None:
                queued = step.line is Line.TOTAL
                self.slots.wait(wanted.key, database, queued=queued)
                return
        left = self.slots.leave(wanted.key)
        if left is not None:
            self.wake(left)

    def _rejection(self, key: Key) -> Rejection | None:
        """Return the last Job that was not taken; one that was seen since, has been taken."""
        rejection = self._rejections.get(key)
        if rejection is None or self._cache.jobs.get((key.namespace, rejection.start.job)) is None:
            return rejection
        del self._rejections[key]
        return None

    def _forget(self, key: Key) -> None:
        self._queue.forget(key)
        self._failures.pop(key, None)
        self._rejections.pop(key, None)
        left = self.slots.leave(key)
        if left is not None:
            self.wake(left)

    # Starting

    async def _start(
        self,
        view: ResourceView,
        wanted: Wanted,
        start: Start,
        status: dict[str, Any] | None,
    ) -> None:
        """Create the Job and write the first status, neither waiting for the other."""
        assert isinstance(wanted.spec, resource.Spec)  # noqa: S101 - nothing is started without one
        database = observe.database_of(wanted.key, wanted.spec)
        try:
            await asyncio.gather(self._create(wanted, start), self._write(view, wanted, status))
        finally:
            self.slots.release(database, wanted.key)
        if wanted.key in self._rejections:
            self.wake(database)
        else:
            self._queue.add_after(wanted.key, POD_EXPECTED_WITHIN.total_seconds())

    async def _create(self, wanted: Wanted, start: Start) -> None:
        key = wanted.key
        self._rejections.pop(key, None)
        try:
            created = await act.start(self._api, wanted, start, self._options.pods)
        except errors.ApiError as error:
            self._reject(wanted, start, error)
            return
        if created.view is None:
            self._adopt(wanted, start)
            return
        self._unseen.pop(start.job, None)
        self._failures.pop(key, None)
        self._cache.put_job(created.view, self._clock())
        log.info(
            "run started",
            extra={"key": str(key), "job": start.job, "attempt": start.attempt},
        )

    def _adopt(self, wanted: Wanted, start: Start) -> None:
        """Wait for a Job that exists already to be seen; one that never is, is not ours."""
        if self._cache.jobs.get((wanted.key.namespace, start.job)) is not None:
            self._queue.add(wanted.key)
            return
        now = self._clock()
        since = self._unseen.setdefault(start.job, now)
        if now - since < _ADOPT_WITHIN:
            words = f"Job {start.job} exists already and is about to be taken over"
            self._note(wanted, start, words, timedelta(seconds=1))
            return
        words = (
            f"A Job named {start.job} exists that is not this resource's; delete it,"
            " then request a run."
        )
        self._note(wanted, start, words, None)

    def _reject(self, wanted: Wanted, start: Start, error: errors.ApiError) -> None:
        log.warning(
            "the Job was not taken",
            extra={"key": str(wanted.key), "job": start.job, "error": str(error)},
        )
        match error:
            case errors.RejectedError():
                self._note(wanted, start, f"The API server said: {error.message}.", None)
            case errors.NamespaceEndsError():
                words = "the namespace is being deleted"
                self._note(wanted, start, words, _LONGEST_BACKOFF)
            case _:
                words = f"the API server did not take the Job: {error.message}"
                self._note(
                    wanted, start, words, timedelta(seconds=self._backoff(wanted.key, error))
                )

    def _note(
        self,
        wanted: Wanted,
        start: Start,
        words: str,
        wait: timedelta | None,
    ) -> None:
        """Remember that a Job was not taken, for the next decision to say."""
        self._rejections[wanted.key] = Rejection(
            generation=wanted.generation,
            start=start,
            words=words,
            until=None if wait is None else self._clock() + wait,
        )
        self._queue.add(wanted.key)

    # Writing

    async def _write(
        self, view: ResourceView, wanted: Wanted, status: dict[str, Any] | None
    ) -> bool:
        """Write a status, if there is one to write, and return whether the right one stands."""
        if status is None:
            return True
        try:
            answer = await act.write(self._api, view, status)
        except errors.ConflictError:
            # It has changed; the event that says so brings the next turn. The timer is for an
            # event that gets lost.
            self._later(view.key)
            return False
        except errors.GoneError:
            self._cache.drop_resource(view.key, view.uid)
            self._queue.add(view.key)
            return False
        except errors.RejectedError as error:
            log.error(  # noqa: TRY400 - the traceback is the same every time
                "the API server finds the status invalid; this is a bug of the operator",
                extra={"key": str(view.key), "error": error.message},
            )
            self._queue.add_after(view.key, _LONGEST_BACKOFF.total_seconds())
            return False
        except errors.ApiError as error:
            log.warning(
                "the status was not taken", extra={"key": str(view.key), "error": str(error)}
            )
            self._later(view.key, error)
            return False
        self._failures.pop(view.key, None)
        self._cache.put_resource(answer)
        await self._transition(answer, wanted.status, status)
        return True

    async def _transition(
        self, view: ResourceView, old: resource.Status, new: dict[str, Any]
    ) -> None:
        """Tell the log, the metrics and, where a person is needed, the cluster what has changed."""
        self._metrics.transition(old, new)
        before = old.condition(ConditionType.READY)
        ready = new["conditions"][0]
        for dependent in self._cache.dependents_of(view.key):
            self._queue.add(dependent)
        if before is not None and before.reason == ready["reason"]:
            return
        log.info(
            ready["message"],
            extra={
                "key": str(view.key),
                "reason": ready["reason"],
                "version": new.get("version"),
            },
        )
        if len(new["conditions"]) < 2 or new["conditions"][1]["type"] != ConditionType.STALLED:  # noqa: PLR2004 - Ready and one more
            return
        try:
            await act.announce(self._api, view, ready["reason"], ready["message"], self._clock())
        except errors.ApiError as error:
            # An Event is a courtesy; the status has said it.
            log.warning("an Event was not taken", extra={"key": str(view.key), "error": str(error)})

    async def _delete(self, key: Key, jobs: tuple[JobView, ...], *, stop: bool) -> None:
        try:
            if stop:
                for job in jobs:
                    log.info("run stopped", extra={"key": str(key), "job": job.name})
                    await act.stop(self._api, job)
            else:
                await act.discard(self._api, jobs)
        except errors.ApiError as error:
            log.warning("a Job was not deleted", extra={"key": str(key), "error": str(error)})
            self._later(key, error)

    def _later(self, key: Key, error: errors.ApiError | None = None) -> None:
        self._queue.add_after(key, self._backoff(key, error))

    def _backoff(self, key: Key, error: errors.ApiError | None) -> float:
        """Return how many seconds to wait after one more failure in a row."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        first, longest = _BACKOFF_SECONDS
        wait = min(longest, first * 2 ** min(failures, 20)) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads requests, guards nothing
        asked = error.retry_after if error is not None else None
        return float(max(wait, asked or 0.0))
