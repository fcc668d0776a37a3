"""The server as a run meets it: connecting, the session's settings, and its lock."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import socket
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from schema_migrator import sqlstate
from schema_migrator.duration import show
from schema_migrator.errors import ConfigurationError, LockedError, UnreachableError
from schema_migrator.history import LOCK_CLASS
from schema_migrator.session import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.history import Names
    from schema_migrator.url import DatabaseURL

CONNECT_TIMEOUT = 10
"""Seconds until an attempt to connect is given up; libpq counts them for each address."""

_KEEPALIVES = {
    "keepalives": "1",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    # Keepalives say nothing while something that was sent is not acknowledged.
    "tcp_user_timeout": "5000",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a session of ours has set.

    Attributes:
        lock_timeout: seconds that one wait for a lock may take.
        statement_timeout: seconds that one statement may take, 0 without a bound.
    """

    lock_timeout: float = 2.0
    statement_timeout: float = 0.0

    @property
    def lock_timeout_milliseconds(self) -> int:
        """The lock timeout as the server takes it; never 0, which would mean no bound."""
        return max(round(self.lock_timeout * 1000), 1)

    @property
    def statement_timeout_milliseconds(self) -> int:
        """The statement timeout as the server takes it; 0: no bound."""
        return round(self.statement_timeout * 1000)

    def pairs(self, server_version: int) -> dict[str, str]:
        """Return name and value of each setting that a server of this version knows."""
        pairs = {
            "lock_timeout": f"{self.lock_timeout_milliseconds}ms",
            "statement_timeout": f"{self.statement_timeout_milliseconds}ms",
            "idle_in_transaction_session_timeout": "0",
            "idle_session_timeout": "0",
            "default_transaction_read_only": "off",
            # A server notices a vanished client within seconds, and so frees the lock.
            "tcp_keepalives_idle": "1",
            "tcp_keepalives_interval": "1",
            "tcp_keepalives_count": "3",
            "tcp_user_timeout": "5000",
        }
        if server_version >= 170000:  # noqa: PLR2004 - PostgreSQL 17
            pairs["transaction_timeout"] = "0"
        return pairs


def connect(
    url: DatabaseURL, settings: Settings, application_name: str, *, timeout: float = CONNECT_TIMEOUT
) -> Connection:
    """Return a session with our settings, outside a transaction.

    Args:
        url: where the database is.
        settings: the session's settings.
        application_name: what other sessions see of this one, cut to 63 bytes.
        timeout: seconds.

    Raises:
        UnreachableError: no server answered, or it refused.
    """
    parameters: dict[str, Any] = {
        "connect_timeout": str(max(round(timeout), 2)),
        **_KEEPALIVES,
        **url.parameters,
        "application_name": application_name.encode()[:63].decode(errors="ignore"),
    }
    try:
        connection = Connection.connect(**parameters, autocommit=True)
    except psycopg.OperationalError:
        # The driver's text names host, user and database: none of it may go on.
        raise UnreachableError(_why_unreachable(url)) from None
    try:
        _set_up(connection, settings)
    except psycopg.Error:
        connection.close()
        raise
    return connection


def _why_unreachable(url: DatabaseURL) -> str:
    """Return why no connection came about, found out without reading the driver's text.

    libpq gives no code for a refused connection. Whether the host has an
    address, and whether something listens there, can be tried.
    """
    host, port = url.parameters.get("host", ""), url.parameters.get("port", "5432")
    if not host or host.startswith("/") or "," in host or not port.isdigit():
        return "the database can't be reached, or it refuses this user, password or database"
    try:
        addresses = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, OverflowError, UnicodeError):
        return "the database's host name has no address; check the host in DATABASE_URL and the name service"
    for family, kind, protocol, _, address in addresses[:2]:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.settimeout(2)
            probe.connect(address)
            return (
                "the server answers but refuses the connection: the password, user or database in DATABASE_URL"
                " is wrong, it has no connection left, or it is starting up"
            )
    return "no server answers at the database's address; check host and port in DATABASE_URL, and the network policy"


def _set_up(connection: Connection, settings: Settings) -> None:
    """Find out which settings the server takes, and set them."""
    connection.lock_timeout = settings.lock_timeout_milliseconds
    connection.statement_timeout = settings.statement_timeout_milliseconds
    pairs = settings.pairs(connection.info.server_version)
    command = "; ".join(f"SET {name} = '{value}'" for name, value in pairs.items())
    connection.settings = f"{command}; SET client_connection_check_interval = '1s'".encode()
    try:
        restore(connection)
    except psycopg.errors.InvalidParameterValue:
        # A server that can't watch its sockets (any but Linux) refuses the last one.
        connection.settings = command.encode()
        restore(connection)


_RESET = b"RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; "


def restore(connection: Connection) -> None:
    """Put role, settings and search path back, whatever a revision did to them."""
    connection.execute(_RESET + connection.settings)


def begin_restored(connection: Connection) -> bytes:
    """Return the statements that do the same and begin a transaction.

    In two transactions: the statements of one string are one, which would have
    begun with the settings that a revision left.
    """
    return b"BEGIN; " + _RESET + connection.settings + b"; COMMIT; BEGIN"


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the migrator's lock.

    Attributes:
        description: for a message: the session's name, user and backend.
    """

    description: str


def find_holder(connection: psycopg.Connection[Any], names: Names) -> Holder | None:
    """Return who holds the lock now, None when it is free."""
    row = connection.execute(
        sql.SQL(
            "SELECT held.pid, activity.application_name, activity.usename FROM ({}) AS held"
            " LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = held.pid LIMIT 1"
        ).format(names.lock_holders)
    ).fetchone()
    if row is None:
        return None
    pid, application, user = row
    if not pid:
        return Holder("a prepared transaction (see pg_prepared_xacts)")
    return Holder(f"{application or 'a session'} (user {user or 'unknown'}, backend {pid})")


def acquire_lock(
    connection: psycopg.Connection[Any],
    names: Names,
    *,
    deadline: float,
    on_wait: Callable[[Holder | None], None],
) -> float:
    """Take the migrator's lock for the session, twice, polling; return the seconds waited.

    Twice, so that the session can ask whether it still has it (`bookkeeper.lock_held`).

    It is never waited for inside the server: a blocked session holds a snapshot,
    and CREATE INDEX CONCURRENTLY waits for every snapshot, so the two would
    deadlock.

    Args:
        connection: the working session, outside a transaction.
        names: which lock.
        deadline: on the monotonic clock, in seconds.
        on_wait: called with the holder after each failed try.

    Raises:
        LockedError: the deadline passed; the message names the holder.
    """
    started = time.monotonic()
    pause = 0.05
    while True:
        row = connection.execute(
            "SELECT CASE WHEN pg_catalog.pg_try_advisory_lock(%(class)s, %(key)s)"
            " THEN pg_catalog.pg_try_advisory_lock(%(class)s, %(key)s) ELSE false END",
            {"class": LOCK_CLASS, "key": names.lock_key},
        ).fetchone()
        waited = time.monotonic() - started
        if row is not None and row[0]:
            return waited
        holder = find_holder(connection, names)
        if time.monotonic() + pause > deadline:
            who = holder.description if holder else "a migrator that has just ended"
            raise LockedError(
                f"another migrator is at work on this database: {who}; gave up after {show(waited)}",
                blocked_by=who,
            )
        on_wait(holder)
        time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads the tries, guards nothing
        pause = min(pause * 1.5, 1.0)


def check_server(connection: psycopg.Connection[Any]) -> None:
    """Refuse a server that can't be migrated.

    Raises:
        ConfigurationError: it is a replica, or takes no writes.
    """
    row = connection.execute(
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')"
    ).fetchone()
    if row is not None and row[0]:
        raise ConfigurationError(
            "the server is a replica and takes no changes; point DATABASE_URL at the primary"
        )
    if row is not None and row[1] == "on":
        raise ConfigurationError("the server takes no changes: its transactions are read-only")


def show_version(connection: psycopg.Connection[Any]) -> str:
    """Return the server's version as people write it: ``16.2``."""
    number = connection.info.server_version
    return f"{number // 10000}.{number % 10000}"


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether an error means that the session is gone."""
    return sqlstate.is_connection_lost(error.sqlstate) or (
        isinstance(error, psycopg.OperationalError) and not error.sqlstate
    )
