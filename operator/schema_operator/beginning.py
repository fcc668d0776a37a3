"""Whether an attempt may begin now, and what to say while it may not."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

from schema_operator import digest as digests
from schema_operator import kind, progress, resource
from schema_operator.reason import Reason
from schema_operator.step import Line, Step, Verdict
from schema_operator.world import Rejection, Start, World

if TYPE_CHECKING:
    from schema_operator.run import Run


def first(world: World, spec: resource.Spec, digest: str, newest: Run | None) -> Start:
    """Return the attempt that begins, or goes on with, the wish of this digest."""
    status = world.wanted.status
    known = status if status.observed_digest == digest else resource.Status()
    attempts = [run.job.attempt for run in world.runs if run.job.digest == digest]
    attempt = 1 + max([*attempts, known.attempt or 0])
    series = world.now
    if newest is not None:
        series = max(series, newest.job.series + timedelta(microseconds=1))
    return Start(
        job=digests.job_name(world.wanted.key.name, digest, attempt),
        digest=digest,
        attempt=attempt,
        failures=0 if attempts else known.failed_attempts or 0,
        series=series,
        kind=kind.of_wish(spec),
    )


def begin(world: World, spec: resource.Spec, start: Start, meanwhile: Verdict | None) -> Step:
    """Return the step that starts an attempt, or says why it can't be started now.

    Args:
        world: what was observed.
        spec: what is wanted.
        start: the attempt.
        meanwhile: what to say while only the end of the last run is waited for.
    """
    pending = Verdict(reason=Reason.PENDING)
    verdict = _barred(world, spec)
    if verdict is not None:
        return Step(verdict=verdict)
    rejection = world.rejection
    if rejection is not None and rejection.start.digest == start.digest:
        start = rejection.start
        step = _rejected(world, rejection)
        if step is not None:
            return step
    if world.blocker is not None:
        if world.blocker.own and meanwhile is not None:
            return Step(verdict=meanwhile, line=Line.DATABASE)
        words = world.blocker.words
        return Step(verdict=dataclasses.replace(pending, words=words), line=Line.DATABASE)
    if world.queued:
        words = "as many runs as are allowed are at work already"
        return Step(verdict=dataclasses.replace(pending, words=words), line=Line.TOTAL)
    return Step(
        verdict=Verdict(
            reason=progress.under_way(start.kind),
            digest=start.digest,
            attempt=start.attempt,
            failures=start.failures,
            job=start.job,
        ),
        action=start,
    )


def _barred(world: World, spec: resource.Spec) -> Verdict | None:
    """Return why nothing may be started whatever the database is doing; None: it may."""
    if world.disallowed:
        return Verdict(reason=Reason.IMAGE_NOT_ALLOWED, digest="", words=world.disallowed)
    if spec.suspend:
        return Verdict(reason=Reason.SUSPENDED)
    if world.unmet:
        return Verdict(reason=Reason.DEPENDENCY_NOT_READY, words=world.unmet)
    return None


def _rejected(world: World, rejection: Rejection) -> Step | None:
    """Return the step while an attempt is not to be tried again yet; None: it is."""
    if rejection.until is None:
        if rejection.generation != world.wanted.generation:
            return None
        digest = rejection.start.digest
        return Step(
            verdict=Verdict(reason=Reason.SPEC_INVALID, digest=digest, words=rejection.words)
        )
    if rejection.until <= world.now:
        return None
    verdict = Verdict(reason=Reason.PENDING, words=rejection.words)
    return Step(verdict=verdict, again=rejection.until)
