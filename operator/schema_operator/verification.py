"""Looking again, now and then, whether a database is still where it was left.

A verification makes a plan and changes nothing. What the status has answered
stands while it is under way: only what it finds can take that back.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from schema_operator import beginning, meaning, moment
from schema_operator import digest as digests
from schema_operator.kind import Kind
from schema_operator.reason import FINAL, READY, ConditionType, Reason
from schema_operator.run import Ended, Lost, NotBegun, Run, State
from schema_operator.step import Keep, Line, Step, Verdict
from schema_operator.world import Start, Wanted, World

if TYPE_CHECKING:
    from schema_operator import resource


def concerns(wanted: Wanted, spec: resource.Spec, run: Run) -> bool:
    """Tell whether a run is a verification of what is wanted now."""
    return run.job.kind is Kind.VERIFY and run.job.digest == _digest(wanted, spec, run.job.series)


def conclude(world: World, spec: resource.Spec, digest: str, run: Run) -> Step | None:
    """Return what follows from a verification that ended; None: nothing does.

    Args:
        world: what was observed.
        spec: what is wanted.
        digest: of the run that carries it out.
        run: the verification, which is the newest run.
    """
    last = world.wanted.status.last_run
    if not isinstance(run.state, Ended):
        return None
    reason, _ = meaning.of_run(run, unapproved=False)
    if reason is Reason.AWAITING_APPROVAL:
        # It has a plan, so the database is not where it was left.
        start = dataclasses.replace(beginning.first(world, spec, digest, run), failures=0)
        return beginning.begin(world, spec, start, None)
    if reason in READY and last is not None and last.job == run.job.name:
        return None
    if reason not in FINAL:
        return None
    return Step(
        verdict=Verdict(reason=reason, digest=digest, run=run),
        again=next_due(spec, run.state) if reason in READY else None,
    )


def wait(world: World, spec: resource.Spec) -> Step:
    """Return the step of a resource whose status has answered: at most, a verification begins."""
    status = world.wanted.status
    ready = status.condition(ConditionType.READY)
    at_work = ready is not None and ready.status == "True" and bool(spec.verify_interval)
    if not at_work or spec.suspend or world.disallowed:
        return Step(verdict=Keep())
    ends = [run.state.at for run in world.runs if isinstance(run.state, Ended | Lost | NotBegun)]
    if status.last_run is not None and status.last_run.completion_time is not None:
        ends.append(status.last_run.completion_time)
    due = _due(spec, max(ends)) if ends else world.now.replace(microsecond=0)
    if due is None or due > world.now:
        return Step(verdict=Keep(), again=due)
    return _begin(world, spec, due)


def _begin(world: World, spec: resource.Spec, due: datetime) -> Step:
    digest = _digest(world.wanted, spec, due)
    rejection = world.rejection
    if rejection is not None and rejection.start.digest == digest:
        until = rejection.until or world.now + spec.verify_interval
        if until > world.now:
            return Step(verdict=Keep(), again=until)
    if world.blocker is not None:
        return Step(verdict=Keep(), line=Line.DATABASE)
    if world.queued:
        return Step(verdict=Keep(), line=Line.TOTAL)
    start = Start(
        job=digests.job_name(world.wanted.key.name, digest, 1),
        digest=digest,
        attempt=1,
        failures=0,
        series=due,
        kind=Kind.VERIFY,
    )
    return Step(verdict=Keep(), action=start)


def next_due(spec: resource.Spec, last: State) -> datetime | None:
    """Return when the next verification is due after a run that ended; None: never."""
    return _due(spec, last.at) if isinstance(last, Ended | Lost | NotBegun) else None


def _due(spec: resource.Spec, last: datetime) -> datetime | None:
    """Return when the next one is due, in whole seconds; None: never."""
    if not spec.verify_interval:
        return None
    return moment.rounded_up(last + spec.verify_interval)


def _digest(wanted: Wanted, spec: resource.Spec, due: datetime) -> str:
    stamp = due.astimezone(UTC).isoformat()
    return digests.of_run(wanted.uid, spec, wanted.requested_at, Kind.VERIFY, stamp)
