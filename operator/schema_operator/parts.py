"""The parts that a spec is made of."""

from __future__ import annotations

import enum

import pydantic

from schema_operator.model import (
    OBJECT_NAME,
    Duration,
    Model,
    duration_field,
    rule,
    rules,
    text,
)

PLAN_ID = r"^sha256:[0-9a-f]{64}$"
"""How the migrator names a plan."""


class ImagePullPolicy(enum.StrEnum):
    """When the node pulls the image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class DatabaseAheadPolicy(enum.StrEnum):
    """What to do with a database that is at a revision which the image does not know."""

    BLOCK = "Block"
    ACCEPT = "Accept"


class Approval(enum.StrEnum):
    """Whether a person has to approve a plan before it is carried out."""

    NOT_REQUIRED = "NotRequired"
    REQUIRED = "Required"


class LocalReference(Model):
    """A reference to an object of the same namespace."""

    name: str = text(253, pattern=OBJECT_NAME)
    """The object's name."""


class Dependency(Model):
    """A SchemaMigration of the same namespace that must be Ready first."""

    name: str = text(47, pattern=r"^[a-z0-9]([-a-z0-9]{0,45}[a-z0-9])?$")
    """The SchemaMigration's name."""


class SecretKeyReference(Model):
    """A reference to one key of a Secret of the same namespace."""

    name: str = text(253, pattern=OBJECT_NAME)
    """The Secret's name. The Secret need not exist yet: the run waits for it."""

    key: str = text(253, default="DATABASE_URL", pattern=r"^[-._a-zA-Z0-9]+$")
    """The key whose value is the database's URL."""


class Database(Model):
    """The database that is migrated."""

    url_secret_ref: SecretKeyReference = pydantic.Field(
        json_schema_extra=rules(
            rule(
                "self == oldSelf",
                "the target database is immutable; create a new SchemaMigration",
                reason="FieldValueForbidden",
            )
        )
    )
    """Where the database's URL is found. Only the migrator's pod reads it, never the operator.
    Immutable: another database is another SchemaMigration."""


class Force(Model):
    """What a person says of a dirty database."""

    incident: str = text(128, pattern=r"^[A-Za-z0-9_-]+$")
    """The incident that is resolved, as status.incident names it. Where another one is open, or
    none, nothing is resolved."""

    revision: str = text(128, pattern=r"^[A-Za-z0-9_.]+$")
    """Where the database is now, as that person has seen or seen to: a revision's id, or base."""


class Retry(Model):
    """How often, and how soon, a run that failed is tried again."""

    limit: int = pydantic.Field(default=5, ge=0, le=1000)
    """How many retries follow a first failure before the resource is Stalled. Only runs that
    failed, ran out of time or ended unknown count; waiting for a lock, an unreachable database
    and an interrupted run don't."""

    backoff: Duration = duration_field("10s")
    """The wait after the first attempt; it doubles with each further one."""

    max_backoff: Duration = duration_field("5m")
    """The longest wait between two attempts."""
