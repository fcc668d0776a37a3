"""The SchemaMigration as types: the one definition of its fields.

The CRD is generated from these models, and the docstring under a field is what
``kubectl explain`` shows. The rules are CEL, so the API server itself refuses a
resource that can't work, before anything is stored.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import pydantic

from schema_operator.model import (
    Duration,
    Model,
    Time,
    duration_field,
    listing,
    rule,
    rules,
    text,
)
from schema_operator.parts import (
    PLAN_ID,
    Approval,
    Database,
    DatabaseAheadPolicy,
    Dependency,
    Force,
    ImagePullPolicy,
    LocalReference,
    Retry,
)
from schema_operator.pod_template import PodTemplate


class Spec(Model):
    """What a person asks for."""

    image: str = text(512, pattern=r"^[^\s]+$")
    """The migrator's image with the migrations in it; its entry point is the migrator. A digest
    pins what runs; a tag that moves is only seen when something else changes or a run is
    requested."""

    image_pull_policy: ImagePullPolicy = ImagePullPolicy.IF_NOT_PRESENT
    """When the node pulls the image."""

    image_pull_secrets: tuple[LocalReference, ...] = listing(16, "name")
    """The Secrets that the node pulls the image with."""

    tree: str | None = text(253, default=None, pattern=r"^[-A-Za-z0-9_./:]+$")
    """Which migrations in the image: a Python package, a package and a path inside it
    (package:path), or a directory. Absent: what the image says itself."""

    database: Database
    """The database that is migrated."""

    target: str = text(128, default="head", pattern=r"^[A-Za-z0-9_.]+$")
    """Where the database shall be: head, heads (of a history with several), base, or a
    revision's id."""

    allow_downgrade: bool = False
    """Whether revisions may be reverted to reach the target. Reverting can destroy data."""

    baseline: str | None = text(128, default=None, pattern=r"^[A-Za-z0-9_.]+$")
    """What a database that has its schema already, and no position yet, is taken to be at: a
    revision's id. An empty database gets every revision instead. Immutable once set."""

    on_database_ahead: DatabaseAheadPolicy = DatabaseAheadPolicy.BLOCK
    """What to do when the database is at a revision that the image does not know, as after an
    application was rolled back. Block: Stalled. Accept: Ready, and the database is left as it
    is."""

    approval: Approval = Approval.NOT_REQUIRED
    """Required: nothing moves the database before approvedPlan names the plan in the status."""

    approved_plan: str | None = text(71, default=None, pattern=PLAN_ID)
    """The id of the plan that may be carried out, as status.plan.id names it. A plan that has
    changed since is not carried out and needs another approval."""

    force: Force | None = None
    """Resolves one dirty event, once: it can stay here."""

    timeout: Duration = duration_field("15m")
    """The longest that one run takes, waiting for locks included."""

    lock_timeout: Duration = duration_field("2s")
    """The longest that one statement waits for a lock, and with it everything that queues up
    behind that statement. A step that did not get its lock is tried again within the timeout."""

    statement_timeout: Duration = duration_field("0s")
    """The longest that one statement takes. 0s: no limit but the run's timeout."""

    suspend: bool = False
    """Starts nothing new while true. A run that is under way goes on."""

    retry: Retry = Retry()
    """How often, and how soon, a run that failed is tried again."""

    verify_interval: Duration = duration_field("0s")
    """How often to read again where the database is, so that one that was restored or moved by
    somebody else is noticed and brought back, or reported. 0s: never."""

    depends_on: tuple[Dependency, ...] = listing(32, "name")
    """SchemaMigrations of this namespace that must be Ready before a run starts."""

    history_limit: int = pydantic.Field(default=5, ge=0, le=20)
    """How many finished runs are kept, as Jobs and in the status. The newest Job always is."""

    pod_template: PodTemplate = PodTemplate()
    """What the migrator's pod has beyond what it always has. None of it can loosen the pod's
    security."""

    model_config = pydantic.ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.target != 'base' || self.allowDowngrade",
                "target base needs allowDowngrade: true",
                fieldPath=".target",
            ),
            rule(
                "!has(oldSelf.baseline) || (has(self.baseline) && self.baseline == oldSelf.baseline)",
                "baseline is immutable once set",
                fieldPath=".baseline",
            ),
            rule(
                "duration(self.verifyInterval) == duration('0s')"
                " || (duration(self.verifyInterval) >= duration('10s')"
                " && duration(self.verifyInterval) <= duration('8760h'))",
                "verifyInterval must be 0s, or from 10s to 8760h",
                fieldPath=".verifyInterval",
            ),
            rule(
                "duration(self.timeout) >= duration('1s') && duration(self.timeout) <= duration('168h')",
                "timeout must be from 1s to 168h",
                fieldPath=".timeout",
            ),
            rule(
                "duration(self.lockTimeout) >= duration('1ms')"
                " && duration(self.lockTimeout) <= duration('168h')",
                "lockTimeout must be from 1ms to 168h",
                fieldPath=".lockTimeout",
            ),
            rule(
                "duration(self.statementTimeout) <= duration('168h')",
                "statementTimeout must be at most 168h",
                fieldPath=".statementTimeout",
            ),
            rule(
                "duration(self.retry.backoff) >= duration('100ms')"
                " && duration(self.retry.backoff) <= duration(self.retry.maxBackoff)"
                " && duration(self.retry.maxBackoff) <= duration('24h')",
                "retry needs 100ms <= backoff <= maxBackoff <= 24h",
                fieldPath=".retry",
            ),
        )
    )


class Run(Model):
    """One run, as it ended."""

    job: str = text(63)
    """The Job's name."""

    outcome: str = text(32)
    """How it ended, in the migrator's word; unknown where its report was lost, not_begun where
    its container never started."""

    from_: str | None = text(1024, default=None, alias="from")
    """The database's position before the run."""

    to: str | None = text(1024, default=None)
    """The position after it, as read back from the database. Absent: not known."""

    start_time: Time | None = None
    """When the migrator started."""

    completion_time: Time | None = None
    """When it ended."""

    exit_code: int | None = pydantic.Field(default=None, ge=-(2**31), le=2**31 - 1)
    """The migrator's exit code."""

    sqlstate: str | None = text(5, default=None)
    """The database's five-character error code, where an error had one."""

    message: str | None = text(2048, default=None)
    """What the migrator said of it."""

    lock_wait_seconds: float | None = pydantic.Field(default=None, ge=0, le=1e9)
    """How long it waited for locks."""

    blocked_by: str | None = text(1024, default=None)
    """Who held the lock that it waited for last."""


class Plan(Model):
    """What a run would do, for a person to approve."""

    id: str = text(71, pattern=PLAN_ID)
    """What approvedPlan has to say."""

    revisions: tuple[Annotated[str, pydantic.Field(max_length=128)], ...] = listing(1000)
    """The revisions that are applied or reverted, in that order; the first of them where there
    are too many to report."""

    destructive: tuple[Annotated[str, pydantic.Field(max_length=512)], ...] = listing(1000)
    """What they remove, as far as it can be told."""

    job: str = text(63)
    """The Job that reported it."""


class Condition(Model):
    """One condition, in the form that all of Kubernetes uses."""

    type: str = text(316)
    """Ready, Reconciling or Stalled."""

    status: str = pydantic.Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})
    """True, False or Unknown."""

    observed_generation: int | None = pydantic.Field(default=None, ge=0, le=2**53 - 1)
    """The generation of the spec that it speaks of."""

    last_transition_time: Time
    """When its status last changed."""

    reason: str = text(1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    """Why, in one word."""

    message: str = text(4096)
    """Why, in a sentence for a person."""


class Status(Model):
    """What the operator says. Nobody else writes it."""

    observed_generation: int | None = pydantic.Field(default=None, ge=-1, le=2**53 - 1)
    """The generation of the spec that this status speaks of; -1 before the first."""

    observed_digest: str | None = text(128, default=None)
    """The digest of the run that this status speaks of. It tells a finished run from a new wish
    after its Job is gone."""

    version: str | None = text(1024, default=None)
    """The database's position, as the last run read it: a revision's id, several with commas
    between, or base."""

    dirty: bool | None = None
    """Whether the database may hold half of a revision, as the last run read it."""

    incident: str | None = text(128, default=None)
    """The id of the open dirty event."""

    target_version: str | None = text(1024, default=None)
    """What the target meant in the image that ran."""

    pending: int | None = pydantic.Field(default=None, ge=0, le=2**31 - 1)
    """How many revisions were missing at the target after the last run."""

    image: str | None = text(1024, default=None)
    """The image that really ran, with its digest."""

    attempt: int | None = pydantic.Field(default=None, ge=0, le=2**31 - 1)
    """The number of the present or last attempt."""

    failed_attempts: int | None = pydantic.Field(default=None, ge=0, le=2**31 - 1)
    """How many attempts of the present run failed; retry.limit is compared with it."""

    plan: Plan | None = None
    """What is, or was, to be approved; absent once it is carried out."""

    last_run: Run | None = None
    """The last run that ended."""

    history: tuple[Run, ...] = listing(20, "job")
    """The runs that ended, newest first, at most historyLimit."""

    last_migration_time: Time | None = None
    """When a run last moved the database."""

    next_attempt_time: Time | None = None
    """When the next attempt is due."""

    conditions: tuple[Condition, ...] = listing(8, "type")
    """Ready, and while it is not: Reconciling where the operator goes on by itself, Stalled where
    a person has to do something, neither where it waits for one."""

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type, if there is one."""
        return next((condition for condition in self.conditions if condition.type == kind), None)


class SchemaMigration(Model):
    """Keeps one PostgreSQL database's schema at a revision.

    Each run is a Job of the migrator; the status says where the database is and whether a
    person is needed.
    """

    spec: Spec
    """What a person asks for."""

    status: Status = Status()
    """What the operator says. Nobody else writes it."""


FIRST_STATUS: Final[dict[str, Any]] = {"observedGeneration": -1}
"""The status of a resource that no operator has seen: without it, tools that follow kstatus would
take a new resource for a finished one."""
