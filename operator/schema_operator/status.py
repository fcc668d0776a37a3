"""What the status says: the whole of it, from the step that was decided on.

Nobody else makes a status, and all texts that belong to a reason are here. A
message is one sentence or two for a person: what is the matter, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schema_migrator.result import Outcome
from schema_operator import message, resource
from schema_operator import run as runs
from schema_operator.kind import Kind
from schema_operator.moment import stamp
from schema_operator.reason import (
    READY,
    RECONCILING,
    STALLED,
    ConditionType,
    Reason,
)
from schema_operator.step import Keep, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from schema_operator.model import Model
    from schema_operator.projection import JobView
    from schema_operator.world import Wanted

MESSAGE_LENGTH: Final = 1024
"""The most characters of a condition's message."""

_LIMITS: Final = {"message": 1024, "from": 512, "to": 512, "blockedBy": 512}
"""The most characters of a run's texts in the status."""

_ORDER: Final = tuple(field.alias or name for name, field in resource.Status.model_fields.items())
"""The fields of a status as people read them."""


def compose(
    wanted: Wanted,
    observed: Sequence[runs.Run],
    verdict: Verdict | Keep,
    now: datetime,
) -> dict[str, Any]:
    """Return the whole status that follows from a verdict.

    The same world gives the same status, so writing it again changes nothing.
    What is empty or not known is left out.

    Args:
        wanted: the resource, with the status that it has.
        observed: its runs, newest first.
        verdict: what to say.
        now: the present moment, for conditions that change.
    """
    limit = wanted.spec.history_limit if isinstance(wanted.spec, resource.Spec) else 20
    status = _dump(wanted.status)
    for each in reversed(observed):
        _record(status, wanted.status, each)
    history = status.get("history", [])[:limit]
    status["history"] = history
    status["observedGeneration"] = wanted.generation
    if isinstance(verdict, Keep):
        status["conditions"] = _kept(wanted, status)
    else:
        _state(status, verdict)
        status["conditions"] = _conditions(wanted, verdict, status, now)
    return {key: status[key] for key in _ORDER if status.get(key) not in (None, [], {}, "")}


def _dump(model: Model) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _state(status: dict[str, Any], verdict: Verdict) -> None:
    """Put what the verdict says of the attempt into a status."""
    if verdict.digest is not None:
        status["observedDigest"] = verdict.digest
    if verdict.attempt is not None:
        status["attempt"] = verdict.attempt
    if verdict.failures is not None:
        status["failedAttempts"] = verdict.failures
    status["nextAttemptTime"] = (
        None if verdict.next_attempt is None else stamp(verdict.next_attempt)
    )


# Runs

_FINDINGS: Final = frozenset({Outcome.PLANNED, Outcome.DIRTY, Outcome.REFUSED})
"""Outcomes of a verification that are worth an entry in the history."""


def _record(status: dict[str, Any], before: resource.Status, run: runs.Run) -> None:
    """Put a run that ended into a status, unless it stands there already."""
    state = run.state
    if isinstance(state, runs.Waiting | runs.Running):
        return
    known = {one.job: one for one in before.history}
    if before.last_run is not None:
        known[before.last_run.job] = before.last_run
    entry = known.get(run.job.name)
    if entry is None and _older(run, before):
        return
    if entry is not None and not _better(run, entry, before):
        return
    record = _entry(run, state)
    status["lastRun"] = record
    others = [one for one in status.get("history", ()) if one["job"] != run.job.name]
    if run.job.kind is not Kind.VERIFY or record["outcome"] in _FINDINGS:
        status["history"] = [record, *others]
    if isinstance(state, runs.Ended):
        _position(status, state)
        _plan(status, run.job, state)
    if isinstance(state, runs.Ended | runs.Lost) and state.image:
        status["image"] = _short(state.image, 512)


def _better(run: runs.Run, entry: resource.Run, before: resource.Status) -> bool:
    """Return whether a run says more than the entry that the status has of it."""
    if not isinstance(run.state, runs.Ended) or run.state.recorded:
        return False
    last = before.last_run
    return entry.outcome == runs.UNKNOWN or (last is not None and last.job == run.job.name)


def _older(run: runs.Run, before: resource.Status) -> bool:
    """Return whether a run is older than what the status knows: it left the history."""
    last = before.last_run
    return last is not None and last.start_time is not None and run.job.created < last.start_time


def _position(status: dict[str, Any], state: runs.Ended) -> None:
    """Put what a run read from the database into a status; what it did not read stays."""
    result = state.result
    if result.to is not None:
        status["version"] = _short(result.to, 512)
    if result.pending is not None:
        status["pending"] = result.pending
    if result.dirty is not None:
        status["dirty"] = result.dirty
        status["incident"] = _short(result.incident or "", 128) if result.dirty else None
    if result.target is not None:
        status["targetVersion"] = _short(result.target, 512)
    if result.applied:
        status["lastMigrationTime"] = stamp(state.at)


def _plan(status: dict[str, Any], job: JobView, state: runs.Ended) -> None:
    """Put a plan that is to be approved into a status; what was carried out is none any more."""
    plan = state.result.plan
    if job.kind is Kind.VERIFY or state.recorded:
        return
    if plan is not None:
        status["plan"] = {
            "id": plan.id,
            "revisions": [_short(one, 128) for one in plan.revisions],
            "destructive": [_short(one, 512) for one in plan.destructive],
            "job": job.name,
        }
        status["plan"] = {key: value for key, value in status["plan"].items() if value}
    elif state.result.exit_code == 0:
        status["plan"] = None


def _entry(run: runs.Run, state: runs.Ended | runs.Lost | runs.NotBegun) -> dict[str, Any]:
    """Return a run as the status lists it."""
    entry: dict[str, Any] = {"job": run.job.name, "completionTime": stamp(state.at)}
    match state:
        case runs.Ended(result=result):
            entry |= {
                "outcome": str(result.outcome),
                "from": result.from_,
                "to": result.to,
                "exitCode": result.exit_code,
                "sqlstate": result.sqlstate,
                "message": result.message,
                "lockWaitSeconds": result.lock_wait_seconds or None,
                "blockedBy": result.blocked_by,
            }
        case runs.Lost(why=why, exit_code=exit_code):
            entry |= {"outcome": runs.UNKNOWN, "message": why, "exitCode": exit_code}
        case runs.NotBegun(why=why):
            entry |= {"outcome": runs.NOT_BEGUN, "message": why}
    if not isinstance(state, runs.NotBegun):
        entry["startTime"] = stamp(state.started or run.job.created)
    entry = {key: value for key, value in entry.items() if value not in (None, "")}
    for key, characters in _LIMITS.items():
        if key in entry:
            entry[key] = _short(entry[key], characters)
    return _dump(resource.Run.model_validate(entry))


# Conditions


def _kept(wanted: Wanted, status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the conditions of an answer that stands, and none that somebody has put beside it."""
    ready = wanted.status.condition(ConditionType.READY)
    kinds = {str(kind) for kind, _ in _kinds(Reason(ready.reason))} if ready is not None else set()
    return [
        {**condition, "observedGeneration": wanted.generation}
        for condition in status.get("conditions", ())
        if condition["type"] in kinds
    ]


def _kinds(reason: Reason) -> list[tuple[ConditionType, str]]:
    """Return the conditions of a reason, Ready first; one that is bad when true is there only then."""
    kinds = [(ConditionType.READY, "True" if reason in READY else "False")]
    if reason in RECONCILING:
        kinds.append((ConditionType.RECONCILING, "True"))
    if reason in STALLED:
        kinds.append((ConditionType.STALLED, "True"))
    return kinds


def _conditions(
    wanted: Wanted,
    verdict: Verdict,
    status: dict[str, Any],
    now: datetime,
) -> list[dict[str, Any]]:
    """Return the conditions that follow from a verdict."""
    reason = verdict.reason
    message = _message(wanted, verdict, status)
    conditions = []
    for kind, state in _kinds(reason):
        before = wanted.status.condition(kind)
        since = stamp(now)
        if before is not None and before.status == state:
            since = stamp(before.last_transition_time)
        conditions.append(
            {
                "type": str(kind),
                "status": state,
                "observedGeneration": wanted.generation,
                "lastTransitionTime": since,
                "reason": str(reason),
                "message": message,
            }
        )
    return conditions


def _message(wanted: Wanted, verdict: Verdict, status: dict[str, Any]) -> str:
    """Return the message of a verdict; the old one where only a repetition was seen."""
    run = verdict.run
    before = wanted.status.condition(ConditionType.READY)
    if (
        before is not None
        and before.reason == verdict.reason
        and run is not None
        and isinstance(run.state, runs.Waiting)
        and run.state.repeated
        and wanted.status.attempt == verdict.attempt
    ):
        return before.message
    return _short(message.text(verdict, status), MESSAGE_LENGTH)


def _short(words: str, characters: int) -> str:
    return words if len(words) <= characters else words[: characters - 1] + "…"
