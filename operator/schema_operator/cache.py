"""What is known of the cluster: projections of resources, Jobs and pods, never bodies.

Written by the watches and by the answers to our own requests, whichever is the
newer: what is older than what is known, or as old, is dropped. So a decision
that follows a write of ours sees it, without waiting for the watch.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from schema_operator import names, projection
from schema_operator.run import Hold, Waiting, observe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from schema_operator.names import Key

Name = tuple[str, str]
"""The namespace and name of an object."""

_REMEMBERED: Final = 4096
"""How many deletions are remembered, so that an answer that comes late revives nothing."""


class _Versioned(Protocol):
    @property
    def uid(self) -> str: ...

    @property
    def resource_version(self) -> int: ...


T = TypeVar("T", bound=_Versioned)


class Store(Generic[T]):
    """The objects of one kind, by name."""

    def __init__(self) -> None:
        self._objects: dict[Name, T] = {}
        self._deleted: collections.OrderedDict[str, int] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, name: Name) -> T | None:
        """Return an object, or None."""
        return self._objects.get(name)

    def names(self) -> Iterable[tuple[Name, T]]:
        """Return all objects with their names."""
        return list(self._objects.items())

    def put(self, name: Name, new: T) -> bool:
        """Take over an object and return whether it is news."""
        old = self._objects.get(name)
        if old is not None and old.resource_version >= new.resource_version:
            return False
        if self._deleted.get(new.uid, -1) >= 0:
            return False
        self._objects[name] = new
        return True

    def delete(self, name: Name, uid: str) -> T | None:
        """Take an object out and return it; None where another bears the name by now."""
        self._deleted[uid] = 1
        while len(self._deleted) > _REMEMBERED:
            self._deleted.popitem(last=False)
        old = self._objects.get(name)
        if old is None or old.uid != uid:
            return None
        return self._objects.pop(name)


class Cache:
    """Everything that decisions are made from.

    Attributes:
        resources: the SchemaMigrations.
        jobs: the Jobs with our labels.
        pods: the pods with our labels; one whose Job is still there is remembered when it goes.
    """

    def __init__(self) -> None:
        self.resources: Store[projection.ResourceView] = Store()
        self.jobs: Store[projection.JobView] = Store()
        self.pods: Store[projection.PodView] = Store()
        self._jobs_of: dict[Key, set[Name]] = {}
        self._jobs_on: dict[str, set[Name]] = {}
        self._pods_of: dict[Name, set[Name]] = {}
        self._pods_on: dict[str, set[Name]] = {}
        self._working: set[Name] = set()
        self._dependents: dict[Key, set[Name]] = {}
        self._heard: dict[str | None, datetime] = {}

    @property
    def working(self) -> int:
        """How many runs are at work, or may be at any moment."""
        return len(self._working)

    # Resources

    def put_resource(self, view: projection.ResourceView) -> bool:
        """Take over a resource and return whether it is news."""
        name = (view.key.namespace, view.key.name)
        before = self.resources.get(name)
        if not self.resources.put(name, view):
            return False
        if before is None or before.spec != view.spec:
            self._depend(before, view)
        return True

    def drop_resource(self, key: Key, uid: str) -> bool:
        """Take a resource out and return whether it was there."""
        before = self.resources.delete((key.namespace, key.name), uid)
        self._depend(before, None)
        return before is not None

    def resource(self, key: Key) -> projection.ResourceView | None:
        """Return a resource, or None."""
        return self.resources.get((key.namespace, key.name))

    def dependents_of(self, key: Key) -> tuple[Key, ...]:
        """Return the resources that depend on a resource, whether that exists or not."""
        found = self._dependents.get(key, ())
        return tuple(names.Key(namespace, name) for namespace, name in found)

    def _depend(
        self, before: projection.ResourceView | None, after: projection.ResourceView | None
    ) -> None:
        """Note whom a resource depends on, and whom no more."""
        if before is not None:
            for key in _dependencies(before):
                _discard(self._dependents, key, (key.namespace, before.key.name))
        if after is not None:
            for key in _dependencies(after):
                self._dependents.setdefault(key, set()).add((key.namespace, after.key.name))

    # Jobs

    def put_job(self, job: projection.JobView, now: datetime) -> bool:
        """Take over a Job and return whether it is news."""
        name = (job.namespace, job.name)
        if not self.jobs.put(name, job):
            return False
        self._jobs_of.setdefault(job.key, set()).add(name)
        self._jobs_on.setdefault(job.database, set()).add(name)
        self._count(name, now)
        return True

    def drop_job(self, name: Name, uid: str) -> bool:
        """Take a Job out, with the pods that were only remembered for it."""
        job = self.jobs.delete(name, uid)
        if job is None:
            return False
        _discard(self._jobs_of, job.key, name)
        _discard(self._jobs_on, job.database, name)
        self._working.discard(name)
        for pod in self.pods_of(job):
            if pod.gone:
                self._forget_pod((pod.namespace, pod.name), pod)
        return True

    def jobs_of(self, key: Key) -> tuple[projection.JobView, ...]:
        """Return the Jobs that name a resource, whatever its uid."""
        return _all(self.jobs, self._jobs_of.get(key, ()))

    def jobs_on(self, database: str) -> tuple[projection.JobView, ...]:
        """Return the Jobs of a database, whoever owns them."""
        return _all(self.jobs, self._jobs_on.get(database, ()))

    # Pods

    def hear_of_pods(self, namespace: str | None, now: datetime) -> None:
        """Note that the watch of the pods tells: up to now nothing is missing.

        Args:
            namespace: the watch's; None: it is of all.
            now: the present moment.
        """
        self._heard[namespace] = now

    def pods_heard(self, namespace: str) -> datetime | None:
        """Return when the watch of a namespace's pods has last told anything."""
        return self._heard.get(namespace) or self._heard.get(None)

    def put_pod(self, pod: projection.PodView, now: datetime) -> bool:
        """Take over a pod and return whether it is news."""
        name = (pod.namespace, pod.name)
        if not self.pods.put(name, pod):
            return False
        self._pods_of.setdefault((pod.namespace, pod.job), set()).add(name)
        self._pods_on.setdefault(pod.database, set()).add(name)
        self._count((pod.namespace, pod.job), now)
        return True

    def drop_pod(
        self, name: Name, uid: str, last: projection.PodView | None, now: datetime
    ) -> bool:
        """Note that a pod is gone.

        Args:
            name: its name.
            uid: its uid.
            last: the last that was seen of it, which may hold its report.
            now: the present moment.
        """
        before = self.pods.get(name)
        if before is None or before.uid != uid or before.gone:
            return False
        latest = last if last is not None else before
        job = (latest.namespace, latest.job)
        if self.jobs.get(job) is None:
            self.pods.delete(name, uid)
            self._forget_pod(name, before)
        else:
            version = max(latest.resource_version, before.resource_version + 1)
            self.pods.put(name, dataclasses.replace(latest, gone=True, resource_version=version))
        self._count(job, now)
        return True

    def pods_of(self, job: projection.JobView) -> tuple[projection.PodView, ...]:
        """Return the pods of a Job."""
        return _all(self.pods, self._pods_of.get((job.namespace, job.name), ()))

    def pods_on(self, database: str) -> tuple[projection.PodView, ...]:
        """Return the pods of a database, whoever owns them."""
        return _all(self.pods, self._pods_on.get(database, ()))

    def _forget_pod(self, name: Name, pod: projection.PodView) -> None:
        self.pods.delete(name, pod.uid)
        _discard(self._pods_of, (pod.namespace, pod.job), name)
        _discard(self._pods_on, pod.database, name)

    def _count(self, name: Name, now: datetime) -> None:
        """Note whether a Job's run is at work; one that waits for what is missing is not."""
        job = self.jobs.get(name)
        working = False
        if job is not None and job.finished is None:
            run = observe(job, self.pods_of(job), now)
            held = isinstance(run.state, Waiting) and run.state.hold is not Hold.STARTING
            working = run.under_way and not held
        (self._working.add if working else self._working.discard)(name)


def _dependencies(view: projection.ResourceView) -> Iterable[Key]:
    return (names.Key(view.key.namespace, name) for name in projection.depends_on(view))


K = TypeVar("K")


def _discard(index: dict[K, set[Name]], key: K, name: Name) -> None:
    entry = index.get(key)
    if entry is not None:
        entry.discard(name)
        if not entry:
            del index[key]


def _all(store: Store[T], names: Iterable[Name]) -> tuple[T, ...]:
    return tuple(found for name in names if (found := store.get(name)) is not None)
