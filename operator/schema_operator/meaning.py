"""What the end of a run means: a reason, and whether it counts as a failure."""

from __future__ import annotations

from typing import Final

from schema_migrator.result import Outcome, Refusal
from schema_operator.kind import Kind
from schema_operator.reason import Reason
from schema_operator.run import Ended, Hold, Lost, NotBegun, Run, Running, Waiting


def of_run(run: Run, *, unapproved: bool) -> tuple[Reason, bool]:
    """Return what a run's end means, and whether it counts against the limit of retries.

    Args:
        run: the run.
        unapproved: whether a plan has to be approved and none was: then a run that
            was refused for that is no failure, it has brought the plan.
    """
    match run.state:
        case Ended(result=result):
            planned = result.outcome is Outcome.PLANNED and run.job.kind is not Kind.APPLY
            if planned or (unapproved and result.refusal is Refusal.PLAN_OUTDATED):
                return Reason.AWAITING_APPROVAL, False
            if result.outcome is Outcome.REFUSED:
                return REFUSALS[result.refusal], False
            return OUTCOMES[result.outcome]
        case Lost():
            return Reason.VERIFYING, True
        case NotBegun(hold=Hold.IMAGE):
            return Reason.IMAGE_NOT_READY, False
        case NotBegun():
            return Reason.RETRYING, False
        case Waiting() | Running():
            raise AssertionError("the run has not ended")


OUTCOMES: Final[dict[Outcome, tuple[Reason, bool]]] = {
    Outcome.APPLIED: (Reason.UP_TO_DATE, False),
    Outcome.UP_TO_DATE: (Reason.UP_TO_DATE, False),
    Outcome.AHEAD_ACCEPTED: (Reason.DATABASE_AHEAD_ACCEPTED, False),
    Outcome.DIRTY: (Reason.DIRTY, False),
    Outcome.FAILED: (Reason.RETRYING, True),
    Outcome.TIMEOUT: (Reason.RETRYING, True),
    Outcome.INTERRUPTED: (Reason.RETRYING, False),
    Outcome.LOCKED: (Reason.LOCK_NOT_AVAILABLE, False),
    Outcome.UNREACHABLE: (Reason.DATABASE_UNREACHABLE, False),
    Outcome.INVALID: (Reason.CONFIGURATION_INVALID, False),
    # These two are no answer to what was asked, so nothing is known of the database.
    Outcome.STARTED: (Reason.VERIFYING, True),
    Outcome.PLANNED: (Reason.VERIFYING, True),
}
"""What each outcome means; refused is told apart by its refusal."""

REFUSALS: Final[dict[Refusal | None, Reason]] = {
    Refusal.DOWNGRADE_NOT_ALLOWED: Reason.DOWNGRADE_NOT_ALLOWED,
    Refusal.DOWNGRADE_MISSING: Reason.DOWNGRADE_NOT_ALLOWED,
    Refusal.TARGET_UNKNOWN: Reason.TARGET_UNKNOWN,
    Refusal.TOO_FEW_APPLIED: Reason.TARGET_UNKNOWN,
    Refusal.DATABASE_AHEAD: Reason.DATABASE_AHEAD,
    Refusal.HISTORY_EDITED: Reason.HISTORY_EDITED,
    Refusal.POSITION_LOST: Reason.HISTORY_EDITED,
    Refusal.PLAN_OUTDATED: Reason.PLAN_OUTDATED,
    # Nothing that the operator asks for is refused so; a newer migrator may say more.
    Refusal.NOT_AT_HEAD: Reason.MIGRATION_FAILED,
    Refusal.INCIDENT_MISMATCH: Reason.MIGRATION_FAILED,
    Refusal.ALREADY_POSITIONED: Reason.MIGRATION_FAILED,
    # Cured at the database, by a person who runs the migrator there once.
    Refusal.ADOPTION_NEEDED: Reason.CONFIGURATION_INVALID,
    Refusal.ADOPTION_DIRTY: Reason.CONFIGURATION_INVALID,
    None: Reason.MIGRATION_FAILED,
}
