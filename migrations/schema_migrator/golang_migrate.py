"""What golang-migrate keeps in a database: one row, a number and whether it is dirty."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

TABLE: Final = "schema_migrations"
"""golang-migrate's own name for its table."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What golang-migrate says of a database.

    Attributes:
        version: the number of the last migration.
        dirty: whether it failed, or was interrupted: the two can't be told apart.
    """

    version: int
    dirty: bool


def find(connection: psycopg.Connection[Any], table: str) -> Found | None:
    """Return what golang-migrate says, None where it was never at work.

    Other programs have tables of that name, with other columns.

    Args:
        connection: any session.
        table: the table's name, with its schema where the search path does not find it.
    """
    name = sql.Identifier(*table.split(".", 1)).as_string(connection)
    row = connection.execute(
        "SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass(%s)"
        " AND (attname, atttypid) IN (('version', 'bigint'::regtype), ('dirty', 'boolean'::regtype))",
        [name],
    ).fetchone()
    if row is None or row[0] != 2:  # noqa: PLR2004 - both columns
        return None
    row = connection.execute(
        sql.SQL("SELECT version, dirty FROM {} ORDER BY version DESC LIMIT 1").format(
            sql.SQL(name)  # quoted above
        )
    ).fetchone()
    if row is None or (row[0] < 0 and not row[1]):
        return None
    return Found(row[0], row[1])
