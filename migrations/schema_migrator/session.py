"""The one connection that a run works on, and the guard on it.

The guard is what makes *dirty* provable. It hangs on the driver's own
connection and cursors, below SQLAlchemy, so that whatever a revision does to
reach the server passes it:

- immediately before a revision's first statement it inserts the revision's
  history row, without an end, in the revision's own transaction;
- what would take that row away without committing it (ROLLBACK, PREPARE
  TRANSACTION, ``rollback()``) is refused before it is sent;
- outside a transaction it writes each statement's number and text to the row
  before the statement, so that an interrupted one can be named;
- after a commit that was not the engine's it reads the row back: only the
  server knows whether the commit happened.

Not guarded is what goes around psycopg's connections and cursors
(``connection.pgconn``), and what a revision does elsewhere.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn, Self

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from schema_migrator import statement
from schema_migrator.errors import Stopped
from schema_migrator.guard import Phase, RefusedStatementError
from schema_migrator.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import Query

    from schema_migrator.guard import Marker


class Connection(psycopg.Connection[Any]):
    """A psycopg connection with the guard.

    Attributes:
        phase: whose statements pass now.
        committed: whether the running revision's row was seen committed, which
            means that the revision left its transaction.
        touched: whether the present transaction did anything for the revision.
        statements: how many statements the revision ran outside a transaction.
        current: the text that runs now, or ran last, for messages.
        lock_timeout: the session's, in milliseconds.
        statement_timeout: the session's, in milliseconds; 0: no bound.
        settings: the command that sets the session's settings.
        stop_before: the number of the statement outside a transaction before
            which the run is stopped, to try out how it goes on; None: none. One
            more than there are is the end of a revision that committed a part.
        binds_in_client: whether a revision's parameters are put into its
            statements before they are sent, as psycopg2 does. There are old
            revisions whose parameters the server can give no type.
        is_lent: whether somebody else may call `close`, who does not own the session.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.phase = Phase.BOOKKEEPING
        self.marker: Marker | None = None
        self.inserted = False
        self.committed = False
        self.touched = False
        self.statements = 0
        self.current: str | None = None
        self.skip: str | None = None
        self.lock_timeout = 0
        self.statement_timeout = 0
        self.settings = b""
        self.stop_before: int | None = None
        self.binds_in_client = False
        self.is_lent = False
        self._settings_lost = False
        self._lock_timeout_lifted = False
        self._busy = False
        self.cursor_factory = Cursor
        self.server_cursor_factory = ServerCursor

    def begin_revision(self, marker: Marker, *, skip: str | None = None) -> None:
        """Let a revision's statements pass from now on, with this history row.

        Args:
            marker: the row.
            skip: the text of a first statement outside a transaction that an
                earlier, interrupted run is known to have completed.
        """
        self.marker, self.skip = marker, skip
        self.inserted = self.committed = self.touched = False
        self.statements, self.current = 0, None
        self.phase = Phase.REVISION
        if self.binds_in_client:
            self.cursor_factory = ClientCursor

    def end_revision(self) -> None:
        """Take the connection back for the engine's own statements."""
        self.phase = Phase.BOOKKEEPING
        self.cursor_factory = Cursor
        self._busy = False

    def close(self) -> None:
        """Close the session, unless it is only lent."""
        if not self.is_lent:
            super().close()

    def ensure_marker(self) -> None:
        """Insert the revision's row now if no statement did yet."""
        if not self.inserted and self.marker is not None:
            self._own(lambda marker: marker.insert(self, None, None))
            self.inserted = True

    def end_body(self) -> None:
        """Take note that the revision has sent all that it has: what is left is the engine's to complete."""
        self.ensure_marker()
        if self.committed and self.statements + 1 == self.stop_before:
            raise Stopped(Outcome.INTERRUPTED, "stopped before the revision was completed")

    def before(self, query: Query) -> bool:
        """Guard one statement of a revision; False means that it must not be sent.

        Raises:
            RefusedStatementError: the text would take the history row away.
        """
        if self.phase is Phase.BOOKKEEPING or self._busy:
            return True
        text = _text_of(query, self)
        statements = statement.split(text)
        for one in statements:
            if statement.takes_marker_away(one):
                self._refuse(f"a revision may not send {' '.join(one.tokens[:2])}")
        self.current = text
        self._settings_lost |= any(
            one.begins("RESET", "ALL") or one.begins("DISCARD", "ALL") for one in statements
        )
        if statements and all(map(statement.changes_nothing, statements)):
            return True
        if self.autocommit and self.info.transaction_status == TransactionStatus.IDLE:
            return self._before_outside_transaction(text)
        self.ensure_marker()
        self.touched = True
        return True

    def _before_outside_transaction(self, text: str) -> bool:
        self.statements += 1
        if self.statements == self.stop_before:
            raise Stopped(Outcome.INTERRUPTED, f"stopped before statement {self.statements}")
        self._own(lambda marker: self._note(marker, text))
        # The note is committed: from here on the database tells of this revision.
        self.committed = True
        return not (self.statements == 1 and text == self.skip)

    def _note(self, marker: Marker, text: str) -> None:
        if self.inserted:
            marker.write_statement(self, self.statements, text)
        else:
            marker.insert(self, text, marker.look_at_index(self, text))
            self.inserted = True
        if statement.is_concurrent(text):
            # It waits for every older snapshot in the database; a lock timeout
            # would leave an invalid index behind for no fault of anybody's.
            self.execute("SET lock_timeout = 0")
            self._lock_timeout_lifted = True

    def after(self) -> None:
        """Put back what one statement took away: our settings, or the lock timeout outside a transaction."""
        if self._settings_lost and self.phase is Phase.REVISION and not self._busy:
            self._settings_lost = False
            self._busy = True
            try:
                self.execute(self.settings)
            finally:
                self._busy = False
        if self._lock_timeout_lifted and self.autocommit:
            self._lock_timeout_lifted = False
            self._busy = True
            try:
                self.execute(f"SET lock_timeout = {self.lock_timeout}")
            finally:
                self._busy = False

    def _own(self, work: Any) -> None:
        """Run the engine's own statements in the middle of a revision's."""
        if self.marker is None:
            return
        self._busy = True
        try:
            work(self.marker)
        finally:
            self._busy = False

    def _refuse(self, what: str) -> NoReturn:
        raise RefusedStatementError(
            f"{what}: it would hide whether the revision was applied;"
            " raise an exception to undo a revision, or use a savepoint"
        )

    def commit(self) -> None:
        """Commit; after a revision's own commit, read its history row back."""
        if self.phase is Phase.BOOKKEEPING:
            super().commit()
            return
        status = self.info.transaction_status
        if status == TransactionStatus.INERROR:
            self._refuse("a revision may not commit after a failed statement")
        super().commit()
        self.touched = False
        if self.inserted and not self.committed:
            self._own(self._read_back)

    def _read_back(self, marker: Marker) -> None:
        there = marker.is_there(self)
        if not self.autocommit:
            super().rollback()
        if not there:
            self.inserted = False
            self._refuse("the revision's history row is gone after a commit")
        self.committed = True

    def rollback(self) -> None:
        """Roll back; refused while a revision runs and has done something."""
        if self.phase is Phase.REVISION and self.touched and not self._busy:
            self._refuse("a revision may not call rollback()")
        super().rollback()

    @contextlib.contextmanager
    def transaction(
        self,
        savepoint_name: str | None = None,
        force_rollback: bool = False,  # noqa: FBT001, FBT002 - psycopg's signature
    ) -> Iterator[psycopg.Transaction]:
        """Return psycopg's transaction block, always inside the revision's own transaction."""
        if self.phase is Phase.REVISION and not self._busy and not self.autocommit:
            # With the row in place the block is a savepoint, so its rollback can't take the row away.
            self.ensure_marker()
            self.touched = True
        with super().transaction(savepoint_name, force_rollback) as transaction:
            yield transaction

    def tpc_begin(self, xid: psycopg.Xid | str) -> None:
        """Refuse a two-phase transaction in a revision."""
        if self.phase is Phase.REVISION:
            self._refuse("a revision may not begin a two-phase transaction")
        super().tpc_begin(xid)


def _text_of(query: Query, connection: Connection) -> str:
    """Return a query as text, whatever form the driver takes."""
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode(connection.info.encoding, errors="replace")
    return sql.as_string(query, connection)


def to_last_result(cursor: psycopg.Cursor[Any]) -> None:
    """Go to what the last statement of an executed string gave."""
    if hasattr(cursor, "set_result"):
        cursor.set_result(-1)
        return
    # psycopg before 3.3 goes there step by step: 26 of them a revision.
    while cursor.nextset():
        pass


class Cursor(psycopg.Cursor[Any]):
    """A cursor whose statements pass the guard."""

    def execute(self, query: Query, *arguments: Any, **options: Any) -> Self:
        """Execute a statement, unless the guard knows that it was done."""
        connection = self.connection
        if not isinstance(connection, Connection):
            super().execute(query, *arguments, **options)
        elif connection.before(query):
            super().execute(query, *arguments, **options)
            connection.after()
        return self

    def executemany(self, query: Query, *arguments: Any, **options: Any) -> None:
        """Execute a statement with many parameters."""
        connection = self.connection
        if isinstance(connection, Connection):
            connection.before(query)
        super().executemany(query, *arguments, **options)

    def stream(self, query: Query, *arguments: Any, **options: Any) -> Iterator[Any]:
        """Execute a statement row by row."""
        connection = self.connection
        if isinstance(connection, Connection):
            connection.before(query)
        return super().stream(query, *arguments, **options)

    def copy(self, statement: Query, *arguments: Any, **options: Any) -> Any:
        """Start a COPY."""
        connection = self.connection
        if isinstance(connection, Connection):
            connection.before(statement)
        return super().copy(statement, *arguments, **options)


class ClientCursor(Cursor, psycopg.ClientCursor[Any]):
    """The same, with the parameters put into the statement before it is sent."""


class ServerCursor(psycopg.ServerCursor[Any]):
    """A named cursor whose statement passes the guard."""

    def execute(self, query: Query, *arguments: Any, **options: Any) -> Self:
        """Declare the cursor."""
        connection = self.connection
        if isinstance(connection, Connection):
            connection.before(query)
        super().execute(query, *arguments, **options)
        return self
