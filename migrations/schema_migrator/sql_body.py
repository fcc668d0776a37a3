"""An SQL file, sent to the server as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.pq import TransactionStatus

from schema_migrator import database, sql_file, statement
from schema_migrator.session import RefusedStatementError

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.marker import Marker
    from schema_migrator.session import Connection
    from schema_migrator.sql_file import Script
    from schema_migrator.tree import Step


def run(
    connection: Connection,
    step: Step,
    marker: Marker,
    *,
    skip: str | None,
    complete: Callable[[Marker], None],
) -> None:
    """Run the step's file, then complete the step.

    Args:
        connection: the working session, outside a transaction.
        step: the step.
        marker: its history row.
        skip: the text of a first statement that is known to be done.
        complete: moves the version rows, ends the row and commits.
    """
    script = sql_file.read(step.path)
    if script.outside:
        _outside(connection, script, marker, skip=skip)
    else:
        _inside(connection, script, marker)
    complete(marker)


def is_idle(connection: Connection) -> bool:
    """Tell whether the session is outside a transaction."""
    return connection.info.transaction_status == TransactionStatus.IDLE


def _outside(connection: Connection, script: Script, marker: Marker, *, skip: str | None) -> None:
    database.restore(connection)
    connection.begin_revision(marker, skip=skip)
    try:
        for one in script.outside:
            connection.execute(one.text.encode())
        connection.ensure_marker()
    finally:
        connection.end_revision()


def _inside(connection: Connection, script: Script, marker: Marker) -> None:
    """Send the text whole, in the transaction that holds the row.

    The row goes with the string that puts the session in order and begins the
    transaction; only what the server takes first in a transaction stands before it.
    """
    for one in script.statements:
        if statement.takes_marker_away(one):
            raise RefusedStatementError(
                f"a revision may not send {' '.join(one.tokens[:2])}: it would hide whether the revision was"
                " applied; an error undoes a revision by itself"
            )
    opening = [database.begin_restored(connection), script.before.encode(), marker.opening()]
    with connection.cursor() as cursor:
        # A line of its own ends a comment that ends a statement.
        cursor.execute(b"\n; ".join(part for part in opening if part))
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    marker.id = row[0] if row else None
    if script.rest.strip():
        connection.execute(script.rest.encode())
