"""The history row of one attempt at a revision: what makes *dirty* provable."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

from psycopg import sql

from schema_migrator import heal, history

if TYPE_CHECKING:
    import psycopg

    from schema_migrator.history import Author, Names
    from schema_migrator.session import Connection
    from schema_migrator.tree import Step


@dataclasses.dataclass(slots=True)
class Marker:
    """The history row of one attempt."""

    names: Names
    author: Author
    step: Step
    checksum: str
    lock_wait: float
    supersedes: int | None
    incident: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex[:12])
    id: int | None = None

    def insert(self, connection: Connection, text: str | None, index_before: str | None) -> None:
        """Insert the row; with a superseded one, end that in the same statement."""
        supersede = (
            sql.SQL("")
            if self.supersedes is None
            else sql.SQL(
                "WITH superseded AS (UPDATE {} SET ended_at = pg_catalog.clock_timestamp(), outcome = 'superseded'"
                " WHERE id = {} AND ended_at IS NULL) "
            ).format(self.names.history, self.supersedes)
        )
        row = connection.execute(
            supersede
            + sql.SQL(
                "INSERT INTO {} (run, direction, revision, from_position, incident, supersedes, in_transaction,"
                " statement_number, statement, index_before, checksum, lock_wait_seconds, host, image, migrator)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id"
            ).format(self.names.history),
            [
                self.author.run, self.step.direction, self.step.revision, history.show_position(self.step.before),
                self.incident, self.supersedes, text is None, 0 if text is None else 1, _cut(text), index_before,
                self.checksum, self.lock_wait, self.author.host, self.author.image, self.author.migrator,
            ],
        ).fetchone()  # fmt: skip
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

    def completion(self) -> sql.Composed:
        """Return the statements that move the version rows and end the row; each must hit one row."""
        names = self.names
        parts: list[sql.Composable] = [
            sql.SQL("DELETE FROM {} WHERE version_num = {}").format(names.versions, one)
            for one in self.step.deleted
        ]
        parts += [
            sql.SQL("UPDATE {} SET version_num = {} WHERE version_num = {}").format(
                names.versions, new, old
            )
            for old, new in self.step.updated
        ]
        parts += [
            sql.SQL("INSERT INTO {} (version_num) VALUES ({})").format(names.versions, one)
            for one in self.step.inserted
        ]
        parts.append(
            sql.SQL(
                "UPDATE {} SET ended_at = pg_catalog.clock_timestamp(), outcome = 'applied', to_position = {}"
                " WHERE id = {} AND ended_at IS NULL AND {}"
            ).format(
                names.history, history.show_position(self.step.after), self.id, names.lock_held
            )
        )
        return sql.SQL("; ").join(parts)

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
