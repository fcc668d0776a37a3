"""What the watches bring: into the cache, and from there the right keys into the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schema_operator import projection, run
from schema_operator.api import PODS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from schema_operator.cache import Cache
    from schema_operator.queue import Queue

DELETED = "DELETED"

_LOOK_SECONDS: Final = 30.0
"""How soon after its start a run is looked at without any other reason."""


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
        metadata = body["metadata"]
        known = self._cache.resources.get((metadata["namespace"], metadata["name"]))
        if kind != DELETED and _is_old(known, metadata):
            return
        view = projection.of_resource(body)
        if kind == DELETED:
            self._cache.drop_resource(view.key, view.uid)
        elif not self._cache.put_resource(view):
            return
        self._queue.add(view.key)
        for dependent in self._cache.dependents_of(view.key):
            self._queue.add(dependent)

    def heard(self, kind: str, namespace: str | None) -> None:
        """Note that the watch of a kind tells, whatever it told."""
        if kind == PODS:
            self._cache.hear_of_pods(namespace, self._clock())

    def job(self, kind: str | None, body: projection.Body) -> None:
        """Take over an event of a Job."""
        metadata = body["metadata"]
        before = self._cache.jobs.get((metadata["namespace"], metadata["name"]))
        if kind != DELETED and (_is_old(before, metadata) or _says_nothing(before, body)):
            return
        view = projection.of_job(body)
        if kind == DELETED:
            news = self._cache.drop_job((view.namespace, view.name), view.uid)
            ended = True
        else:
            news = self._cache.put_job(view, self._clock())
            ended = view.finished is not None
        if news:
            own_end = before is not None and before.finished is None and ended
            told = kind != DELETED and own_end and self._told(before, view)
            if before is None or view.deleting or (ended and not told):
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
        elif before == view:
            return  # a finalizer was taken off, or a volume mounted
        else:
            news = self._cache.put_pod(view, self._clock())
        if not news:
            return
        ended = isinstance(view.migrate, projection.Terminated) or kind == DELETED
        if kind == DELETED or self._differ(before, view):
            self._queue.add(view.key, urgent=ended)
        elif isinstance(view.migrate, projection.Running):
            # Its deadline is far away, and most runs end before anybody has to look for it.
            self._queue.add_after(view.key, _LOOK_SECONDS)
        if not view.may_run or kind == DELETED:
            self._wake(view.database)

    def _told(self, before: projection.JobView | None, after: projection.JobView) -> bool:
        """Return whether the pod has told all that the end of a Job says.

        Then its report has had a turn. Where there is an older Job, that may have to go now.
        A container whose end has no time of its own is said to have ended when its Job did.
        """
        if before is None or before.uid != after.uid or len(self._cache.jobs_of(after.key)) > 1:
            return False
        pods = self._cache.pods_of(after)
        ends = [one.migrate for one in pods if isinstance(one.migrate, projection.Terminated)]
        if len(ends) < len(pods) or any(end.finished is None for end in ends):
            return False
        return isinstance(run.observe(after, pods, self._clock()).state, run.Ended)

    def _differ(self, before: projection.PodView | None, after: projection.PodView) -> bool:
        """Return whether the change of a pod changes what is known of its run.

        Most changes don't: a node is found, an address given, a volume mounted.
        """
        job = self._cache.jobs.get((after.namespace, after.job))
        if job is None:
            return before is None or before.may_run != after.may_run
        now = self._clock()
        earlier = run.observe(job, () if before is None else (before,), now).state
        later = run.observe(job, (after,), now).state
        if earlier != later and not _only_started(earlier, later):
            return True
        return before is not None and before.may_run != after.may_run


def _only_started(earlier: run.State, later: run.State) -> bool:
    """Return whether a run that nothing kept from starting has started: it was said to be at work."""
    starting = isinstance(earlier, run.Waiting) and earlier.hold is run.Hold.STARTING
    return starting and isinstance(later, run.Running)


def _is_old(
    known: projection.ResourceView | projection.JobView | None, metadata: projection.Body
) -> bool:
    """Return whether an event tells what is known: half of all are answers to our own writes."""
    if known is None or known.uid != metadata["uid"]:
        return False
    return int(metadata["resourceVersion"]) <= known.resource_version


def _says_nothing(known: projection.JobView | None, body: projection.Body) -> bool:
    """Return whether a Job only counts its pods: all that is asked of it is whether it ended."""
    metadata = body["metadata"]
    if known is None or known.uid != metadata["uid"]:
        return False
    conditions = (body.get("status") or {}).get("conditions") or ()
    ended = any(projection.is_end(one) for one in conditions)
    deleting = "deletionTimestamp" in metadata
    return ended == (known.finished is not None) and deleting == known.deleting
