"""What to do next with one resource: a function of what was observed, and of nothing else.

No clock, no client and no log are in here: the same world gives the same step,
so a restart at any point changes nothing, and a test needs no cluster.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Final

from schema_operator import digest as digests
from schema_operator import meaning, projection, resource
from schema_operator.reason import READY, RETRIED, STALLED, ConditionType, Reason
from schema_operator.run import (
    GRACE,
    OVERTIME,
    POD_EXPECTED_WITHIN,
    Ended,
    Hold,
    Lost,
    NotBegun,
    Run,
    Running,
    Waiting,
)
from schema_operator.step import Keep, Line, Step, Stop, Verdict
from schema_operator.world import Rejection, Start, Wanted, World


def decide(world: World) -> Step:
    """Return the one next step."""
    wanted = world.wanted
    if wanted.deleting:
        return Step(verdict=None)
    spec = wanted.spec
    if isinstance(spec, str):
        return Step(verdict=Verdict(reason=Reason.SPEC_INVALID, words=spec))
    digest = digests.of_run(wanted.uid, spec, wanted.requested_at)
    step = _decide(world, spec, digest)
    return dataclasses.replace(step, surplus=_surplus(world.runs, spec.history_limit))


def _decide(world: World, spec: resource.Spec, digest: str) -> Step:
    active = next((run for run in world.runs if run.under_way), None)
    if active is not None:
        return _under_way(world, active, digest)
    newest = world.runs[0] if world.runs else None
    if _answered(world.wanted, spec, digest, newest) and not _speaks(world.wanted, digest, newest):
        return Step(verdict=Keep())
    if newest is None or newest.job.digest != digest:
        return _start(world, spec, _first(world, digest, newest), None)
    return _after(world, spec, newest)


def _surplus(runs: tuple[Run, ...], limit: int) -> tuple[projection.JobView, ...]:
    """Return the finished Jobs beyond the limit; the newest always stays.

    The newest is what an unfinished business is continued from, whatever the limit.
    """
    old = runs[max(limit, 1) :]
    return tuple(run.job for run in old if run.job.finished is not None and not run.job.deleting)


# A run that is under way


def _under_way(world: World, run: Run, digest: str) -> Step:
    wanted, job = world.wanted, run.job
    verdict = Verdict(
        reason=Reason.MIGRATING,
        digest=job.digest,
        job=job.name,
        run=run,
        attempt=job.attempt,
        failures=job.failures,
    )
    state = run.state
    if job.deleting:
        words = "is being stopped"
        if run.pod:
            words += (
                f"; waiting until pod {run.pod} is gone"
                f" (if node {run.node} is known to be dead, delete the pod by force)"
            )
        return Step(verdict=dataclasses.replace(verdict, words=words))
    if isinstance(state, Running):
        return _running(world, verdict, state, digest)
    assert isinstance(state, Waiting)  # noqa: S101 - the only other state of a run under way
    again = max(job.created + POD_EXPECTED_WITHIN, world.now + _SOON) if not run.pod else None
    if job.generation != wanted.generation and state.hold is not Hold.STARTING:
        # It has not begun and can't, as things stand; what was changed may be the remedy.
        words = "had not begun and is replaced, since the spec has changed"
        return Step(verdict=dataclasses.replace(verdict, words=words), action=Stop(job=job))
    if job.digest == digest:
        if state.notable is not None and state.notable > world.now:
            return Step(verdict=verdict, again=state.notable)
        verdict = dataclasses.replace(verdict, reason=_HOLDS[state.hold], words=state.words)
    else:
        verdict = dataclasses.replace(verdict, words=_still(job))
    return Step(verdict=verdict, again=again)


def _running(world: World, verdict: Verdict, state: Running, digest: str) -> Step:
    assert verdict.run is not None  # noqa: S101 - for the type checker
    job = verdict.run.job
    deadline = state.started + job.timeout + GRACE + OVERTIME
    if world.now >= deadline:
        words = "is being stopped, since it has outlived its timeout"
        return Step(verdict=dataclasses.replace(verdict, words=words), action=Stop(job=job))
    words = "" if job.digest == digest else _still(job)
    return Step(verdict=dataclasses.replace(verdict, words=words), again=deadline)


def _still(job: projection.JobView) -> str:
    return f"of generation {job.generation} is still under way; the present spec is decided on after it"


_SOON: Final = timedelta(seconds=5)

_HOLDS: Final = {
    Hold.STARTING: Reason.MIGRATING,
    Hold.SECRET: Reason.SECRET_NOT_READY,
    Hold.IMAGE: Reason.IMAGE_NOT_READY,
    Hold.SCHEDULING: Reason.POD_NOT_SCHEDULED,
}


# What the status has answered already


def _answered(wanted: Wanted, spec: resource.Spec, digest: str, newest: Run | None) -> bool:
    """Return whether the status answers this very wish, and nothing has happened since.

    With that a finished run stays finished after its Job is gone, and a restart
    writes nothing.
    """
    status = wanted.status
    if status.observed_digest != digest or (newest is not None and not _reported(status, newest)):
        return False
    ready, stalled = (
        status.condition(kind) for kind in (ConditionType.READY, ConditionType.STALLED)
    )
    if ready is not None and ready.status == "True":
        return ready.reason in READY
    if stalled is None or stalled.status != "True" or stalled.reason not in STALLED - RETRIED:
        return False
    if stalled.reason == Reason.MIGRATION_FAILED:
        return (status.failed_attempts or 0) > spec.retry.limit
    if stalled.reason == Reason.SPEC_INVALID:
        return status.observed_generation == wanted.generation
    return True


def _speaks(wanted: Wanted, digest: str, newest: Run | None) -> bool:
    """Return whether the run that the status answers from can still be read itself.

    Then the answer is derived from it once more, which puts right what somebody
    else may have written over it.
    """
    last = wanted.status.last_run
    return (
        newest is not None
        and last is not None
        and newest.job.name == last.job
        and newest.job.digest == digest
        and isinstance(newest.state, Ended)
        and not newest.state.recorded
    )


def _reported(status: resource.Status, newest: Run) -> bool:
    """Return whether a status was written after this run had ended."""
    known = {run.job for run in status.history}
    last = status.last_run
    if last is not None:
        known.add(last.job)
        if last.start_time is not None and newest.job.created < last.start_time:
            return True
    return newest.job.name in known


# After a run


def _after(world: World, spec: resource.Spec, run: Run) -> Step:
    """Return what follows from the newest run, which answers what is wanted now."""
    reason, counts = meaning.of_state(run.state)
    job = run.job
    failures = job.failures + counts
    verdict = Verdict(
        reason=reason,
        digest=job.digest,
        job=job.name,
        run=run,
        attempt=job.attempt,
        failures=failures,
    )
    if reason in READY or reason in STALLED - RETRIED:
        return Step(verdict=verdict)
    if counts and failures > spec.retry.limit:
        return Step(verdict=dataclasses.replace(verdict, reason=Reason.MIGRATION_FAILED))
    verdict = dataclasses.replace(verdict, next_attempt=_next_attempt(spec.retry, run, reason))
    following = Start(
        job=digests.job_name(world.wanted.key.name, job.digest, job.attempt + 1),
        digest=job.digest,
        attempt=job.attempt + 1,
        failures=failures,
        series=job.series,
    )
    if spec.suspend or verdict.next_attempt is None or verdict.next_attempt <= world.now:
        return _start(world, spec, following, verdict)
    return Step(verdict=verdict, again=verdict.next_attempt)


def _next_attempt(retry: resource.Retry, run: Run, reason: Reason) -> datetime:
    """Return when the next attempt is due, in whole seconds.

    The jitter is derived from the run, so every operator computes the same
    moment, and a restart writes nothing.
    """
    assert isinstance(run.state, Ended | Lost | NotBegun)  # noqa: S101 - for the type checker
    attempt = max(run.job.attempt, 1)
    delay = retry.max_backoff
    if reason not in RETRIED:
        delay = min(delay, retry.backoff * 2 ** min(attempt - 1, 30))
    delay *= 1 - 0.2 * digests.fraction(run.job.digest, attempt)
    due = run.state.at + delay
    return due.replace(microsecond=0) + timedelta(seconds=1 if due.microsecond else 0)


# Before a run


def _first(world: World, digest: str, newest: Run | None) -> Start:
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
    )


def _start(world: World, spec: resource.Spec, start: Start, meanwhile: Verdict | None) -> Step:
    """Return the step that starts an attempt, or says why it can't be started now.

    Args:
        world: what was observed.
        spec: what is wanted.
        start: the attempt.
        meanwhile: what to say while only the end of the last run is waited for.
    """
    pending = Verdict(reason=Reason.PENDING)
    if spec.suspend:
        return Step(verdict=Verdict(reason=Reason.SUSPENDED))
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
            reason=Reason.MIGRATING,
            digest=start.digest,
            attempt=start.attempt,
            failures=start.failures,
            job=start.job,
        ),
        action=start,
    )


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
