"""Why a SchemaMigration is in the state it is in: the reasons of its conditions.

The words are API: scripts and alerts compare with them.
"""

from __future__ import annotations

import enum
from typing import Final


class ConditionType(enum.StrEnum):
    """The conditions of a SchemaMigration, as kstatus reads them."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(enum.StrEnum):
    """The reason of Ready, and of Reconciling or Stalled where one of them is true."""

    UP_TO_DATE = "UpToDate"
    DATABASE_AHEAD_ACCEPTED = "DatabaseAheadAccepted"
    PENDING = "Pending"
    SECRET_NOT_READY = "SecretNotReady"  # noqa: S105 - a reason, no password
    IMAGE_NOT_READY = "ImageNotReady"
    POD_NOT_SCHEDULED = "PodNotScheduled"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    PLANNING = "Planning"
    MIGRATING = "Migrating"
    RETRYING = "Retrying"
    DATABASE_UNREACHABLE = "DatabaseUnreachable"
    LOCK_NOT_AVAILABLE = "LockNotAvailable"
    VERIFYING = "Verifying"
    AWAITING_APPROVAL = "AwaitingApproval"
    SUSPENDED = "Suspended"
    MIGRATION_FAILED = "MigrationFailed"
    DIRTY = "Dirty"
    DOWNGRADE_NOT_ALLOWED = "DowngradeNotAllowed"
    TARGET_UNKNOWN = "TargetUnknown"
    DATABASE_AHEAD = "DatabaseAhead"
    PLAN_OUTDATED = "PlanOutdated"
    HISTORY_EDITED = "HistoryEdited"
    CONFIGURATION_INVALID = "ConfigurationInvalid"
    IMAGE_NOT_ALLOWED = "ImageNotAllowed"
    SPEC_INVALID = "SpecInvalid"


READY: Final = frozenset({Reason.UP_TO_DATE, Reason.DATABASE_AHEAD_ACCEPTED})
"""Reasons with Ready=True."""

RECONCILING: Final = frozenset(
    {
        Reason.PENDING,
        Reason.DEPENDENCY_NOT_READY,
        Reason.SECRET_NOT_READY,
        Reason.IMAGE_NOT_READY,
        Reason.POD_NOT_SCHEDULED,
        Reason.PLANNING,
        Reason.MIGRATING,
        Reason.RETRYING,
        Reason.DATABASE_UNREACHABLE,
        Reason.LOCK_NOT_AVAILABLE,
        Reason.VERIFYING,
    }
)
"""Reasons with Reconciling=True: the operator goes on by itself."""

STALLED: Final = frozenset(
    {
        Reason.MIGRATION_FAILED,
        Reason.DIRTY,
        Reason.DOWNGRADE_NOT_ALLOWED,
        Reason.TARGET_UNKNOWN,
        Reason.DATABASE_AHEAD,
        Reason.PLAN_OUTDATED,
        Reason.HISTORY_EDITED,
        Reason.CONFIGURATION_INVALID,
        Reason.IMAGE_NOT_ALLOWED,
        Reason.SPEC_INVALID,
    }
)
"""Reasons with Stalled=True: a person has to do something."""

WAITING_FOR_A_PERSON: Final = frozenset({Reason.AWAITING_APPROVAL, Reason.SUSPENDED})
"""Reasons with neither: nothing is wrong, and nothing goes on by itself."""

RETRIED: Final = frozenset({Reason.CONFIGURATION_INVALID})
"""Stalled, yet tried again now and then: what is wrong may be put right outside the resource."""

FINAL: Final = READY | (STALLED - RETRIED) | {Reason.AWAITING_APPROVAL}
"""Reasons that end what was wanted: nothing more is started for it."""
