"""The history row of one attempt at a revision: what makes *dirty* provable."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from psycopg import sql

from schema_migrator import heal

if TYPE_CHECKING:
    import psycopg

    from schema_migrator.bookkeeper import Bookkeeper
    from schema_migrator.history import Names
    from schema_migrator.session import Connection
    from schema_migrator.tree import Step


@dataclasses.dataclass(slots=True)
class Marker:
    """The history row of one attempt."""

    bookkeeper: Bookkeeper
    step: Step
    checksum: str
    lock_wait: float
    supersedes: int | None
    incident: str = dataclasses.field(default_factory=lambda: os.urandom(6).hex())
    id: int | None = None

    @property
    def names(self) -> Names:
        """Where the bookkeeping is."""
        return self.bookkeeper.names

    def opening(
        self,
        text: str | None = None,
        index_before: str | None = None,
        *,
        after: Marker | None = None,
    ) -> bytes:
        """Return the statement that inserts the row and gives its id; a superseded one is ended with it.

        Args:
            text: the first statement, where that is outside a transaction.
            index_before: what is known of an index before it.
            after: of the step that was completed just before, and is read back with this.
        """
        return self.bookkeeper.opening(
            self.step,
            incident=self.incident,
            checksum=self.checksum,
            lock_wait=self.lock_wait,
            supersedes=self.supersedes,
            text=_cut(text),
            index_before=index_before,
            after=None if after is None else after.id or 0,
        )

    def closing(self, following: bytes = b"") -> bytes:
        """Return the statements that complete the step, commit, and read back what is there.

        Args:
            following: what opens the following step, and reads back too.
        """
        return self.bookkeeper.closing(self.step, self.id, self.incident, following=following)

    def insert(self, connection: Connection, text: str | None, index_before: str | None) -> None:
        """Insert the row; with a superseded one, end that in the same statement."""
        row = connection.execute(self.opening(text, index_before)).fetchone()
        self.id = row[0] if row else None

    def write_statement(self, connection: Connection, number: int, text: str) -> None:
        """Note the statement outside a transaction that is about to run."""
        connection.execute(
            sql.SQL("UPDATE {} SET statement_number = %s, statement = %s WHERE id = %s").format(
                self.names.history
            ),
            [number, _cut(text), self.id],
        )

    def is_there(self, connection: psycopg.Connection[Any]) -> bool:
        """Read the row back: is it there, and without an end?"""
        row = connection.execute(
            sql.SQL("SELECT FROM {} WHERE id = %s AND ended_at IS NULL").format(self.names.history),
            [self.id],
        ).fetchone()
        return row is not None

    def read(self, connection: psycopg.Connection[Any]) -> str | None:
        """Return the row's outcome, ``open`` while it has no end, None where it is not there."""
        if self.id is None:
            return None
        row = connection.execute(
            sql.SQL("SELECT coalesce(outcome, 'open') FROM {} WHERE id = %s").format(
                self.names.history
            ),
            [self.id],
        ).fetchone()
        return str(row[0]) if row else None

    def look_at_index(self, connection: Connection, text: str) -> str | None:
        """Return what must be known of an index before a text builds or drops it."""
        return heal.look(connection, text)

    def end(
        self, connection: psycopg.Connection[Any], outcome: str, code: str | None, message: str
    ) -> None:
        """End the row without a move."""
        connection.execute(
            sql.SQL(
                "UPDATE {} SET ended_at = pg_catalog.clock_timestamp(), outcome = %s, sqlstate = %s, message = %s"
                " WHERE id = %s AND ended_at IS NULL"
            ).format(self.names.history),
            [outcome, code, message, self.id],
        )

    def note_error(
        self, connection: psycopg.Connection[Any], code: str | None, message: str
    ) -> None:
        """Write the error to a row that stays open: whoever looks finds it there."""
        connection.execute(
            sql.SQL(
                "UPDATE {} SET sqlstate = %s, message = %s WHERE id = %s AND ended_at IS NULL"
            ).format(self.names.history),
            [code or "", message, self.id],
        )


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= 2000 else text[:1999] + "…"  # noqa: PLR2004 - enough to recognise it
