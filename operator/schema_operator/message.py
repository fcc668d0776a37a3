"""What a verdict says to a person: one sentence or two, with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schema_operator import run as runs
from schema_operator.moment import stamp
from schema_operator.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema_operator.step import Verdict


def text(verdict: Verdict, status: dict[str, Any]) -> str:  # noqa: C901, PLR0911, PLR0912 - one row a reason
    """Return what a verdict says to a person.

    Args:
        verdict: the verdict.
        status: the status that it goes into, for the database's position.
    """
    said = _said(verdict)
    version = status.get("version", "an unknown revision")
    name = f"Run {verdict.job} (attempt {verdict.attempt})"
    again = ""
    if verdict.next_attempt is not None:
        again = f" The next attempt is due at {stamp(verdict.next_attempt)}."
    match verdict.reason:
        case Reason.UP_TO_DATE:
            position = "base: no revision is applied" if version == "base" else version
            return f"The database is at {position}."
        case Reason.DATABASE_AHEAD_ACCEPTED:
            return (
                f"The database is at {version}, ahead of the image;"
                " it is left as it is, as onDatabaseAhead: Accept says."
            )
        case Reason.PENDING:
            return f"Waiting to start: {verdict.words or 'accepted'}."
        case Reason.SECRET_NOT_READY:
            return f"{name} waits and will start by itself. The node says: {said}"
        case Reason.IMAGE_NOT_READY if verdict.next_attempt is None:
            return f"{name} waits and will start by itself. The node says: {said}"
        case Reason.IMAGE_NOT_READY:
            return f"{name} did not begin: {said}{again}"
        case Reason.POD_NOT_SCHEDULED:
            return f"{name} waits and will start by itself. No node has taken its pod: {said}"
        case Reason.DEPENDENCY_NOT_READY:
            return f"Waiting to start: {verdict.words}."
        case Reason.PLANNING:
            return f"{name} {verdict.words or 'makes a plan and changes nothing'}."
        case Reason.MIGRATING:
            return f"{name} {verdict.words or 'is under way'}."
        case Reason.AWAITING_APPROVAL:
            return (
                f"{_proposal(status)} To carry it out, set spec.approvedPlan to {_plan_id(status)}."
            )
        case Reason.RETRYING:
            return f"{name} {_ending(verdict)}: {said}{again}"
        case Reason.DATABASE_UNREACHABLE:
            return f"The database could not be reached: {said}{again}"
        case Reason.LOCK_NOT_AVAILABLE:
            return f"The database is busy: {said}{again}"
        case Reason.VERIFYING:
            return (
                f"{name} ended, and how is not known: {said}"
                f" The next run reads the database.{again}"
            )
        case Reason.SUSPENDED:
            return "A run is due and is not started while spec.suspend is true."
        case Reason.MIGRATION_FAILED:
            failures = "once" if verdict.failures == 1 else f"{verdict.failures} times"
            return (
                f"Failed {failures} and is not tried again"
                f" until the spec changes or a run is requested. {name} {_ending(verdict)}: {said}"
            )
        case Reason.DIRTY:
            return (
                "The database may hold half of a revision; look at it, complete or undo what is there,"
                f" then set spec.force to incident {status.get('incident', 'unknown')} and the revision"
                f" that the database is at. {said}"
            )
        case Reason.DOWNGRADE_NOT_ALLOWED:
            return f"Reaching the target would revert revisions: {said}"
        case Reason.TARGET_UNKNOWN:
            return f"The image has no such target: {said}"
        case Reason.DATABASE_AHEAD:
            return (
                f"The database is ahead of the image: {said} Deploy an image that knows its revision,"
                " or set onDatabaseAhead: Accept to leave it as it is."
            )
        case Reason.PLAN_OUTDATED:
            return (
                f"The approved plan is not what a run would do now. {_proposal(status)}"
                f" To carry that out, set spec.approvedPlan to {_plan_id(status)}."
            )
        case Reason.IMAGE_NOT_ALLOWED:
            return f"The operator does not run this image: {said}"
        case Reason.HISTORY_EDITED:
            return f"The database's history and the image disagree: {said}"
        case Reason.CONFIGURATION_INVALID:
            return f"The configuration can't work: {said}{again}"
        case Reason.SPEC_INVALID:
            return f"The spec can't be carried out; change it. {said}"


_LISTED: Final = 10
"""How many revisions, and how many removals, a message lists."""


def _plan_id(status: dict[str, Any]) -> str:
    return str((status.get("plan") or {}).get("id", "the id of the plan"))


def _proposal(status: dict[str, Any]) -> str:
    """Return a plan in a sentence or two: a person reads it before approving it."""
    plan = status.get("plan") or {}
    revisions = plan.get("revisions", ())
    if not revisions:
        return "The plan only records where the database is."
    words = (
        f"The plan runs {_some(revisions)}, from {status.get('version', 'an unknown revision')}."
    )
    removals = plan.get("destructive", ())
    return f"{words} It removes data or objects: {_some(removals)}." if removals else words


def _some(several: Sequence[str]) -> str:
    rest = len(several) - _LISTED
    return ", ".join(several[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _said(verdict: Verdict) -> str:
    """Return what the run, or else the verdict, says, as a sentence."""
    words = verdict.words
    if verdict.run is not None:
        match verdict.run.state:
            case runs.Ended(result=result):
                words = result.message or f"the migrator reported {result.outcome}"
                if result.sqlstate and result.sqlstate not in words:
                    words += f" (SQLSTATE {result.sqlstate})"
            case runs.Lost(why=why) | runs.NotBegun(why=why):
                words = why
            case runs.Waiting() | runs.Running():
                pass
    words = " ".join(words.split())
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _ending(verdict: Verdict) -> str:
    """Return how a run ended, as the predicate of a sentence."""
    state = verdict.run.state if verdict.run is not None else None
    match state:
        case runs.Ended(result=result):
            return f"ended as {result.outcome}"
        case runs.NotBegun():
            return "did not begin"
        case _:
            return "ended unknown"
