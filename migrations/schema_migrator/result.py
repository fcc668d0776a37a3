"""What a run of the migrator reports: the one thing both sides share.

The migrator writes a result as JSON into the file that ``MIGRATE_RESULT_FILE``
names; in a pod that is the container's termination log, and the operator reads
it there. ``started`` is written before the first statement and replaced at the
end, so a run that was killed reads as unknown and never as a success.

Standard library only: the operator imports this module and nothing else of the
migrator, and the migrator's quick path must stay quick.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any, Final, TypeVar

T = TypeVar("T")

VERSION: Final = 1
"""The version of the format, ``v`` in the JSON."""

MAXIMUM_BYTES: Final = 2048
"""The most that an encoded result takes, in bytes of UTF-8.

A kubelet keeps 4096 bytes of a container's termination message and 12 KiB of a
pod's: half of the former stays clear of both.
"""


class Outcome(enum.StrEnum):
    """How a run ended."""

    STARTED = "started"
    APPLIED = "applied"
    UP_TO_DATE = "up_to_date"
    PLANNED = "planned"
    AHEAD_ACCEPTED = "ahead_accepted"
    FAILED = "failed"
    DIRTY = "dirty"
    LOCKED = "locked"
    UNREACHABLE = "unreachable"
    INVALID = "invalid"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"


EXIT_CODES: Final[dict[Outcome, int]] = {
    Outcome.STARTED: 1,
    Outcome.APPLIED: 0,
    Outcome.UP_TO_DATE: 0,
    Outcome.PLANNED: 0,
    Outcome.AHEAD_ACCEPTED: 0,
    Outcome.FAILED: 10,
    Outcome.DIRTY: 11,
    Outcome.LOCKED: 12,
    Outcome.UNREACHABLE: 13,
    Outcome.INVALID: 14,
    Outcome.REFUSED: 15,
    Outcome.TIMEOUT: 16,
    Outcome.INTERRUPTED: 17,
}
"""The exit code of each outcome. ``started`` as a last word is a bug: 1."""


class Refusal(enum.StrEnum):
    """Why a run was refused, where the caller's answer depends on it.

    A caller decides by this word, not by the message.
    """

    DOWNGRADE_NOT_ALLOWED = "downgrade_not_allowed"
    TARGET_UNKNOWN = "target_unknown"
    DATABASE_AHEAD = "database_ahead"
    PLAN_OUTDATED = "plan_outdated"
    HISTORY_EDITED = "history_edited"
    POSITION_LOST = "position_lost"
    NOT_AT_HEAD = "not_at_head"
    INCIDENT_MISMATCH = "incident_mismatch"
    TOO_FEW_APPLIED = "too_few_applied"
    DOWNGRADE_MISSING = "downgrade_missing"
    ALREADY_POSITIONED = "already_positioned"
    ADOPTION_NEEDED = "adoption_needed"
    ADOPTION_DIRTY = "adoption_dirty"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would execute.

    Attributes:
        id: ``sha256:`` and 64 hexadecimal digits.
        revisions: the ids of the steps, in the order of execution.
        destructive: the steps that remove something, with what they remove.
    """

    id: str
    revisions: tuple[str, ...] = ()
    destructive: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The report of one run.

    Attributes:
        outcome: how it ended.
        refusal: with ``refused``, why.
        from_: the position before the run; None where it was not read.
        to: the position after it, as read back; None means unknown.
        target: what the run's target meant in this tree.
        applied: the ids of the revisions that this run applied or reverted.
        pending: how many revisions are still missing at the target.
        dirty: whether the database may hold half of a revision; None: not read.
        incident: the id of the dirty event, where there is one.
        sqlstate: the server's five-character code, where an error had one.
        message: one line for a person, without any secret.
        lock_wait_seconds: time spent waiting for the migrator's lock and for retries.
        blocked_by: who held the lock that was waited for last.
        duration_seconds: the whole run.
        plan: with ``planned``, the plan.
        server: the server's version, as ``16.2``.
        migrator: the migrator's own version.
    """

    outcome: Outcome
    refusal: Refusal | None = None
    from_: str | None = None
    to: str | None = None
    target: str | None = None
    applied: tuple[str, ...] = ()
    pending: int | None = None
    dirty: bool | None = None
    incident: str | None = None
    sqlstate: str | None = None
    message: str = ""
    lock_wait_seconds: float = 0.0
    blocked_by: str | None = None
    duration_seconds: float = 0.0
    plan: Plan | None = None
    server: str | None = None
    migrator: str | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of a program that ends with this result."""
        return EXIT_CODES[self.outcome]


class NotAResultError(ValueError):
    """A text is no result: empty, cut short, of another version, or not ours."""


def _compact(text: str, characters: int) -> str:
    """Return ``text`` with at most that many characters, an ellipsis where it was longer."""
    return text if len(text) <= characters else text[: max(characters - 1, 0)] + "…"


def _document(result: Result) -> dict[str, Any]:
    """Return the JSON object of a result; what is unknown or empty is left out."""
    plan = result.plan
    document: dict[str, Any] = {
        "v": VERSION,
        "outcome": str(result.outcome),
        "refusal": None if result.refusal is None else str(result.refusal),
        "from": result.from_,
        "to": result.to,
        "target": result.target,
        "applied": list(result.applied),
        "pending": result.pending,
        "dirty": result.dirty,
        "incident": result.incident,
        "sqlstate": result.sqlstate,
        "message": result.message,
        "lockWaitSeconds": round(result.lock_wait_seconds, 3),
        "blockedBy": result.blocked_by,
        "durationSeconds": round(result.duration_seconds, 3),
        "plan": None
        if plan is None
        else {
            "id": plan.id,
            "revisions": list(plan.revisions),
            "destructive": list(plan.destructive),
        },
        "server": result.server,
        "migrator": result.migrator,
    }
    return {key: value for key, value in document.items() if value not in (None, "", [])}


def _dump(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", errors="replace")


def encode(result: Result) -> bytes:
    """Return a result as JSON of at most `MAXIMUM_BYTES` bytes of UTF-8.

    A result that is too long is shortened field by field, never cut: first the
    lists (each gives way to its first entries and a count), then the texts.
    NUL bytes and lone surrogates, which JSON or a terminal would trip over, are
    replaced.
    """
    document = _document(_clean(result))
    for entries, characters in (
        (None, 1200),
        (16, 800),
        (8, 400),
        (4, 200),
        (2, 100),
        (1, 48),
        (0, 24),
        (0, 8),
    ):
        encoded = _dump(_shortened(document, entries, characters))
        if len(encoded) <= MAXIMUM_BYTES:
            return encoded
    raise AssertionError("a result of the shortest form is always short enough")


def _clean(result: Result) -> Result:
    """Return the result with control characters and lone surrogates replaced."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if type(value) is str:
            changes[field.name] = _clean_text(value)
        elif isinstance(value, tuple):
            changes[field.name] = tuple(_clean_text(item) for item in value)
    if result.plan is not None:
        changes["plan"] = Plan(
            id=_clean_text(result.plan.id),
            revisions=tuple(map(_clean_text, result.plan.revisions)),
            destructive=tuple(map(_clean_text, result.plan.destructive)),
        )
    return dataclasses.replace(result, **changes)


def _clean_text(text: str) -> str:
    one_line = "".join(
        " " if character < " " or character == "\x7f" else character for character in text
    )
    return one_line.encode("utf-8", errors="replace").decode("utf-8")


def _shortened(document: dict[str, Any], entries: int | None, characters: int) -> dict[str, Any]:
    """Return the document with lists and texts bounded; the plan's id stays whole."""
    short: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, str):
            short[key] = _compact(value, characters)
        elif isinstance(value, list):
            short[key] = _few(value, entries, characters)
        elif isinstance(value, dict):
            short[key] = {"id": _compact(value["id"], 80)} | {
                name: _few(value[name], entries, characters)
                for name in ("revisions", "destructive")
            }
        else:
            short[key] = value
    return short


def _few(values: list[str], entries: int | None, characters: int) -> list[str]:
    shown = values if entries is None else values[:entries]
    few = [_compact(value, min(characters, 80)) for value in shown]
    if len(shown) < len(values):
        few.append(f"and {len(values) - len(shown)} more")
    return few


def decode(text: str | bytes) -> Result:
    """Return the result that a text holds.

    Fields that a newer migrator added are ignored.

    Raises:
        NotAResultError: the text is anything but one whole result of this version.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotAResultError("not JSON") from error
    if not isinstance(document, dict):
        raise NotAResultError("not an object")
    if document.get("v") != VERSION or isinstance(document.get("v"), bool):
        raise NotAResultError("not a result of version 1")
    try:
        outcome = Outcome(str(document.get("outcome")))
    except ValueError as error:
        raise NotAResultError("an unknown outcome") from error
    refusal = _optional(document, "refusal", str)
    plan = _optional(document, "plan", dict)
    return Result(
        outcome=outcome,
        refusal=Refusal(refusal) if refusal in set(Refusal) else None,
        from_=_optional(document, "from", str),
        to=_optional(document, "to", str),
        target=_optional(document, "target", str),
        applied=_texts(document, "applied"),
        pending=_optional(document, "pending", int),
        dirty=_optional(document, "dirty", bool),
        incident=_optional(document, "incident", str),
        sqlstate=_optional(document, "sqlstate", str),
        message=_optional(document, "message", str) or "",
        lock_wait_seconds=_seconds(document, "lockWaitSeconds"),
        blocked_by=_optional(document, "blockedBy", str),
        duration_seconds=_seconds(document, "durationSeconds"),
        plan=None
        if plan is None
        else Plan(
            id=_optional(plan, "id", str) or "",
            revisions=_texts(plan, "revisions"),
            destructive=_texts(plan, "destructive"),
        ),
        server=_optional(document, "server", str),
        migrator=_optional(document, "migrator", str),
    )


def _optional(document: dict[str, Any], key: str, kind: type[T]) -> T | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise NotAResultError(f"{key} has the wrong type")
    return value


def _texts(document: dict[str, Any], key: str) -> tuple[str, ...]:
    values = _optional(document, key, list) or []
    if not all(isinstance(value, str) for value in values):
        raise NotAResultError(f"{key} has the wrong type")
    return tuple(values)


def _seconds(document: dict[str, Any], key: str) -> float:
    value = document.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotAResultError(f"{key} has the wrong type")
    return float(value)
