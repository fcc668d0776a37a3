"""What an interrupted CREATE, DROP or REINDEX INDEX CONCURRENTLY left behind.

Such a statement runs outside a transaction and leaves an invalid index when it
is stopped. What it left can be proved, because the index's table was looked at
before the statement and the history row keeps what was seen: so nobody has to
look, and the revision can run again.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import TYPE_CHECKING, Any

from psycopg import sql

from schema_migrator.statement import IndexStatement, index_statement

if TYPE_CHECKING:
    import psycopg

    from schema_migrator.history import OpenRow


class Healing(enum.Enum):
    """What the database says of an interrupted index statement."""

    RUN_AGAIN = enum.auto()
    """Nothing of it is left (any more); the statement runs again."""

    COMPLETED = enum.auto()
    """The statement had come to its end; it is left out when its revision runs again."""

    UNPROVABLE = enum.auto()
    """What is there can't be told from somebody else's work: a person must look."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Index:
    name: str
    valid: bool
    being_built: bool


def concerns(row: OpenRow) -> bool:
    """Tell whether a row without an end is one index statement and nothing else.

    Then its revision committed nothing but the row itself.
    """
    return (
        not row.in_transaction
        and row.statement_number == 1
        and row.statement is not None
        and row.index_before is not None
        and index_statement(row.statement) is not None
    )


def look(connection: psycopg.Connection[Any], text: str) -> str | None:
    """Return, as JSON, what must be known before a text builds or drops an index.

    None for any other text. Names are resolved as the statement's own are, by
    the session's search path.
    """
    one = index_statement(text)
    if one is None:
        return None
    if one.verb == "CREATE":
        row = connection.execute(
            "SELECT pg_catalog.to_regclass(%s)::oid::bigint", [one.table]
        ).fetchone()
        target = None
    else:
        row = connection.execute(
            "SELECT i.indrelid::bigint, i.indexrelid::bigint FROM pg_catalog.pg_index i"
            " WHERE i.indexrelid = pg_catalog.to_regclass(%s)",
            [one.index],
        ).fetchone()
        target = row[1] if row else None
    table = row[0] if row else None
    before = sorted(_indexes(connection, table)) if table is not None else []
    return json.dumps({"table": table, "index": target, "before": before})


def _indexes(connection: psycopg.Connection[Any], table: int) -> dict[int, _Index]:
    rows = connection.execute(
        "SELECT i.indexrelid::bigint, c.relname, i.indisvalid,"
        " EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)"
        " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = %s::bigint::oid",
        [table],
    ).fetchall()
    return {row[0]: _Index(row[1], row[2], row[3]) for row in rows}


def heal(connection: psycopg.Connection[Any], row: OpenRow) -> Healing:
    """Undo what the interrupted statement of a row left, and say what is true now.

    The caller holds the migrator's lock, is outside a transaction, and has
    asked `concerns`.
    """
    one = index_statement(row.statement or "")
    seen = json.loads(row.index_before or "{}")
    if one is None:
        return Healing.UNPROVABLE
    table, target = seen["table"], seen["index"]
    if table is None:
        # There was nothing to work on: the statement can only have failed.
        return Healing.RUN_AGAIN
    now = _indexes(connection, table)
    if one.verb == "DROP":
        return Healing.RUN_AGAIN if target in now else Healing.COMPLETED
    made = {
        oid: index for oid, index in now.items() if oid not in seen["before"] and _is_of(index, one)
    }
    if one.verb == "REINDEX":
        # After the swap it is the old index, known from before, that bears the _ccold name.
        made = {oid: index for oid, index in now.items() if _is_leftover(index, one)}
        made = {oid: index for oid, index in made.items() if not index.valid}
    if any(index.being_built for index in made.values()) or (
        one.verb == "CREATE" and len(made) > 1
    ):
        return Healing.UNPROVABLE
    if one.verb == "CREATE" and any(index.valid for index in made.values()):
        return Healing.COMPLETED
    for oid in made:
        _drop(connection, oid)
    return Healing.RUN_AGAIN


def _is_of(index: _Index, one: IndexStatement) -> bool:
    return one.index is None or index.name == _folded(one.index)


def _is_leftover(index: _Index, one: IndexStatement) -> bool:
    name = _folded((one.index or "").rpartition(".")[2].strip())
    return index.name.startswith((f"{name[:56]}_ccnew", f"{name[:56]}_ccold"))


def _folded(name: str) -> str:
    """Return the name that the server makes of a name as written."""
    name = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
    return name.encode()[:63].decode(errors="ignore")


def _drop(connection: psycopg.Connection[Any], oid: int) -> None:
    row = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.oid = %s::bigint::oid",
        [oid],
    ).fetchone()
    if row is not None:
        connection.execute("SET lock_timeout = 0")
        connection.execute(
            sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(row[0], row[1]))
        )
