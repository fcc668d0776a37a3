"""An SQL file, sent to the server as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg.pq import TransactionStatus

from schema_migrator import database, sql_file, statement
from schema_migrator.guard import RefusedStatementError
from schema_migrator.session import to_last_result

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
    complete: Callable[[Marker, bytes], None],
) -> None:
    """Run the step's file, then complete the step.

    Args:
        connection: the working session, outside a transaction.
        step: the step.
        marker: its history row.
        skip: the text of a first statement that is known to be done.
        complete: sends the last of the revision, and with it what moves the
            version rows, ends the row and commits.
    """
    script = sql_file.read(step.path)
    rest = b""
    if script.outside:
        _outside(connection, script, marker, skip=skip)
    else:
        rest = _inside(connection, script, marker)
    complete(marker, rest)


def is_idle(connection: Connection) -> bool:
    """Tell whether the session is outside a transaction."""
    return connection.info.transaction_status == TransactionStatus.IDLE


def _outside(connection: Connection, script: Script, marker: Marker, *, skip: str | None) -> None:
    database.restore(connection)
    connection.begin_revision(marker, skip=skip)
    try:
        for one in script.outside:
            connection.execute(one.text.encode())
        connection.end_body()
    finally:
        connection.end_revision()


def _inside(connection: Connection, script: Script, marker: Marker) -> bytes:
    """Send the text whole, in the transaction that holds the row.

    The row goes with the string that puts the session in order and begins the
    transaction; only what the server takes first in a transaction stands before it.

    Returns:
        What is still to be sent: the text, where what completes the step can follow it in one string.
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
        to_last_result(cursor)
        row = cursor.fetchone()
    marker.id = row[0] if row else None
    text = script.rest.encode() if script.rest.strip() else b""
    if text and not _can_be_followed(connection, script):
        connection.execute(text)
        return b""
    return text


_APART: Final = frozenset(
    ("ABORT", "BEGIN", "COMMIT", "COPY", "END", "PREPARE", "ROLLBACK", "START")
)
"""How statements begin that nothing may follow unseen.

After most the transaction may be another one. After COPY the server may wait
for the client, or go on though the driver has refused it.
"""


def _can_be_followed(connection: Connection, script: Script) -> bool:
    """Tell whether what completes a step can go with a text, in one string.

    The server takes a string apart before it runs any of it, so what a text sets
    does not change how the rest is read; what is set already has to be what
    `statement` takes for granted.
    """
    quoting = connection.pgconn.parameter_status(b"standard_conforming_strings")
    return (
        script.is_at_end
        and quoting == b"on"
        and not any(one.tokens[0] in _APART for one in script.statements)
    )
