"""What the guard on a session knows of a revision, and how it refuses."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

import psycopg

if TYPE_CHECKING:
    from schema_migrator.session import Connection


class RefusedStatementError(psycopg.ProgrammingError):
    """A revision sent what would make its own history row unprovable.

    A driver error, so that SQLAlchemy and revisions treat it as one.
    """


class Marker(Protocol):
    """The history row of the revision that is running."""

    def insert(self, connection: Connection, text: str | None, index_before: str | None) -> None:
        """Insert the row, with the statement about to run where it is outside a transaction."""

    def write_statement(self, connection: Connection, number: int, text: str) -> None:
        """Note the statement outside a transaction that is about to run."""

    def is_there(self, connection: Connection) -> bool:
        """Read the row back: is it there, and without an end?"""

    def look_at_index(self, connection: Connection, text: str) -> str | None:
        """Return what must be known of an index before a text builds or drops it."""


class Phase(enum.Enum):
    """Whose statements pass: the engine's own, or a revision's."""

    BOOKKEEPING = enum.auto()
    REVISION = enum.auto()
