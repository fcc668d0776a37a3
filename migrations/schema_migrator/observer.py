"""A second session that watches the first: what runs for long, and whom it waits for.

The working session can't be asked while it waits. So a thread looks from beside
it, once a step takes longer than a moment: at the statement that runs, at the
sessions that block it, and at how far an index build is. It never touches the
working session, and a run goes on as well without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from schema_migrator.duration import show
from schema_migrator.errors import MigratorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schema_migrator.history import Names
    from schema_migrator.place import Place
    from schema_migrator.session import Connection

_LONGEST_PATIENCE: Final = 1.0
"""Seconds until a step is looked at, and between two looks; less where locks are given up sooner."""

_LOOKS_A_WAIT: Final = 3
"""How many looks fall into one wait for a lock, so that its blocker is seen."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What the working session does, as seen from beside it.

    Attributes:
        statement: what runs, on one line.
        seconds: for how long.
        waits_for: the sessions and prepared transactions that block it.
        phase: of an index build, in PostgreSQL's words; None where none runs.
        percent: how far that phase is; None where it can't be told.
    """

    statement: str
    seconds: float
    waits_for: tuple[str, ...] = ()
    phase: str | None = None
    percent: int | None = None


_LOOK: Final = sql.SQL(
    """
    SELECT a.pid, a.query, extract(epoch FROM pg_catalog.clock_timestamp() - a.query_start)::float8,
        pg_catalog.pg_blocking_pids(a.pid), p.phase,
        CASE WHEN p.phase LIKE 'waiting%' THEN 100 * p.lockers_done / nullif(p.lockers_total, 0)
             WHEN p.tuples_total > 0 THEN 100 * p.tuples_done / p.tuples_total
             WHEN p.blocks_total > 0 THEN 100 * p.blocks_done / p.blocks_total END
    FROM ({}) AS held JOIN pg_catalog.pg_stat_activity AS a ON a.pid = held.pid
    LEFT JOIN pg_catalog.pg_stat_progress_create_index AS p ON p.pid = a.pid
    WHERE a.state = 'active'
    """
)
"""The working session is the one that holds the migrator's lock."""

_SESSIONS: Final = """
    SELECT a.pid, a.application_name, a.usename, a.state,
        extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8
    FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = ANY (%s) ORDER BY a.xact_start, a.pid
"""

_PREPARED: Final = """
    SELECT DISTINCT p.gid FROM pg_catalog.pg_prepared_xacts AS p
    JOIN pg_catalog.pg_locks AS own ON own.transactionid = p.transaction AND own.granted AND own.pid IS NULL
    JOIN pg_catalog.pg_locks AS held ON held.virtualtransaction = own.virtualtransaction
        AND held.granted AND held.pid IS NULL
    JOIN pg_catalog.pg_locks AS wanted ON wanted.pid = %s AND NOT wanted.granted
        AND wanted.locktype = held.locktype
        AND (wanted.database, wanted.relation, wanted.page, wanted.tuple, wanted.virtualxid,
             wanted.transactionid, wanted.classid, wanted.objid, wanted.objsubid)
            IS NOT DISTINCT FROM
            (held.database, held.relation, held.page, held.tuple, held.virtualxid,
             held.transactionid, held.classid, held.objid, held.objsubid)
    ORDER BY 1
"""


class Observer:
    """Watches one run's working session.

    Args:
        place: the database.
        names: which lock the working session holds.
        tell: called from the observer's thread, at each look while a statement runs.
    """

    def __init__(self, place: Place, names: Names, tell: Callable[[Activity], None]) -> None:
        self._place = place
        self._names = names
        self._tell = tell
        self._patience = min(place.settings.lock_timeout / _LOOKS_A_WAIT, _LONGEST_PATIENCE)
        self._changed = threading.Condition()
        self._step = 0
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while a step runs."""
        self._set(busy=True)
        try:
            yield
        finally:
            self._set(busy=False)

    def close(self) -> None:
        """End the thread and its session; waits a moment, no longer."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout=0.3)

    def _set(self, *, busy: bool) -> None:
        with self._changed:
            self._busy = busy
            self._step += busy
            self._changed.notify()
        if busy and self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        connection: Connection | None = None
        try:
            while (step := self._next_long_step()) is not None:
                if connection is None:
                    connection = self._connect()
                activity = self._look(connection)
                if activity is not None and self._runs(step):
                    self._tell(activity)
        except (psycopg.Error, MigratorError):
            # Nobody is told of what can't be seen, and the run goes on.
            return
        finally:
            if connection is not None:
                connection.close()

    def _runs(self, step: int) -> bool:
        """Tell whether a step is still the one that runs."""
        return self._busy and self._step == step and not self._closed

    def _next_long_step(self) -> int | None:
        """Wait until one step has run for a while, and return its number; None at the end."""
        with self._changed:
            while not self._closed:
                if not self._busy:
                    self._changed.wait()
                    continue
                step = self._step
                self._changed.wait(self._patience)
                if self._runs(step):
                    return step
        return None

    def _connect(self) -> Connection:
        connection = self._place.connect()
        # Told apart from the working session by its name, and never in the way for long.
        connection.execute(
            "SELECT pg_catalog.set_config('application_name', %s, false),"
            " pg_catalog.set_config('statement_timeout', '2s', false)",
            [f"migrate-observer/{self._place.author.run}"],
        )
        return connection

    def _look(self, connection: Connection) -> Activity | None:
        row = connection.execute(_LOOK.format(self._names.lock_holders)).fetchone()
        if row is None:
            return None
        pid, query, seconds, blockers, phase, percent = row
        return Activity(
            statement=" ".join((query or "").split()),
            seconds=seconds or 0.0,
            waits_for=self._describe(connection, pid, blockers) if blockers else (),
            phase=phase,
            percent=None if percent is None else int(percent),
        )

    def _describe(self, connection: Connection, pid: int, blockers: list[int]) -> tuple[str, ...]:
        found = [_session(*row) for row in connection.execute(_SESSIONS, [list(set(blockers))])]
        if 0 in blockers:
            gids = [row[0] for row in connection.execute(_PREPARED, [pid])]
            found += [f"prepared transaction {gid}" for gid in gids] or ["a prepared transaction"]
        return tuple(found)


def _session(
    pid: int, application: str | None, user: str | None, state: str | None, seconds: float | None
) -> str:
    """Return how a session is named; its state is there only for those who may see it.

    Its query is never part of that: it may hold what is nobody's business.
    """
    doing = ""
    if state and seconds is not None:
        doing = f", {state}, in its transaction for {show(seconds)}"
    return f"{application or 'a session'} (user {user or 'unknown'}, backend {pid}{doing})"
