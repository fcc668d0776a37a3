"""An SQL file, sent to the server as it is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from psycopg.pq import TransactionStatus

from schema_migrator import database, statement
from schema_migrator.guard import RefusedStatementError
from schema_migrator.session import to_last_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.marker import Marker
    from schema_migrator.session import Connection
    from schema_migrator.sql_file import Script


@dataclasses.dataclass(frozen=True, slots=True)
class Opening:
    """How a step begins whose file runs in one transaction.

    Attributes:
        script: what the file holds.
        marker: its history row.
        text: what is sent before the file's text: it puts the session in order,
            begins the transaction, inserts the row, and gives its id.
    """

    script: Script
    marker: Marker
    text: bytes


def run(
    connection: Connection,
    script: Script,
    marker: Marker,
    *,
    skip: str | None,
    complete: Callable[[bytes], None],
) -> None:
    """Run what a step's file holds, then complete the step.

    Args:
        connection: the working session, outside a transaction.
        script: what the file holds.
        marker: its history row.
        skip: the text of a first statement that is known to be done.
        complete: sends the last of the revision, and with it what moves the
            version rows, ends the row and commits.
    """
    if script.outside:
        _outside(connection, script, marker, skip=skip)
        complete(b"")
        return
    with connection.cursor() as cursor:
        cursor.execute(opening(connection, script, marker).text)
        to_last_result(cursor)
        row = cursor.fetchone()
    marker.id = row[0] if row else None
    go_on(connection, script, complete)


def go_on(connection: Connection, script: Script, complete: Callable[[bytes], None]) -> None:
    """Run what a step's file holds in the transaction that its `Opening` began, then complete the step.

    Args:
        connection: the working session, in that transaction.
        script: what the file holds.
        complete: as for `run`.
    """
    text = script.rest.encode() if script.rest.strip() else b""
    if text and not _can_be_followed(connection, script):
        connection.execute(text)
        text = b""
    complete(text)


def is_idle(connection: Connection) -> bool:
    """Tell whether the session is outside a transaction."""
    return connection.info.transaction_status == TransactionStatus.IDLE


def opening(
    connection: Connection, script: Script, marker: Marker, *, after: Marker | None = None
) -> Opening:
    """Return how a step begins whose file runs in one transaction.

    Only what the server takes first in a transaction stands before the row.

    Args:
        connection: the working session.
        script: what the file holds.
        marker: its history row.
        after: of the step whose completion it is sent with; None: it is sent alone.

    Raises:
        RefusedStatementError: the file holds what would take the row away.
    """
    for one in script.statements:
        if statement.takes_marker_away(one):
            raise RefusedStatementError(
                f"a revision may not send {' '.join(one.tokens[:2])}: it would hide whether the revision was"
                " applied; an error undoes a revision by itself"
            )
    parts = (
        database.begin_restored(connection),
        script.before.encode(),
        marker.opening(after=after),
    )
    # A line of its own ends a comment that ends a statement.
    return Opening(script, marker, b"\n; ".join(filter(None, parts)))


def _outside(connection: Connection, script: Script, marker: Marker, *, skip: str | None) -> None:
    database.restore(connection)
    connection.begin_revision(marker, skip=skip)
    try:
        for one in script.outside:
            connection.execute(one.text.encode())
        connection.end_body()
    finally:
        connection.end_revision()


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
