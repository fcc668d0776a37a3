"""One run: look, decide, take the lock, look again, and move step by step.

The only module that knows all of observing, deciding and acting. It returns a
`Result` for every way that a run can end; nothing is printed here.
"""

from __future__ import annotations

import dataclasses
import random
import time
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from psycopg import sql

from schema_migrator import database, heal, history, route
from schema_migrator.errors import (
    DirtyError,
    LockedError,
    MigratorError,
    RefusedError,
    RevisionFailedError,
    Stopped,
    UnreachableError,
)
from schema_migrator.history import show_position
from schema_migrator.result import Outcome, Refusal, Result
from schema_migrator.step import ConnectionLostError, Runner, dirty_message

if TYPE_CHECKING:
    from schema_migrator.database import Holder, Settings
    from schema_migrator.history import Author, Names, Position, State
    from schema_migrator.route import Condition, Goal, Route
    from schema_migrator.session import Connection
    from schema_migrator.tree import Step, Tree
    from schema_migrator.url import DatabaseURL

_READ_BACK = 5.0
"""Seconds to reach the server again after the session was lost."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Seconds between tries of a revision that lost a lock; doubled each time, with jitter."""


class Reporter(Protocol):
    """Who is told what a run does while it does it."""

    def warn(self, message: str) -> None:
        """Something that a person should know, though the run goes on."""

    def waiting(self, message: str) -> None:
        """The run waits for somebody."""

    def started(self, step: Step) -> None:
        """A step begins."""

    def ended(self, step: Step, seconds: float) -> None:
        """A step was applied."""


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
        return database.connect(self.url, self.settings, name, timeout=timeout)

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


class Run:
    """One run towards a goal, or one resolution.

    Args:
        place: the database.
        tree: the tree to move along.
        reporter: who is told.
        timeout: seconds that the run may take.
    """

    def __init__(self, place: Place, tree: Tree, reporter: Reporter, *, timeout: float) -> None:
        self.place = place
        self.tree = tree
        self.reporter = reporter
        self.started_at = time.monotonic()
        self.deadline = self.started_at + timeout
        self.connection: Connection | None = None
        self._names: Names | None = None
        self._applied: list[str] = []
        self._from: Position | None = None
        self._route: Route | None = None
        self._lock_wait = 0.0
        self._blocked_by: str | None = None
        self._waiting_for_locks = False
        self._server: str | None = None

    def move(self, goal: Goal) -> Result:
        """Move the database to a goal and return how that ended; raises nothing it knows."""
        return self._reported(lambda: self._move(goal))

    def force(
        self, target: str, *, incident: str | None, reason: str | None, unchecked: bool
    ) -> Result:
        """Record a position and resolve a dirty database; runs no revision.

        Args:
            target: a revision id, ``base`` (or ``-1``), ``head`` or ``heads``.
            incident: the incident that is meant; None for whatever is open.
            reason: kept in the history.
            unchecked: accept an id that the tree does not have.
        """
        return self._reported(
            lambda: self._force(target, incident=incident, reason=reason, unchecked=unchecked)
        )

    def _reported(self, work: Any) -> Result:
        try:
            outcome, message = work()
            return self._result(outcome, message)
        except Stopped as stopped:
            return self._after_stop(stopped)
        except (ConnectionLostError, psycopg.OperationalError) as lost:
            if not isinstance(lost, ConnectionLostError) and not database.is_lost(lost):
                return self._failed(self._unexpected(lost))
            return self._after_loss(lost.sqlstate)
        except MigratorError as error:
            return self._failed(error)
        except psycopg.Error as error:
            return self._failed(self._unexpected(error))
        finally:
            if self.connection is not None:
                self.connection.close()

    def _unexpected(self, error: psycopg.Error) -> MigratorError:
        """Return our words for an error in the engine's own statements."""
        text = error.diag.message_primary or type(error).__name__
        return RevisionFailedError(
            self.place.url.redact(f"the bookkeeping failed: {text} ({error.sqlstate})"),
            sqlstate=error.sqlstate,
        )

    # -- looking ---------------------------------------------------------

    def _open(self) -> tuple[Connection, Names]:
        connection = self.connection = self.place.connect()
        self._server = database.show_version(connection)
        self._names = names = self.place.names(connection)
        return connection, names

    def _look(self, connection: Connection, names: Names) -> tuple[State, Condition]:
        state = observe(connection, names)
        if self._from is None:
            self._from = state.position
        return state, route.assess(state, self.tree)

    # -- moving ----------------------------------------------------------

    def _move(self, goal: Goal) -> tuple[Outcome, str]:
        connection, names = self._open()
        state, condition = self._look(connection, names)
        if isinstance(condition, route.Dirty):
            raise _dirty(condition)
        self._refuse_lost_position(state)
        self._route = found = route.find(self.tree, state.position, goal)
        if found.ahead:
            return (
                Outcome.AHEAD_ACCEPTED,
                f"the database is ahead at {show_position(state.position)}, as accepted",
            )
        if not found.steps and isinstance(condition, route.Clean | route.InProgress):
            return Outcome.UP_TO_DATE, self._nothing_to_do(state, condition, goal)
        database.check_server(connection)
        self._lock(connection, names)
        return self._move_locked(connection, names, goal)

    def _nothing_to_do(self, state: State, condition: Condition, goal: Goal) -> str:
        text = f"nothing to do: the database is at {show_position(state.position)}"
        if isinstance(condition, route.InProgress):
            text += f"; {in_progress(condition)}"
        if goal.way is route.Way.DOWN and not state.position:
            text = "nothing to do: no revision is applied"
        return text

    def _refuse_lost_position(self, state: State) -> None:
        if not state.position and state.last_position not in (None, "base"):
            raise RefusedError(
                Refusal.POSITION_LOST,
                f"the position was lost: the version table is empty, but the history ended at {state.last_position};"
                f" record where the database is: migrate force {state.last_position}",
            )

    def _lock(self, connection: Connection, names: Names) -> None:
        def on_wait(holder: Holder | None) -> None:
            if holder is not None and holder.description != self._blocked_by:
                self._blocked_by = holder.description
                self.reporter.waiting(f"waiting for another migrator: {holder.description}")

        self._waiting_for_locks = True
        self._lock_wait += database.acquire_lock(
            connection, names, deadline=self.deadline, on_wait=on_wait
        )
        self._waiting_for_locks = False

    def _move_locked(self, connection: Connection, names: Names, goal: Goal) -> tuple[Outcome, str]:
        state, condition = self._look(connection, names)
        history.create_tables(connection, names, state, self.place.author)
        if state.position and not state.has_history:
            self.reporter.warn(
                "the history table was missing and was made: an interrupted revision before this run can't be excluded"
            )
        skip: str | None = None
        supersedes: int | None = None
        if isinstance(condition, route.Dirty):
            raise _dirty(condition)
        if isinstance(condition, route.Healable):
            skip = self._heal(connection, names, condition)
        if isinstance(condition, route.Resumable):
            supersedes = condition.row.id
            self.reporter.warn(
                f"revision {condition.row.revision} was interrupted and is resumed, as it declares"
            )
        self._refuse_lost_position(state)
        self._route = found = route.find(self.tree, state.position, goal)
        runner = Runner(
            connection,
            self.tree,
            names,
            self.place.author,
            restore=lambda: database.restore(connection, self.place.settings),
            redact=self.place.url.redact,
        )
        interrupted = (
            condition.row.revision
            if isinstance(condition, route.Healable | route.Resumable)
            else None
        )
        if interrupted is not None and found.steps and found.steps[0].revision != interrupted:
            skip = supersedes = None
        for step in found.steps:
            self._step(runner, step, skip=skip, supersedes=supersedes)
            skip = supersedes = None
        if not found.steps:
            return (
                Outcome.UP_TO_DATE,
                f"nothing to do: the database is at {show_position(state.position)}",
            )
        return Outcome.APPLIED, self._summary(found, goal)

    def _summary(self, found: Route, goal: Goal) -> str:
        up = found.steps[0].up
        count = len(found.steps)
        text = (
            f"{'applied' if up else 'reverted'} {count} revision{'s' if count != 1 else ''};"
            f" the database is at {show_position(found.steps[-1].after)}"
        )
        if goal.count is not None and up and count < goal.count:
            text += f" (asked for {goal.count}, only {count} were left)"
        return text

    def _heal(self, connection: Connection, names: Names, condition: route.Healable) -> str | None:
        """Undo an interrupted index statement; return its text if it had come to its end."""
        row = condition.row
        healing = heal.heal(connection, row)
        database.restore(connection, self.place.settings)
        if healing is heal.Healing.UNPROVABLE:
            raise _dirty(route.Dirty(row))
        connection.execute(
            sql.SQL(
                "UPDATE {} SET ended_at = pg_catalog.clock_timestamp(), outcome = 'interrupted',"
                " message = coalesce(message, 'its migrator was gone') WHERE id = %s AND ended_at IS NULL"
            ).format(names.history),
            [row.id],
        )
        done = healing is heal.Healing.COMPLETED
        self.reporter.warn(
            f"an index statement of revision {row.revision} was interrupted:"
            f" {'it had come to its end' if done else 'what it left was removed'}, and the revision runs again"
        )
        return row.statement if done else None

    def _step(
        self, runner: Runner, step: Step, *, skip: str | None, supersedes: int | None
    ) -> None:
        """Run a step, and again while it only lost a lock and there is time."""
        pause, tries = _FIRST_PAUSE, 0
        while True:
            started = time.monotonic()
            self.reporter.started(step)
            try:
                runner.run(
                    step,
                    fresh=tries > 0,
                    skip=skip,
                    supersedes=supersedes,
                    lock_wait=self._lock_wait,
                )
            except RevisionFailedError as error:
                if not error.retryable:
                    raise
                tries += 1
                self._waiting_for_locks = True
                wait = random.uniform(pause / 2, pause)  # noqa: S311 - spreads the tries, guards nothing
                if time.monotonic() + wait > self.deadline:
                    raise LockedError(
                        f"revision {step.revision} did not get its locks in {tries} tries ({error.sqlstate});"
                        " the database is clean",
                        sqlstate=error.sqlstate,
                        blocked_by=self._blocked_by,
                    ) from error
                self.reporter.waiting(
                    f"revision {step.revision} did not get a lock ({error.sqlstate}); try {tries + 1} in {wait:.1f}s"
                )
                time.sleep(wait)
                self._lock_wait += time.monotonic() - started
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                break
        self._waiting_for_locks = False
        self._applied.append(step.revision)
        self.reporter.ended(step, time.monotonic() - started)

    # -- resolving -------------------------------------------------------

    def _force(
        self, target: str, *, incident: str | None, reason: str | None, unchecked: bool
    ) -> tuple[Outcome, str]:
        connection, names = self._open()
        database.check_server(connection)
        self._lock(connection, names)
        state, _ = self._look(connection, names)
        position = self._forced_position(target, state.position, unchecked=unchecked)
        row = state.open
        if incident is not None and (row is None or row.incident != incident):
            open_incident = f"the open incident is {row.incident}" if row else "no incident is open"
            raise RefusedError(
                Refusal.INCIDENT_MISMATCH,
                f"--incident {incident} does not match: {open_incident}; nothing was changed",
            )
        history.create_tables(connection, names, state, self.place.author)
        with connection.transaction():
            connection.execute(history.write_position(names, position))
            if row is not None:
                connection.execute(
                    sql.SQL(
                        "UPDATE {} SET ended_at = pg_catalog.clock_timestamp(), outcome = 'forced'"
                        " WHERE id = %s AND ended_at IS NULL"
                    ).format(names.history),
                    [row.id],
                )
            history.record(
                connection, names, self.place.author, direction="force", revision=show_position(position),
                from_position=state.position, to_position=position, outcome="forced",
                incident=row.incident if row else None, reason=reason,
            )  # fmt: skip
        resolved = f"; incident {row.incident} is resolved" if row is not None else ""
        return Outcome.APPLIED, f"recorded {show_position(position)}, ran nothing{resolved}"

    def _forced_position(self, target: str, position: Position, *, unchecked: bool) -> Position:
        if target == "-1":
            target = "base"
        try:
            return self.tree.resolve(target, position)
        except RefusedError as error:
            if unchecked:
                return history.read_position(target)
            raise RefusedError(
                error.refusal, f"{error.message}; use --unchecked to record it all the same"
            ) from error

    # -- reporting -------------------------------------------------------

    def _result(self, outcome: Outcome, message: str) -> Result:
        """Return a result with the position read back over the working session."""
        if self.connection is None or self._names is None:
            raise AssertionError("a run that ended well has a session")
        return self._described(
            observe(self.connection, self._names), outcome=outcome, message=message
        )

    def _described(
        self,
        state: State | None,
        *,
        outcome: Outcome,
        message: str,
        error: MigratorError | None = None,
    ) -> Result:
        """Return a result, with what a state says where one was read."""
        dirty = incident = to = pending = None
        if state is not None:
            condition = route.assess(state, self.tree)
            to, dirty = show_position(state.position), isinstance(condition, route.Dirty)
            if isinstance(condition, route.Dirty):
                outcome, incident = Outcome.DIRTY, condition.row.incident
                if not isinstance(error, DirtyError):
                    message = f"{dirty_message(condition.row)}; the run itself ended: {message}"
        target = self._route.target if self._route is not None else None
        if self._route is not None:
            done = len(self._applied)
            pending = len(self._route.steps) - done + self._route.left
        if isinstance(error, DirtyError):
            dirty, incident = True, error.incident
        return Result(
            outcome=outcome,
            refusal=error.refusal
            if isinstance(error, RefusedError) and outcome is Outcome.REFUSED
            else None,
            from_=None if self._from is None else show_position(self._from),
            to=to,
            target=None if target is None else show_position(target),
            applied=tuple(self._applied),
            pending=pending,
            dirty=dirty,
            incident=incident,
            sqlstate=None if error is None else error.sqlstate,
            message=self.place.url.redact(message),
            lock_wait_seconds=self._lock_wait,
            blocked_by=error.blocked_by if isinstance(error, LockedError) else self._blocked_by,
            duration_seconds=time.monotonic() - self.started_at,
            server=self._server,
            migrator=self.place.author.migrator,
        )

    def _failed(self, error: MigratorError) -> Result:
        """Return the result of a known error; the position is read back where a session is left."""
        state: State | None = None
        if self.connection is not None and self._names is not None:
            try:
                if not self.connection.closed:
                    self.connection.rollback()
                    state = observe(self.connection, self._names)
            except psycopg.Error:
                # The error that ended the run is the news; the position is then unknown.
                state = None
        return self._described(state, outcome=error.outcome, message=error.message, error=error)

    def _after_stop(self, stopped: Stopped) -> Result:
        outcome, message = stopped.outcome, stopped.message
        error: MigratorError | None = None
        if outcome is Outcome.TIMEOUT and self._waiting_for_locks:
            outcome = Outcome.LOCKED
            message = f"{message} while it waited for a lock"
            error = LockedError(message, blocked_by=self._blocked_by)
        state = self._read_again(until=time.monotonic() + 1.0)
        return self._described(state, outcome=outcome, message=message, error=error)

    def _after_loss(self, code: str | None) -> Result:
        """Return what is true after the session was lost in mid-run."""
        state = self._read_again(until=time.monotonic() + _READ_BACK)
        reason = f" ({code})" if code else ""
        if state is None:
            error: MigratorError = UnreachableError(
                f"the connection was lost{reason} and the server can't be asked; what became of the run is unknown",
                sqlstate=code,
            )
        else:
            error = RevisionFailedError(
                f"the connection was lost{reason}; the database is at {show_position(state.position)}",
                sqlstate=code,
            )
        return self._described(state, outcome=error.outcome, message=error.message, error=error)

    def _read_again(self, *, until: float) -> State | None:
        """Return the state, over a new session where the old one is gone; None: not to be had in time."""
        if self._names is None:
            return None
        while True:
            try:
                if self.connection is not None and not self.connection.closed:
                    self.connection.rollback()
                    self.connection.autocommit = True
                    return self._settled(self.connection, until)
                with self.place.connect(timeout=max(until - time.monotonic(), 0.1)) as connection:
                    return self._settled(connection, until)
            except (psycopg.Error, UnreachableError):
                if self.connection is not None:
                    self.connection.close()
                if time.monotonic() + 0.2 > until:
                    return None
                time.sleep(0.2)

    def _settled(self, connection: Connection, until: float) -> State:
        """Return the state once our own lost session no longer looks alive."""
        if self._names is None:
            raise AssertionError("names are known before a state is read")
        state = observe(connection, self._names)
        while (
            state.open is not None
            and state.open.live
            and state.holder_pid != connection.info.backend_pid
        ):
            if time.monotonic() + 0.05 > until:
                break
            time.sleep(0.05)
            state = observe(connection, self._names)
        return state


def _dirty(condition: route.Dirty) -> DirtyError:
    return DirtyError(dirty_message(condition.row), incident=condition.row.incident)


def in_progress(condition: route.InProgress) -> str:
    """Return one line about a migration that is under way, or was interrupted and can't be told."""
    row = condition.row
    state = "in progress" if row.live else "in progress or interrupted"
    return f"revision {row.revision} ({row.direction}) is {state} since {row.started_at:%Y-%m-%d %H:%M:%S %Z} by {row.who}"
