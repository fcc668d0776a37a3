"""The database of a run: how it is reached, and how it is looked at."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import psycopg

from schema_migrator import database, history
from schema_migrator.errors import UnreachableError

if TYPE_CHECKING:
    from schema_migrator.database import Settings
    from schema_migrator.history import Author, Names, State
    from schema_migrator.session import Connection
    from schema_migrator.url import DatabaseURL


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which bookkeeping in which database.

    Attributes:
        url: where the database is.
        settings: the session's settings.
        version_table: the version table's name.
        version_table_schema: its schema; None: where the search path finds it.
        author: who runs.
    """

    url: DatabaseURL = dataclasses.field(repr=False)
    settings: Settings
    version_table: str = "alembic_version"
    version_table_schema: str | None = None
    author: Author

    def connect(self, *, timeout: float = database.CONNECT_TIMEOUT) -> Connection:
        """Return a new session."""
        name = f"migrate/{self.author.run}/{self.author.host}"
        connection = database.connect(self.url, self.settings, name, timeout=timeout)
        connection.binds_in_client = self.url.binds_in_client
        return connection

    def names(self, connection: Connection) -> Names:
        """Return where the bookkeeping is."""
        return history.resolve_names(connection, self.version_table_schema, self.version_table)


def observe(connection: Connection, names: Names) -> State:
    """Return the bookkeeping; a row without an end is read until it is settled.

    A live migrator ends its row before it gives the lock back, so a row that is
    still open after its writer's lock was seen free was left by a dead one.
    """
    state = history.read_state(connection, names)
    while state.open is not None and not state.open.live:
        again = history.read_state(connection, names)
        if again.open is not None and again.open.id == state.open.id:
            return again
        state = again
    return state


def read_again(
    place: Place, names: Names, connection: Connection | None, *, until: float
) -> State | None:
    """Return the state over the session of a run that ended badly, or over a new one.

    Args:
        place: the database.
        names: where the bookkeeping is.
        connection: the run's session; closed here when it does not answer.
        until: on the monotonic clock, in seconds.

    Returns:
        The state, or None where it was not to be had in time.
    """
    while True:
        try:
            if connection is not None and not connection.closed:
                connection.rollback()
                connection.autocommit = True
                return _settled(connection, names, until)
            with place.connect(timeout=max(until - time.monotonic(), 0.1)) as another:
                return _settled(another, names, until)
        except (psycopg.Error, UnreachableError):
            if connection is not None:
                connection.close()
            if time.monotonic() + 0.2 > until:
                return None
            time.sleep(0.2)


def _settled(connection: Connection, names: Names, until: float) -> State:
    """Return the state once the run's own lost session no longer looks alive."""
    state = observe(connection, names)
    while (
        state.open is not None
        and state.open.live
        and state.holder_pid != connection.info.backend_pid
    ):
        if time.monotonic() + 0.05 > until:
            break
        time.sleep(0.05)
        state = observe(connection, names)
    return state
