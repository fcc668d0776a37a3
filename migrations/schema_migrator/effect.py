"""What a statement locks and what it removes, as far as its text tells.

For the reader of a plan, who decides whether it may run now. The kind of a
statement decides its lock on a table (documentation, chapter "Explicit
Locking"); what functions, triggers and DO blocks do besides is not in the text,
and is said to be unknown.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

from schema_migrator.statement import QUALIFIED_NAME, without_comments

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.statement import Statement

_EXCLUSIVE: Final = "ACCESS EXCLUSIVE"
_ROWS: Final = "ROW EXCLUSIVE"
_SHARE: Final = "SHARE"
_SHARE_ROW: Final = "SHARE ROW EXCLUSIVE"
_SHARE_UPDATE: Final = "SHARE UPDATE EXCLUSIVE"

REWRITES: Final = " (may rewrite it)"
"""What is added to a lock that may be held for as long as the table takes to be written anew."""


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """What a statement does to others.

    Attributes:
        locks: the locks that it takes on what is there already, as
            ``ACCESS EXCLUSIVE on one``.
        removes: what it removes, as ``table one``.
        makes: the table that it makes, if it makes one.
        is_known: whether the text tells all of it.
    """

    locks: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    is_known: bool = True
    makes: str | None = None


_NAME = rf"(?P<name>{QUALIFIED_NAME})"
_ITEM = re.compile(rf"\s*{QUALIFIED_NAME}")
_KEY = re.compile(rf"\bREFERENCES\s+({QUALIFIED_NAME})", re.IGNORECASE)
_WEAK_ACTION = re.compile(
    r"\s*(?:VALIDATE\s+CONSTRAINT|ATTACH\s+PARTITION|CLUSTER\s+ON|SET\s+WITHOUT\s+CLUSTER"
    r"|ALTER\s+(?:COLUMN\s+)?\S+\s+SET\s+(?:STATISTICS|\()|SET\s*\(|RESET\s*\(|DETACH\s+PARTITION\s+\S+\s+CONCURRENTLY)",
    re.IGNORECASE,
)
_TRIGGER_ACTION = re.compile(
    r"\s*(?:ENABLE|DISABLE)\s+(?:REPLICA\s+|ALWAYS\s+)?TRIGGER", re.IGNORECASE
)
_ADD_KEY = re.compile(r"\s*ADD\s+(?:CONSTRAINT\s+\S+\s+)?FOREIGN\s+KEY", re.IGNORECASE)
_DROP_PART = re.compile(
    rf"\s*DROP\s+(?P<kind>CONSTRAINT\s+|COLUMN\s+)?(?:IF\s+EXISTS\s+)?(?P<part>{QUALIFIED_NAME})",
    re.IGNORECASE,
)
_COLUMN_PROPERTY = re.compile(
    r"\s*DROP\s+(?:DEFAULT|NOT\s+NULL|IDENTITY|EXPRESSION)\b", re.IGNORECASE
)
_TYPE = re.compile(
    r"\s*ALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b|\s*SET\s+(?:UN)?LOGGED\b"
    r"|\s*SET\s+TABLESPACE\b|\s*SET\s+ACCESS\s+METHOD\b",
    re.IGNORECASE,
)


def _on(lock: str) -> Callable[[re.Match[str]], Effect]:
    """Return what takes one lock on one table."""
    return lambda match: Effect(locks=(f"{lock} on {_plain(match['name'])}",))


def _plain(name: str) -> str:
    return "".join(name.split()) if '"' not in name else name.strip()


def _names(text: str) -> tuple[str, ...]:
    """Return the names at the beginning of a text that lists them."""
    found = []
    for item in _actions(text):
        match = _ITEM.match(item)
        if match is None:
            break
        found.append(_plain(match.group()))
    return tuple(found)


def _drop(match: re.Match[str]) -> Effect:
    kind = " ".join(match["kind"].lower().split())
    names = _names(match["names"])
    lock = _SHARE_UPDATE if match["concurrently"] else _EXCLUSIVE
    locked = kind in ("table", "index", "view", "materialized view", "foreign table", "sequence")
    return Effect(
        locks=tuple(f"{lock} on {name}" for name in names) if locked else (),
        removes=tuple(f"{kind} {name}" for name in names),
        is_known="CASCADE" not in match["names"].upper().split(),
    )


def _drop_on(match: re.Match[str]) -> Effect:
    kind, table = match["kind"].lower(), _plain(match["name"])
    return Effect(
        locks=(f"{_EXCLUSIVE} on {table}",),
        removes=(f"{kind} {_plain(match['part'])} of {table}",),
    )


def _truncate(match: re.Match[str]) -> Effect:
    names = _names(match["names"])
    return Effect(
        locks=tuple(f"{_EXCLUSIVE} on {name}" for name in names),
        removes=tuple(f"all rows of {name}" for name in names),
        is_known="CASCADE" not in match["names"].upper().split(),
    )


def _delete(match: re.Match[str]) -> Effect:
    name = _plain(match["name"])
    return Effect(locks=(f"{_ROWS} on {name}",), removes=(f"rows of {name}",))


def _create_table(match: re.Match[str]) -> Effect:
    return Effect(locks=_referenced(match["rest"]), makes=_plain(match["name"]))


def _referenced(text: str) -> tuple[str, ...]:
    names = dict.fromkeys(_plain(name) for name in _KEY.findall(text))
    return tuple(f"{_SHARE_ROW} on {name}" for name in names)


def _alter_table(match: re.Match[str]) -> Effect:
    table, actions = _plain(match["name"]), _actions(match["rest"])
    removes = []
    for action in actions:
        part = _DROP_PART.match(action)
        if part is not None and not _COLUMN_PROPERTY.match(action):
            kind = (part["kind"] or "column").strip().lower()
            removes.append(f"{kind} {_plain(part['part'])} of {table}")
    if all(map(_WEAK_ACTION.match, actions)):
        lock = _SHARE_UPDATE
    elif all(_ADD_KEY.match(one) or _TRIGGER_ACTION.match(one) for one in actions):
        lock = _SHARE_ROW
    else:
        lock = _EXCLUSIVE
    rewritten = REWRITES if any(map(_TYPE.match, actions)) else ""
    return Effect(
        locks=(f"{lock} on {table}{rewritten}", *_referenced(match["rest"])),
        removes=tuple(removes),
    )


def _actions(text: str) -> list[str]:
    """Return what stands between the outermost commas of a text."""
    actions, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            actions.append(text[start:place])
            start = place + 1
    return [*actions, text[start:]]


def _lock_table(match: re.Match[str]) -> Effect:
    mode = re.search(r"\bIN\s+(.+?)\s+MODE\b", match["names"], re.IGNORECASE)
    lock = " ".join(mode[1].upper().split()) if mode else _EXCLUSIVE
    return Effect(locks=tuple(f"{lock} on {name}" for name in _names(match["names"])))


def _nothing(_match: re.Match[str]) -> Effect:
    return Effect()


_EXISTS = r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
_ONLY = r"(?:ONLY\s+)?"
_KINDS: Final[tuple[tuple[str, Callable[[re.Match[str]], Effect]], ...]] = (
    (rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\b.*?\bON\s+{_ONLY}{_NAME}", _on(_SHARE_UPDATE)),
    (rf"CREATE\s+(?:UNIQUE\s+)?INDEX\b.*?\bON\s+{_ONLY}{_NAME}", _on(_SHARE)),
    (
        rf"DROP\s+(?P<kind>TRIGGER|POLICY|RULE)\s+{_EXISTS}(?P<part>{QUALIFIED_NAME})\s+ON\s+{_NAME}",
        _drop_on,
    ),
    (
        rf"DROP\s+(?!OWNED)(?P<kind>(?:MATERIALIZED|FOREIGN|EVENT|TEXT\s+SEARCH)\s+\w+|\w+)\s+(?P<concurrently>CONCURRENTLY\s+)?{_EXISTS}(?P<names>.+)",
        _drop,
    ),
    (
        rf"REINDEX\b(?:\s*\([^)]*\))?\s+\w+\s+CONCURRENTLY\s+{_EXISTS}{_NAME}",
        _on(_SHARE_UPDATE),
    ),
    (
        rf"REINDEX\b(?:\s*\([^)]*\))?\s+\w+\s+{_NAME}",
        _on("SHARE, and ACCESS EXCLUSIVE on indexes,"),
    ),
    (
        rf"ALTER\s+(?:FOREIGN\s+)?TABLE\s+{_EXISTS}{_ONLY}{_NAME}\s*\*?(?P<rest>.*)",
        _alter_table,
    ),
    (rf"ALTER\s+INDEX\s+{_EXISTS}{_NAME}\s+RENAME\b", _on(_SHARE_UPDATE)),
    (rf"ALTER\s+(?:INDEX|VIEW|MATERIALIZED\s+VIEW)\s+{_EXISTS}{_NAME}", _on(_EXCLUSIVE)),
    (rf"ALTER\s+SEQUENCE\s+{_EXISTS}{_NAME}", _on(_SHARE_ROW)),
    (
        rf"CREATE\s+(?:GLOBAL\s+|LOCAL\s+)?(?:TEMPORARY\s+|TEMP\s+|UNLOGGED\s+)?TABLE\s+{_EXISTS}{_NAME}(?P<rest>.*)",
        _create_table,
    ),
    (
        rf"CREATE\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?TRIGGER\b.*?\bON\s+{_NAME}",
        _on(_SHARE_ROW),
    ),
    (rf"(?:CREATE|ALTER)\s+POLICY\b.*?\bON\s+{_NAME}", _on(_EXCLUSIVE)),
    (rf"CREATE\s+(?:OR\s+REPLACE\s+)?RULE\b.*?\bTO\s+{_NAME}", _on(_EXCLUSIVE)),
    (rf"CREATE\s+STATISTICS\b.*?\bFROM\s+{_NAME}", _on(_SHARE_UPDATE)),
    (rf"TRUNCATE\s+(?:TABLE\s+)?{_ONLY}(?P<names>.+)", _truncate),
    (rf"DELETE\s+FROM\s+{_ONLY}{_NAME}", _delete),
    (rf"(?:INSERT\s+INTO|MERGE\s+INTO|UPDATE)\s+{_ONLY}{_NAME}", _on(_ROWS)),
    (rf"COPY\s+{_NAME}.*?\bFROM\b", _on(_ROWS)),
    (rf"LOCK\s+(?:TABLE\s+)?{_ONLY}(?P<names>.+)", _lock_table),
    (
        rf"REFRESH\s+MATERIALIZED\s+VIEW\s+CONCURRENTLY\s+{_NAME}",
        _on("EXCLUSIVE"),
    ),
    (rf"REFRESH\s+MATERIALIZED\s+VIEW\s+{_NAME}", _on(_EXCLUSIVE)),
    (rf"VACUUM\s+FULL\s+{_NAME}", _on(_EXCLUSIVE)),
    (rf"CLUSTER\s+(?:VERBOSE\s+)?{_NAME}", _on(_EXCLUSIVE)),
    (rf"(?:VACUUM|ANALYZE)\s+{_NAME}", _on(_SHARE_UPDATE)),
    (rf"COMMENT\s+ON\s+TABLE\s+{_NAME}", _on(_SHARE_UPDATE)),
    (
        r"(?:CREATE|ALTER|COMMENT|GRANT|REVOKE|SET|RESET|SHOW|BEGIN|COMMIT|START|SAVEPOINT|RELEASE|REASSIGN)\b",
        _nothing,
    ),
)
_COMPILED: Final = tuple(
    (re.compile(rf"\s*{pattern}", re.IGNORECASE | re.DOTALL), make) for pattern, make in _KINDS
)


def find(statement: Statement) -> Effect:
    """Return what a statement locks and removes."""
    text = without_comments(statement.text)
    for pattern, make in _COMPILED:
        match = pattern.match(text)
        if match is not None:
            return make(match)
    return Effect(is_known=False)
