"""Whether a connection pooler stands between, and how it shares its sessions.

The migrator's lock belongs to a session of the server. A pooler that lends one
session to several clients in turn would lend the lock with it, and two
migrators would both believe that they hold it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import psycopg

from schema_migrator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.session import Connection

_TRIES = 3


class Mode(enum.Enum):
    """What is between the migrator and the server."""

    DIRECT = "no pooler"
    SESSION = "a pooler in session mode"
    TRANSACTION = "a pooler in transaction mode"
    STATEMENT = "a pooler in statement mode"


def find_mode(connection: Connection, connect: Callable[[], Connection]) -> Mode:
    """Return what is between a session and its server.

    The server tells its process id twice: when the connection begins (that one a
    pooler makes up) and when it is asked. Where they differ, a second connection
    that begins a transaction while the first is idle shows whether it is given
    the first one's backend. On a busy pool that can miss, so it is tried more
    than once and ``session`` stays a guess.

    Args:
        connection: the working session, outside a transaction.
        connect: opens another one like it.
    """
    own = _backend(connection)
    if own == connection.info.backend_pid:
        return Mode.DIRECT
    with connect() as other:
        for _ in range(_TRIES):
            own = _backend(connection)
            try:
                with other.transaction():
                    if _backend(other) == own:
                        return Mode.TRANSACTION
            except psycopg.errors.ProtocolViolation:
                return Mode.STATEMENT
            except psycopg.OperationalError:
                # A pooler in statement mode ends the connection with a FATAL of its own.
                return Mode.STATEMENT
    return Mode.SESSION


def _backend(connection: Connection) -> int:
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def check(mode: Mode) -> str | None:
    """Return what to warn of, None where nothing stands between.

    Raises:
        ConfigurationError: the pooler can't carry the migrator's lock.
    """
    if mode is Mode.DIRECT:
        return None
    if mode is Mode.SESSION:
        return (
            "a connection pooler stands between, in session mode as far as can be seen;"
            " give the migrator a direct connection where you can"
        )
    raise ConfigurationError(
        f"{mode.value} stands between, which can't carry the migrator's lock;"
        " point DATABASE_URL at the server itself, or at a pool in session mode"
    )
