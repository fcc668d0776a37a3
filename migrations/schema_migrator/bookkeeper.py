"""The statements that open and close a step, as texts that are sent with others in one string.

A round trip is what a step costs beyond its own SQL, so the bookkeeping travels
in the strings that are sent anyway. In such a string values can't be
parameters: they are quoted by libpq. And a row count can't be looked at before
the COMMIT that follows in the same string: each closing statement checks itself
and raises an error where it did not hit its one row, and the server stops there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.pq import Escaping

from schema_migrator.history import LOCK_CLASS, show_position

if TYPE_CHECKING:
    from schema_migrator.history import Author, Names
    from schema_migrator.session import Connection
    from schema_migrator.tree import Step

POSITION_CHANGED, ROW_GONE = "position changed", "row gone"
"""What a closing statement found; the server's error message quotes it."""


def lock_held(names: Names) -> bytes:
    """Return a condition: this session holds the lock, which it took twice.

    Giving a lock back tells whether it was held, and one that was taken twice
    stays held meanwhile. The view pg_locks would go through the locks of every
    session for the same answer.
    """
    return (
        b"CASE WHEN pg_catalog.pg_advisory_unlock(%(class)d, %(key)d)"
        b" THEN pg_catalog.pg_try_advisory_lock(%(class)d, %(key)d) ELSE false END"
    ) % {b"class": LOCK_CLASS, b"key": names.lock_key}


class Bookkeeper:
    """Words the bookkeeping's statements for one run.

    Args:
        connection: the working session.
        names: where the bookkeeping is.
        author: who runs.

    Attributes:
        names: where the bookkeeping is.
    """

    def __init__(self, connection: Connection, names: Names, author: Author) -> None:
        self.names = names
        self._escaping = Escaping(connection.pgconn)
        # The driver gives a server without an encoding ASCII alone; bytes are bytes to such a server.
        encoding = connection.info.encoding
        self._encoding = "utf-8" if encoding == "ascii" else encoding
        self._versions = names.versions.as_bytes(connection)
        self._history = names.history.as_bytes(connection)
        self._lock_held = lock_held(names)
        self._statement_timeout = connection.statement_timeout
        self._run = self._literals(author.run)
        self._place = self._literals(author.host, author.image, author.migrator)

    def _literals(self, *values: str | None) -> bytes:
        """Return values as SQL, separated by commas."""
        return b", ".join(
            b"NULL"
            if value is None
            else self._escaping.escape_literal(value.encode(self._encoding, "replace"))
            for value in values
        )

    def opening(
        self,
        step: Step,
        *,
        incident: str,
        checksum: str,
        lock_wait: float,
        supersedes: int | None,
        text: str | None,
        index_before: str | None,
        after: int | None = None,
    ) -> bytes:
        """Return the statement that inserts a step's row, without an end, and gives its id.

        Args:
            step: the step.
            incident: the id that a resolution would have to name.
            checksum: of what is executed.
            lock_wait: seconds waited so far.
            supersedes: the row of an interrupted attempt, which is ended with it.
            text: the first statement, where that is outside a transaction.
            index_before: what is known of an index before it.
            after: the row of the step that was completed just before; what it left
                is read back with this, and the id stands last in each row of that.
        """
        supersede = b""
        if supersedes is not None:
            supersede = (
                b"WITH superseded AS (UPDATE %b SET ended_at = pg_catalog.clock_timestamp(),"
                b" outcome = 'superseded' WHERE id = %d AND ended_at IS NULL) "
            ) % (self._history, supersedes)
        values = self._literals(
            step.direction, step.revision, show_position(step.before), incident, checksum, text, index_before
        )  # fmt: skip
        columns = (
            b"run, direction, revision, from_position, incident, checksum, statement, index_before, host, image,"
            b" migrator, supersedes, in_transaction, statement_number, lock_wait_seconds"
        )
        inserted = b"%bINSERT INTO %b (%b) VALUES (%b, %b, %b, %b, %b, %d, %r) RETURNING id" % (
            supersede,
            self._history,
            columns,
            self._run,
            values,
            self._place,
            b"NULL" if supersedes is None else b"%d" % supersedes,
            b"true" if text is None else b"false",
            text is not None,
            lock_wait,
        )
        if after is None:
            return inserted
        return b"WITH inserted AS (%b) SELECT left_behind.*, inserted.id FROM inserted, (%b) AS left_behind" % (
            inserted,
            self._left_behind(after),
        )  # fmt: skip

    def _left_behind(self, row: int) -> bytes:
        """Return the query for what a completed step left: its row's outcome beside each version row."""
        return (
            b"SELECT done.outcome, version_num FROM %b AS done LEFT JOIN %b ON true WHERE done.id = %d"
        ) % (self._history, self._versions, row)

    def closing(self, step: Step, row: int | None, token: str, *, following: bytes = b"") -> bytes:
        """Return the statements that move the version rows, end the step's row, commit, and read back.

        The last one gives the row's outcome beside each version row.

        Args:
            step: the step.
            row: the id of its row.
            token: stands in the server's error, after one of this module's constants.
            following: what opens the following step, where that goes with it and reads back too.
        """
        versions, number = self._versions, row or 0
        changes = [
            b"DELETE FROM %b WHERE version_num = %b" % (versions, self._literals(one))
            for one in step.deleted
        ]
        changes += [
            b"UPDATE %b SET version_num = %b WHERE version_num = %b"
            % (versions, self._literals(new), self._literals(old))
            for old, new in step.updated
        ]
        after = self._literals(show_position(step.after))
        ended = (
            b"UPDATE %b SET ended_at = pg_catalog.clock_timestamp(), outcome = 'applied', to_position = %b"
            b" WHERE id = %d AND ended_at IS NULL AND %b"
        ) % (self._history, after, number, self._lock_held)
        # One statement takes all of what it changes from one snapshot, so a row
        # of the version table may be in it once: more changes go before it.
        moved = changes.pop() if changes else None
        # A time that the revision gave its own statements is not ours to be measured by. That for
        # locks stays its own: what it deferred takes locks in the COMMIT.
        parts = [
            b"SET statement_timeout = %d" % self._statement_timeout,
            b"RESET SESSION AUTHORIZATION",
            b"RESET ROLE",
        ]
        parts += [self._checked((one, f"{POSITION_CHANGED} {token}")) for one in changes]
        parts += [
            b"INSERT INTO %b (version_num) VALUES (%b)" % (versions, self._literals(one))
            for one in step.inserted
        ]
        checks = [(ended, f"{ROW_GONE} {token}")]
        if moved is not None:
            checks.insert(0, (moved, f"{POSITION_CHANGED} {token}"))
        parts += [
            self._checked(*checks),
            b"COMMIT",
            following or self._left_behind(number),
        ]
        return b"; ".join(parts)

    def _checked(self, *checks: tuple[bytes, str]) -> bytes:
        """Return a statement that makes changes and raises an error unless each hits one row.

        The error's text is no number, so casting it is the error; the server
        can't try that any earlier, because it does not know the counts.

        Args:
            checks: a change, and what the error says of it.
        """
        changes = b", ".join(
            b"hit%d AS (%b RETURNING 1)" % (number, change)
            for number, (change, _) in enumerate(checks)
        )
        conditions = b" ".join(
            b"WHEN (SELECT pg_catalog.count(*) FROM hit%d) <> 1 THEN %b"
            % (number, self._literals(otherwise))
            for number, (_, otherwise) in enumerate(checks)
        )
        return b"WITH %b SELECT CASE %b ELSE '1' END::pg_catalog.int4" % (changes, conditions)
