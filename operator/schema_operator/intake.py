"""What the watches bring: into the cache, and from there the right keys into the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_operator import projection, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from schema_operator.cache import Cache
    from schema_operator.queue import Queue

DELETED = "DELETED"


class Intake:
    """Takes over events of three kinds."""

    def __init__(
        self,
        cache: Cache,
        queue: Queue,
        wake: Callable[[str], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._wake = wake
        self._clock = clock

    def resource(self, kind: str | None, body: projection.Body) -> None:
        """Take over an event of a SchemaMigration."""
        view = projection.of_resource(body)
        if kind == DELETED:
            self._cache.drop_resource(view.key, view.uid)
        elif not self._cache.put_resource(view):
            return
        self._queue.add(view.key)
        for dependent in self._cache.dependents_of(view.key):
            self._queue.add(dependent)

    def job(self, kind: str | None, body: projection.Body) -> None:
        """Take over an event of a Job."""
        view = projection.of_job(body)
        before = self._cache.jobs.get((view.namespace, view.name))
        if kind == DELETED:
            news = self._cache.drop_job((view.namespace, view.name), view.uid)
            ended = True
        else:
            news = self._cache.put_job(view, self._clock())
            ended = view.finished is not None
        if news:
            own_end = before is not None and before.finished is None and ended
            if before is None or ended or view.deleting:
                self._queue.add(view.key, urgent=own_end)
            if ended:
                self._wake(view.database)

    def pod(self, kind: str | None, body: projection.Body) -> None:
        """Take over an event of a pod."""
        view = projection.of_pod(body)
        name = (view.namespace, view.name)
        before = self._cache.pods.get(name)
        if kind == DELETED:
            news = self._cache.drop_pod(name, view.uid, view, self._clock())
        else:
            news = self._cache.put_pod(view, self._clock())
        if not news:
            return
        ended = isinstance(view.migrate, projection.Terminated) or kind == DELETED
        if kind == DELETED or self._differ(before, view):
            self._queue.add(view.key, urgent=ended)
        if not view.may_run or kind == DELETED:
            self._wake(view.database)

    def _differ(self, before: projection.PodView | None, after: projection.PodView) -> bool:
        """Return whether the change of a pod changes what is known of its run.

        Most changes don't: a node is found, an address given, a volume mounted.
        """
        job = self._cache.jobs.get((after.namespace, after.job))
        if job is None:
            return before is None or before.may_run != after.may_run
        now = self._clock()
        earlier = run.observe(job, () if before is None else (before,), now)
        if earlier.state != run.observe(job, (after,), now).state:
            return True
        return before is not None and before.may_run != after.may_run
