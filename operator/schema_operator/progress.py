"""What to do with a run that is under way."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from schema_operator.kind import Kind
from schema_operator.reason import Reason
from schema_operator.run import (
    GRACE,
    NEWS_WITHIN,
    OVERTIME,
    POD_EXPECTED_WITHIN,
    Hold,
    Run,
    Running,
    Waiting,
)
from schema_operator.step import Step, Stop, Verdict

if TYPE_CHECKING:
    from schema_operator import projection
    from schema_operator.world import World


def follow(world: World, run: Run, digest: str) -> Step:
    """Return the step while a run is under way.

    Args:
        world: what was observed.
        run: the run.
        digest: of the run that is wanted now, which need not be this one.
    """
    wanted, job = world.wanted, run.job
    verdict = Verdict(
        reason=under_way(job.kind),
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
    again = None
    if not run.pod:
        again = max(job.created + POD_EXPECTED_WITHIN, world.now + _SOON)
        if job.finished is not None:
            again = max(job.finished + NEWS_WITHIN, world.now + _SOON)
    if job.generation != wanted.generation and state.hold is not Hold.STARTING:
        # It has not begun and can't, as things stand; what was changed may be the remedy.
        words = "had not begun and is replaced, since the spec has changed"
        return Step(verdict=dataclasses.replace(verdict, words=words), action=Stop(job=job))
    if job.digest == digest:
        if state.hold is Hold.STARTING:
            return Step(verdict=verdict, again=again)
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
    Hold.SECRET: Reason.SECRET_NOT_READY,
    Hold.IMAGE: Reason.IMAGE_NOT_READY,
    Hold.SCHEDULING: Reason.POD_NOT_SCHEDULED,
}


def under_way(kind: Kind) -> Reason:
    """Return the reason while a run of that kind is under way."""
    return Reason.PLANNING if kind is Kind.PLAN else Reason.MIGRATING
