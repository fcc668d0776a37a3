"""One revision, run in its own transaction, with its proof beside it.

The revision's DDL, the version rows and the end of its history row commit
together. Whatever happens instead, what is reported afterwards was read from
the database and not concluded from the calls that were seen.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from schema_migrator import checksum, database, heal, history, sql_body, sql_file, sqlstate
from schema_migrator.bookkeeper import POSITION_CHANGED, ROW_GONE, Bookkeeper
from schema_migrator.errors import DirtyError, MigratorError, RevisionFailedError, Stopped
from schema_migrator.guard import RefusedStatementError
from schema_migrator.marker import Marker
from schema_migrator.session import to_last_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.history import Author, Names, OpenRow
    from schema_migrator.python_body import PythonBody
    from schema_migrator.session import Connection
    from schema_migrator.sql_body import Opening
    from schema_migrator.tree import Step, Tree


class ConnectionLostError(Exception):
    """The session is gone; what became of the revision is not known yet.

    Attributes:
        sqlstate: the server's last word, where it had one.
    """

    def __init__(self, code: str | None) -> None:
        super().__init__("the connection was lost")
        self.sqlstate = code


class Runner:
    """Runs steps on one session.

    Args:
        connection: the working session; it holds the migrator's lock.
        tree: where the steps are from.
        names: where the bookkeeping is.
        author: who runs.
        redact: takes secrets out of a text.
    """

    def __init__(
        self,
        connection: Connection,
        tree: Tree,
        names: Names,
        author: Author,
        *,
        redact: Callable[[str], str],
    ) -> None:
        self._connection = connection
        self._tree = tree
        self._names = names
        self._author = author
        self._bookkeeper = Bookkeeper(connection, names, author)
        self._redact = redact
        self._python: PythonBody | None = None
        self._following: Opening | None = None
        """What was sent with the completion of the step before; in force once that was read back."""

    def run(
        self,
        step: Step,
        *,
        following: Step | None = None,
        fresh: bool,
        skip: str | None = None,
        supersedes: int | None = None,
        lock_wait: float = 0.0,
    ) -> None:
        """Run one step; on return it is applied, as read back.

        Args:
            step: the step.
            following: the step that is run next, if this one is applied.
            fresh: load the revision's module anew, because an attempt has used it.
            skip: the text of a first statement that is known to be done.
            supersedes: the row of an interrupted attempt that this one replaces.
            lock_wait: seconds waited so far, for the history.

        Raises:
            RevisionFailedError: it failed, and the database is clean.
            DirtyError: it failed or was stopped after it had committed a part.
            ConnectionLostError: the session is gone.
            Stopped: the process was told to stop, and this session proved the
                database clean, or is gone.
        """
        connection, opened = self._connection, self._following
        self._following = None
        if opened is None:
            source = step.path.read_bytes()
            marker = Marker(self._bookkeeper, step, checksum.of(source), lock_wait, supersedes)
        else:
            source, marker = b"", opened.marker

        def complete(rest: bytes) -> None:
            self._complete(marker, rest, following)

        started = time.monotonic()
        try:
            if opened is not None:
                sql_body.go_on(connection, opened.script, complete)
            elif step.is_sql:
                script = sql_file.parse(source, step.path.name)
                sql_body.run(connection, script, marker, skip=skip, complete=complete)
            else:
                self._python_body().run(step, marker, fresh=fresh, skip=skip, complete=complete)
            if not connection.autocommit:
                connection.autocommit = True
        except BaseException as error:  # noqa: BLE001 - sorted by what the database says, never swallowed
            connection.end_revision()
            self._after_error(error, marker, seconds=time.monotonic() - started)

    def _python_body(self) -> PythonBody:
        if self._python is None:
            from schema_migrator.python_body import PythonBody

            self._python = PythonBody(self._connection, self._tree, self._names)
        return self._python

    def around(self, work: Callable[[], None]) -> None:
        """Do the work of all steps, inside the tree's own ``env.py`` where that is wanted.

        Raises:
            ConfigurationError: ``env.py`` failed, or can't be run this way.
        """
        if self._tree.setup.with_env:
            self._python_body().around(work)
        else:
            work()

    def _opening(self, step: Step | None, after: Marker) -> Opening | None:
        """Return how the next step begins, where it can begin with what completes this one.

        After a Python revision it can't: SQLAlchemy rolls back what it finds begun.
        """
        if step is None or not step.is_sql or not after.step.is_sql:
            return None
        try:
            source = step.path.read_bytes()
            script = sql_file.parse(source, step.path.name)
            marker = Marker(self._bookkeeper, step, checksum.of(source), after.lock_wait, None)
            return (
                None
                if script.outside
                else sql_body.opening(self._connection, script, marker, after=after)
            )
        except (OSError, MigratorError, RefusedStatementError):
            # What is wrong with it is said when it is its turn.
            return None

    def _complete(self, marker: Marker, rest: bytes, following: Step | None) -> None:
        """Move the version rows, end the history row, commit, and read back what that left.

        All in one string, and so in one round trip; the next step begins in the
        same one where it can.

        Args:
            marker: the history row.
            rest: what of the revision is still to be sent, before all that.
            following: the next step.

        Raises:
            RevisionFailedError: a row was not there, or what was written did not stay.
        """
        connection, revision = self._connection, marker.step.revision
        # The revision may have committed what was to be committed here.
        begin = b"BEGIN; " if connection.autocommit and sql_body.is_idle(connection) else b""
        if rest:
            # A line of its own ends a comment that ends the text.
            rest += b"\n; "
        opening = self._following = self._opening(following, marker)
        closing = marker.closing(b"" if opening is None else opening.text)
        try:
            with connection.cursor() as cursor:
                cursor.execute(rest + begin + closing)
                to_last_result(cursor)
                rows = cursor.fetchall()
        except psycopg.errors.InvalidTextRepresentation as error:
            found = error.diag.message_primary or ""
            if f"{POSITION_CHANGED} {marker.incident}" in found:
                raise RevisionFailedError(
                    f"the position was changed while revision {revision} ran; nothing of it was kept"
                ) from error
            if f"{ROW_GONE} {marker.incident}" in found:
                raise RevisionFailedError(
                    f"revision {revision} gave up the migrator's lock, or removed its own history row"
                ) from error
            raise
        versions = tuple(sorted(row[1] for row in rows if row[1] is not None))
        if (
            not rows
            or rows[0][0] != "applied"
            or versions != marker.step.after
            or sql_body.is_idle(connection) != (opening is None)
        ):
            raise RevisionFailedError(
                f"what revision {revision} wrote did not stay after its commit"
            )
        if opening is not None:
            opening.marker.id = rows[0][2]

    def _after_error(self, error: BaseException, marker: Marker, *, seconds: float) -> None:
        """Put the session in order, ask the database what is true, and raise what follows from it."""
        connection, step = self._connection, marker.step
        following, self._following = self._following, None
        code = code_of(error)
        message = self._redact(describe(error))
        try:
            connection.rollback()
            connection.autocommit = True
            database.restore(connection)
            outcome = marker.read(connection)
            if outcome == "applied" and not isinstance(error, MigratorError):
                if following is not None and isinstance(error, psycopg.Error):
                    # It was the next step that could not begin, which is told when it begins alone.
                    return
                if isinstance(error, Stopped):
                    error.applied = True
                raise error
            if outcome == "open":
                self._settle(error, marker, code, message)
            elif outcome is None:
                history.record(
                    connection, self._names, self._author, direction=step.direction, revision=step.revision,
                    from_position=step.before, to_position=None,
                    outcome="interrupted" if isinstance(error, Stopped) else "failed",
                    incident=None, checksum=marker.checksum, code=code, message=message,
                    seconds=seconds, lock_wait=marker.lock_wait,
                )  # fmt: skip
            if isinstance(error, Stopped):
                error.recorded = True
        except psycopg.OperationalError as lost:
            if isinstance(error, Stopped):
                raise error from None
            raise ConnectionLostError(code or lost.sqlstate) from error
        if isinstance(error, Stopped | MigratorError):
            raise error
        raise RevisionFailedError(
            f"revision {step.revision} ({step.direction}) failed: {message}; it was rolled back,"
            f" the database is clean at {history.show_position(step.before)}",
            sqlstate=code,
            retryable=code in sqlstate.RETRYABLE and not connection.committed,
        ) from error

    def _settle(self, error: BaseException, marker: Marker, code: str | None, message: str) -> None:
        """Deal with a row that was committed without an end: heal it, or call it dirty.

        Raises:
            DirtyError: it can't be healed.
        """
        connection = self._connection
        state = history.read_state(connection, self._names)
        row = state.open
        if row is not None and heal.concerns(row):
            if isinstance(error, Stopped):
                # Two seconds are all there is; the next run heals what can't be healed in one.
                connection.execute("SET statement_timeout = 1000")
            if heal.heal(connection, row) is heal.Healing.RUN_AGAIN:
                marker.end(
                    connection,
                    "interrupted" if isinstance(error, Stopped) else "failed",
                    code,
                    message,
                )
                return
        if not isinstance(error, Stopped):
            marker.note_error(connection, code, message)
        if row is None:
            return
        raise DirtyError(
            dirty_message(row, message), incident=row.incident, sqlstate=code
        ) from error


def _cause(error: BaseException) -> BaseException:
    """Return the driver's error where SQLAlchemy wrapped it, else the error itself."""
    original = getattr(error, "orig", None)
    return original if isinstance(original, psycopg.Error) else error


def code_of(error: BaseException) -> str | None:
    """Return the server's code of an error, whether SQLAlchemy wrapped it or not."""
    cause = _cause(error)
    code = getattr(cause, "sqlstate", None)
    return code if isinstance(code, str) else None


def describe(error: BaseException) -> str:
    """Return one line about an error: the server's own words without parameters and details.

    SQLAlchemy's text repeats statement and parameters, and the server's details
    quote rows: neither belongs into a log.
    """
    cause = _cause(error)
    if isinstance(cause, RefusedStatementError):
        return " ".join(str(cause).split())
    if isinstance(cause, psycopg.Error):
        primary = cause.diag.message_primary or str(cause) or type(cause).__name__
        code = f" ({cause.sqlstate})" if cause.sqlstate else ""
        if cause.sqlstate == sqlstate.IN_FAILED_TRANSACTION:
            code += "; the revision had swallowed the error of an earlier statement"
        return " ".join(primary.split()) + code
    if isinstance(cause, Stopped | MigratorError):
        return cause.message
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:500]}"


def dirty_message(row: OpenRow, cause: str | None = None) -> str:
    """Return what a person needs who finds a database dirty."""
    where = f"revision {row.revision} ({row.direction}) was interrupted"
    if row.statement_number:
        text = " ".join((row.statement or "").split())
        where += f" at statement {row.statement_number} outside a transaction ({text[:120]})"
    reason = f": {cause}" if cause else ""
    return (
        f"the database is dirty: {where} after it had committed a part{reason}; look at what is there,"
        f" complete or undo it, then record where the database is: migrate force REVISION --incident {row.incident}"
    )
