"""What a decision is made from: the cache's content about one resource, as a world."""

from __future__ import annotations

import fnmatch
import functools
from typing import TYPE_CHECKING

import pydantic

from schema_operator import dependency, digest, projection, resource, run
from schema_operator.world import Blocker, Rejection, Wanted, World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from schema_operator.cache import Cache
    from schema_operator.names import Key
    from schema_operator.slots import Slots


def wanted(view: projection.ResourceView) -> Wanted:
    """Return what a person asks for and what the status says.

    A status that can't be read is as good as none: the worst that follows is one
    run that finds nothing to do.
    """
    try:
        status = resource.Status.model_validate_json(view.status)
    except pydantic.ValidationError:
        status = resource.Status()
    return Wanted(
        key=view.key,
        uid=view.uid,
        generation=view.generation,
        deleting=view.deleting,
        requested_at=view.requested_at,
        spec=spec_of(view.spec),
        status=status,
    )


@functools.lru_cache(maxsize=1024)
def spec_of(text: bytes) -> resource.Spec | str:
    """Return a spec, or what is wrong with it; the same text is read again and again."""
    try:
        return resource.Spec.model_validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in ("spec", *first["loc"]))
        return f"{path}: {first['msg']}."


def database_of(key: Key, spec: resource.Spec) -> str:
    """Return the label value that all runs on a resource's database have."""
    secret = spec.database.url_secret_ref
    return digest.of_database(key.namespace, secret.name, secret.key)


def world(  # noqa: PLR0913 - what a world consists of
    cache: Cache,
    slots: Slots,
    view: projection.ResourceView,
    *,
    maximum_runs: int,
    allowed_images: Sequence[str],
    rejection: Rejection | None,
    now: datetime,
) -> World:
    """Return everything that a decision about a resource may depend on."""
    wish = wanted(view)
    heard = cache.pods_heard(view.key.namespace)
    runs = [
        _settled(run.observe(job, cache.pods_of(job), now, heard), wish.status)
        for job in cache.jobs_of(view.key)
        if job.owner_uid == view.uid
    ]
    runs.sort(key=lambda one: one.order, reverse=True)
    blocker = None
    unmet = disallowed = ""
    circle: tuple[str, ...] = ()
    if isinstance(wish.spec, resource.Spec):
        unmet = dependency.unmet(cache, view.key, wish.spec)
        circle = dependency.circle(cache, view.key, wish.spec)
        disallowed = _disallowed(wish.spec.image, allowed_images)
        database = database_of(view.key, wish.spec)
        blocker = _blocker(
            cache.jobs_on(database), cache.pods_on(database), view, runs
        ) or _queue_blocker(slots, view.key, database)
    return World(
        now=now,
        wanted=wish,
        runs=tuple(runs),
        blocker=blocker,
        queued=cache.working + slots.starting >= maximum_runs,
        rejection=rejection,
        unmet=unmet,
        circle=circle,
        disallowed=disallowed,
    )


def _disallowed(image: str, allowed: Sequence[str]) -> str:
    """Return why an image may not be run, in words; empty: it may."""
    if not allowed or any(fnmatch.fnmatchcase(image, pattern) for pattern in allowed):
        return ""
    return f"{image} matches none of the patterns that it was told to allow: {', '.join(allowed)}"


def _settled(seen: run.Run, status: resource.Status) -> run.Run:
    """Return a run with what the status knows of it, where what is left to see says less."""
    why = image = ""
    match seen.state:
        case run.Lost():
            why, image = seen.state.why, seen.state.image
        case run.Waiting() if seen.job.finished is not None:
            pass  # its end was heard of, its pod not
        case _:
            return seen
    known = [*([status.last_run] if status.last_run else []), *status.history]
    entry = next((one for one in known if one.job == seen.job.name), None)
    if entry is None:
        return seen
    state = run.recorded(entry)
    if state is None and entry.completion_time is not None:
        state = run.Lost(
            at=entry.completion_time,
            started=entry.start_time,
            why=entry.message or why,
            exit_code=entry.exit_code,
            image=image,
        )
    return (
        seen if state is None else run.Run(job=seen.job, state=state, pod=seen.pod, node=seen.node)
    )


def _blocker(
    jobs: Sequence[projection.JobView],
    pods: Sequence[projection.PodView],
    view: projection.ResourceView,
    runs: Sequence[run.Run],
) -> Blocker | None:
    """Return what may still be at work on the database, whoever owns it."""
    own = {one.job.name for one in runs if not one.under_way}
    for pod in pods:
        if pod.may_run:
            return Blocker(words=_pod_words(pod), own=False)
    for job in jobs:
        if job.finished is None:
            words = f"Job {job.name} of {job.owner or 'an unknown resource'} has not finished yet"
            mine = job.name in own and job.owner_uid == view.uid and not job.deleting
            return Blocker(words=words, own=mine)
    return None


def _pod_words(pod: projection.PodView) -> str:
    where = f" on node {pod.node}" if pod.node else ""
    words = f"pod {pod.name}{where} may still be at work on the database"
    if pod.node:
        words += "; if that node is known to be dead, delete the pod by force"
    return words


def _queue_blocker(slots: Slots, key: Key, database: str) -> Blocker | None:
    ahead = slots.ahead(key, database)
    if ahead is None:
        return None
    return Blocker(words=f"{ahead.name} uses the same database and comes first")
