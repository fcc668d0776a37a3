"""What the database keeps of its migrations: position, history, and the lock.

``alembic_version`` holds the position, exactly as Alembic writes it. Beside it
``alembic_version_history`` has a row for each step: inserted without an end,
ended once, never changed again. A row without an end that can be seen by
another session proves that its revision committed something before it ended.

All SQL of the engine's bookkeeping is here; every name is qualified, because a
revision may change the search path.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from schema_migrator import sqlstate
from schema_migrator.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

Position = tuple[str, ...]
"""The ids in the version table, sorted; empty at base."""

LOCK_CLASS: Final = 0x736D6967
"""The first of the advisory lock's two numbers: ``smig`` in ASCII.

The two-number form can't collide with the one-number form that applications and
other migrators use.
"""


def show_position(position: Position) -> str:
    """Return a position as a text: ``base``, an id, or ids joined by commas."""
    return ",".join(position) or "base"


def read_position(text: str) -> Position:
    """Return the position that `show_position` made the text of."""
    return () if text == "base" else tuple(sorted(text.split(",")))


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """Where the bookkeeping of one tree is.

    Attributes:
        schema: the schema of both tables.
        version_table: the version table's name.
    """

    schema: str
    version_table: str = "alembic_version"

    @property
    def versions(self) -> sql.Identifier:
        """The version table, qualified."""
        return sql.Identifier(self.schema, self.version_table)

    @property
    def history_table(self) -> str:
        """The history table's name."""
        return f"{self.version_table}_history"

    @property
    def history(self) -> sql.Identifier:
        """The history table, qualified."""
        return sql.Identifier(self.schema, self.history_table)

    @property
    def lock_key(self) -> int:
        """The second number of the advisory lock: one for each version table."""
        name = f"{self.schema}.{self.version_table}".encode()
        return int.from_bytes(hashlib.sha256(name).digest()[:4], "big", signed=True)

    @property
    def lock_holders(self) -> sql.Composed:
        """A query: the pid of whoever holds the lock in this database."""
        return sql.SQL(
            "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid = {} AND objid = {} AND objsubid = 2 AND database ="
            " (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
        ).format(LOCK_CLASS, self.lock_key % 2**32)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenRow:
    """A history row without an end.

    Attributes:
        id: its number.
        direction: ``up`` or ``down``.
        revision: the revision that was running.
        incident: the id that a resolution has to name, should this be dirty.
        in_transaction: whether the row was inserted inside the revision's
            transaction. If it can be seen all the same, that part was committed.
        statement_number: how many statements were begun outside a transaction.
        statement: the last of them.
        index_before: what was known of an index before it.
        live: whether the migrator that wrote it still holds the lock.
        sqlstate: the error that ended the attempt, where its migrator could still write it.
    """

    id: int
    direction: str
    revision: str
    incident: str
    in_transaction: bool
    statement_number: int
    statement: str | None
    index_before: str | None
    live: bool
    sqlstate: str | None
    from_position: str
    started_at: datetime
    who: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The bookkeeping as one statement saw it.

    Attributes:
        position: what the version table holds.
        has_versions: whether the version table is there.
        has_history: whether the history table is there.
        last_position: where history's last ended step led, None without one.
        open: the row without an end, if there is one.
        holder_pid: the backend that holds the lock.
        in_recovery: whether the server is a replica.
    """

    position: Position
    has_versions: bool
    has_history: bool
    last_position: str | None = None
    open: OpenRow | None = None
    holder_pid: int | None = None
    in_recovery: bool = False


def resolve_names(
    connection: psycopg.Connection[Any], schema: str | None, version_table: str
) -> Names:
    """Return where the bookkeeping is, or would be made.

    Without a schema that is where the search path finds the version table, else
    the search path's first schema.

    Raises:
        ConfigurationError: the search path names no schema that exists.
    """
    if schema is not None:
        return Names(schema, version_table)
    row = connection.execute(
        "SELECT coalesce((SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass(pg_catalog.quote_ident(%s))),"
        " pg_catalog.current_schema())",
        [version_table],
    ).fetchone()
    if row is None or row[0] is None:
        raise ConfigurationError(
            "the database's search_path names no schema that exists; create it, or name one by --version-table-schema"
        )
    return Names(row[0], version_table)


def read_state(connection: psycopg.Connection[Any], names: Names) -> State:
    """Return the bookkeeping, read in one statement. Creates nothing."""
    row = connection.execute(
        "SELECT pg_catalog.to_regclass(%s) IS NOT NULL, pg_catalog.to_regclass(%s) IS NOT NULL,"
        " pg_catalog.pg_is_in_recovery()",
        [names.versions.as_string(connection), names.history.as_string(connection)],
    ).fetchone()
    has_versions, has_history, in_recovery = row or (False, False, False)
    if not has_versions and not has_history:
        return State(position=(), has_versions=False, has_history=False, in_recovery=in_recovery)
    versions = (
        sql.SQL(
            "(SELECT coalesce(array_agg(version_num::text ORDER BY version_num::text), '{{}}') FROM {})"
        ).format(names.versions)
        if has_versions
        else sql.SQL("'{}'::text[]")
    )
    if not has_history:
        found = connection.execute(sql.SQL("SELECT {}").format(versions)).fetchone()
        return State(
            position=tuple(sorted(found[0])) if found else (),
            has_versions=has_versions,
            has_history=False,
            in_recovery=in_recovery,
        )
    query = sql.SQL(
        "WITH holder AS ({holders})"
        " SELECT {versions}, (SELECT pid FROM holder LIMIT 1),"
        " (SELECT to_position FROM {history} WHERE ended_at IS NOT NULL AND to_position IS NOT NULL"
        " ORDER BY id DESC LIMIT 1),"
        " o.id, o.direction, o.revision, o.incident, o.in_transaction, o.statement_number, o.statement,"
        " o.index_before, o.sqlstate, o.from_position, o.started_at, o.host,"
        " EXISTS (SELECT FROM holder WHERE holder.pid = o.backend_pid)"
        " FROM (VALUES (1)) AS one LEFT JOIN LATERAL"
        " (SELECT * FROM {history} WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1) AS o ON true"
    ).format(holders=names.lock_holders, versions=versions, history=names.history)
    found = connection.execute(query).fetchone()
    if found is None:  # pragma: no cover - the query always gives one row
        raise AssertionError("the state query gave no row")
    return State(
        position=tuple(sorted(found[0])),
        has_versions=has_versions,
        has_history=True,
        in_recovery=in_recovery,
        holder_pid=found[1],
        last_position=found[2],
        open=None
        if found[3] is None
        else OpenRow(
            id=found[3],
            direction=found[4],
            revision=found[5],
            incident=found[6],
            in_transaction=found[7],
            statement_number=found[8],
            statement=found[9],
            index_before=found[10],
            sqlstate=found[11],
            from_position=found[12],
            started_at=found[13],
            who=found[14] or "",
            live=found[15],
        ),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who runs: what every row of a run says of it."""

    run: str
    host: str
    image: str | None
    migrator: str


WIDTH: Final = 32
"""Characters that a revision id may have in the version table as Alembic makes it."""


def create_tables(
    connection: psycopg.Connection[Any],
    names: Names,
    state: State,
    author: Author,
    *,
    width: int = WIDTH,
) -> None:
    """Create what is missing of the two tables, in one transaction.

    Where a position stood without a history table, a row ``adopted`` says so:
    from then on it is known that earlier interruptions can't be excluded.

    Args:
        connection: the working session.
        names: where the tables are.
        state: which of them are there.
        author: who runs.
        width: characters of the longest revision id.

    Raises:
        ConfigurationError: the role may not create tables there.
    """
    if state.has_versions and state.has_history:
        return
    import psycopg

    try:
        with connection.transaction():
            connection.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} (version_num VARCHAR({}) NOT NULL, CONSTRAINT {} PRIMARY KEY (version_num))"
                ).format(
                    names.versions,
                    sql.Literal(max(width, WIDTH)),
                    sql.Identifier(f"{names.version_table}_pkc"),
                )
            )
            if not state.has_history:
                connection.execute(_CREATE_HISTORY.format(history=names.history))
                connection.execute(
                    sql.SQL("COMMENT ON TABLE {} IS {}").format(
                        names.history,
                        "Every step that migrate took; a row without ended_at was interrupted.",
                    )
                )
                if state.position:
                    record(
                        connection,
                        names,
                        author,
                        direction="adopted",
                        revision=show_position(state.position),
                        from_position=state.position,
                        to_position=state.position,
                        outcome="adopted",
                        reason="a position was there without a history",
                    )
    except psycopg.Error as error:
        if error.sqlstate != sqlstate.INSUFFICIENT_PRIVILEGE:
            raise
        raise ConfigurationError(
            f'the role may not create tables in schema "{names.schema}": grant it CREATE there,'
            " or name another schema by --version-table-schema",
            sqlstate=error.sqlstate,
        ) from error


_CREATE_HISTORY = sql.SQL(
    """CREATE TABLE IF NOT EXISTS {history} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run text NOT NULL,
    direction text NOT NULL,
    revision text NOT NULL,
    from_position text NOT NULL,
    to_position text,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ended_at timestamptz,
    outcome text,
    incident text,
    supersedes bigint,
    in_transaction boolean NOT NULL DEFAULT true,
    statement_number integer NOT NULL DEFAULT 0,
    statement text,
    index_before text,
    checksum text,
    lock_wait_seconds double precision NOT NULL DEFAULT 0,
    sqlstate text,
    message text,
    reason text,
    host text NOT NULL,
    image text,
    database_user text NOT NULL DEFAULT session_user,
    backend_pid integer NOT NULL DEFAULT pg_catalog.pg_backend_pid(),
    migrator text NOT NULL
)"""
)


def record(
    connection: psycopg.Connection[Any],
    names: Names,
    author: Author,
    *,
    direction: str,
    revision: str,
    from_position: Position,
    to_position: Position | None,
    outcome: str,
    incident: str | None = None,
    checksum: str | None = None,
    code: str | None = None,
    message: str | None = None,
    reason: str | None = None,
    seconds: float = 0.0,
    lock_wait: float = 0.0,
) -> None:
    """Insert a row that is already ended: a failed attempt, a force, an adoption.

    It took ``seconds``, so its start is that long ago; ``lock_wait`` are the
    seconds of it that went into waiting for locks.
    """
    connection.execute(
        sql.SQL(
            "INSERT INTO {} (run, direction, revision, from_position, to_position, started_at, ended_at, outcome,"
            " incident, checksum, sqlstate, message, reason, lock_wait_seconds, host, image, migrator)"
            " SELECT %s, %s, %s, %s, %s, t - make_interval(secs => %s), t, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s"
            " FROM pg_catalog.clock_timestamp() AS t"
        ).format(names.history),
        [
            author.run, direction, revision, show_position(from_position),
            None if to_position is None else show_position(to_position), seconds, outcome, incident, checksum,
            code, message, reason, lock_wait, author.host, author.image, author.migrator,
        ],
    )  # fmt: skip


def write_position(names: Names, position: Position) -> sql.Composed:
    """Return statements that make the version table hold this position."""
    delete = sql.SQL("DELETE FROM {}").format(names.versions)
    if not position:
        return sql.Composed([delete])
    rows = sql.SQL(", ").join(sql.SQL("({})").format(one) for one in position)
    return sql.SQL("{}; INSERT INTO {} (version_num) VALUES {}").format(
        delete, names.versions, rows
    )
