"""What to do next with one resource: a function of what was observed, and of nothing else.

No clock, no client and no log are in here: the same world gives the same step,
so a restart at any point changes nothing, and a test needs no cluster.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from schema_operator import (
    beginning,
    kind,
    meaning,
    moment,
    parts,
    progress,
    projection,
    resource,
    verification,
)
from schema_operator import digest as digests
from schema_operator.kind import Kind
from schema_operator.reason import FINAL, READY, RETRIED, STALLED, ConditionType, Reason
from schema_operator.run import Ended, Lost, NotBegun, Run
from schema_operator.step import Keep, Step, Verdict
from schema_operator.world import Start, Wanted, World

if TYPE_CHECKING:
    from datetime import datetime


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
        return _follow(world, spec, digest, active)
    if world.circle:
        words = f"dependsOn goes in a circle: {' → '.join(world.circle)}"
        return Step(verdict=Verdict(reason=Reason.SPEC_INVALID, digest="", words=words))
    newest = world.runs[0] if world.runs else None
    if newest is not None and verification.concerns(world.wanted, spec, newest):
        return _verified(world, spec, digest, newest)
    if not _answered(world.wanted, spec, digest, newest):
        return _carry_out(world, spec, digest, newest)
    step = verification.wait(world, spec)
    if newest is not None and _speaks(world.wanted, digest, newest):
        step = dataclasses.replace(step, verdict=_after(world, spec, newest).verdict)
    return step


def _follow(world: World, spec: resource.Spec, digest: str, run: Run) -> Step:
    if not verification.concerns(world.wanted, spec, run):
        return progress.follow(world, run, digest)
    step = progress.follow(world, run, run.job.digest)
    if _answered(world.wanted, spec, digest, None):
        # The answer that it looks after stands meanwhile, or every gate would close each time.
        step = dataclasses.replace(step, verdict=Keep())
    return step


def _verified(world: World, spec: resource.Spec, digest: str, run: Run) -> Step:
    concluded = verification.conclude(world, spec, digest, run)
    if concluded is not None:
        return concluded
    if _answered(world.wanted, spec, digest, None):
        return verification.wait(world, spec)
    newest = next((one for one in world.runs if one.job.kind is not Kind.VERIFY), None)
    return _carry_out(world, spec, digest, newest)


def _carry_out(world: World, spec: resource.Spec, digest: str, newest: Run | None) -> Step:
    if newest is None or newest.job.digest != digest:
        return beginning.begin(world, spec, beginning.first(world, spec, digest, newest), None)
    return _after(world, spec, newest)


def _surplus(runs: tuple[Run, ...], limit: int) -> tuple[projection.JobView, ...]:
    """Return the finished Jobs beyond the limit; the newest always stays.

    The newest is what an unfinished business is continued from, whatever the limit.
    """
    old = runs[max(limit, 1) :]
    return tuple(run.job for run in old if run.job.finished is not None and not run.job.deleting)


# What the status has answered already


def _answered(  # noqa: PLR0911 - one row a rule
    wanted: Wanted, spec: resource.Spec, digest: str, newest: Run | None
) -> bool:
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
    if ready is not None and ready.reason == Reason.AWAITING_APPROVAL:
        return stalled is None
    if stalled is None or stalled.status != "True" or stalled.reason not in STALLED - RETRIED:
        return False
    if stalled.reason == Reason.MIGRATION_FAILED:
        return (status.failed_attempts or 0) > spec.retry.limit
    if stalled.reason == Reason.SPEC_INVALID:
        return status.observed_generation == wanted.generation
    return True


def _speaks(wanted: Wanted, digest: str, newest: Run) -> bool:
    """Return whether the run that the status answers from can still be read itself.

    Then the answer is derived from it once more, which puts right what somebody
    else may have written over it.
    """
    last = wanted.status.last_run
    return (
        last is not None
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
    reason, counts = meaning.of_run(run, unapproved=kind.is_unapproved(spec))
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
    if reason in FINAL:
        again = verification.next_due(spec, run.state) if reason in READY else None
        return Step(verdict=verdict, again=again)
    if counts and failures > spec.retry.limit:
        return Step(verdict=dataclasses.replace(verdict, reason=Reason.MIGRATION_FAILED))
    verdict = dataclasses.replace(verdict, next_attempt=_next_attempt(spec.retry, run, reason))
    following = Start(
        job=digests.job_name(world.wanted.key.name, job.digest, job.attempt + 1),
        digest=job.digest,
        attempt=job.attempt + 1,
        failures=failures,
        series=job.series,
        kind=job.kind,
    )
    if spec.suspend or verdict.next_attempt is None or verdict.next_attempt <= world.now:
        return beginning.begin(world, spec, following, verdict)
    return Step(verdict=verdict, again=verdict.next_attempt)


def _next_attempt(retry: parts.Retry, run: Run, reason: Reason) -> datetime:
    """Return when the next attempt is due, in whole seconds.

    The jitter is derived from the run, so every operator computes the same
    moment, and a restart writes nothing.
    """
    assert isinstance(run.state, Ended | Lost | NotBegun)  # noqa: S101 - for the type checker
    attempt = max(run.job.attempt, 1)
    delay = retry.max_backoff
    if reason not in RETRIED:
        # From the shortest to the longest are twenty doublings; thirty from there no timedelta holds.
        delay = min(delay, retry.backoff * 2 ** min(attempt - 1, 20))
    delay *= 1 - 0.2 * digests.fraction(run.job.digest, attempt)
    return moment.rounded_up(run.state.at + delay)
