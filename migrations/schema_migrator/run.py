"""One run: look, decide, take the lock, look again, and move step by step.

The only module that knows all of observing, deciding and acting. It returns a
`Result` for every way that a run can end; nothing is printed here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from schema_migrator import database, heal, history, plan, pooler, precaution, preparation, route
from schema_migrator.conclusion import Progress, conclude
from schema_migrator.errors import (
    DirtyError,
    LockedError,
    MigratorError,
    RevisionFailedError,
    Stopped,
    UnreachableError,
)
from schema_migrator.history import show_position
from schema_migrator.place import observe, read_again
from schema_migrator.result import Outcome, Result
from schema_migrator.step import ConnectionLostError, dirty_message
from schema_migrator.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_migrator.database import Holder
    from schema_migrator.history import Names, State
    from schema_migrator.place import Place
    from schema_migrator.reporter import Reporter
    from schema_migrator.route import Condition, Goal, Route
    from schema_migrator.session import Connection
    from schema_migrator.tree import Tree

_AFTER_LOSS, _AFTER_STOP = 5.0, 1.0
"""Seconds to read the database again after the session was lost, and after a signal."""


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
        self.progress = Progress()
        self._walk: Walk | None = None

    def move(self, goal: Goal) -> Result:
        """Move the database to a goal and return how that ended; raises nothing it knows."""
        return self.reported(lambda: self._prepared(goal))

    def reported(self, work: Callable[[], tuple[Outcome, str]]) -> Result:
        """Do a piece of work and return how it ended; raises nothing that it knows."""
        try:
            outcome, message = work()
            return self._concluded(self._read_back(_AFTER_LOSS), outcome=outcome, message=message)
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
            if self._walk is not None:
                self._walk.close()
            if self.connection is not None:
                self.connection.close()

    def _failed(self, error: MigratorError) -> Result:
        state = self._read_back(_AFTER_LOSS)
        return self._concluded(state, outcome=error.outcome, message=error.message, error=error)

    def _unexpected(self, error: psycopg.Error) -> MigratorError:
        """Return our words for an error in the engine's own statements."""
        text = error.diag.message_primary or type(error).__name__
        return RevisionFailedError(
            self.place.url.redact(f"the bookkeeping failed: {text} ({error.sqlstate})"),
            sqlstate=error.sqlstate,
        )

    # -- looking ---------------------------------------------------------

    def open(self) -> tuple[Connection, Names]:
        """Connect, and find out where the bookkeeping is."""
        connection = self.connection = self.place.connect()
        self.progress.server = database.show_version(connection)
        self._names = names = self.place.names(connection)
        return connection, names

    def look(self, connection: Connection, names: Names) -> tuple[State, Condition]:
        """Return what the database says, and what follows from it."""
        state = observe(connection, names)
        if self.progress.from_ is None:
            self.progress.from_ = state.position
        return state, route.assess(state, self.tree)

    # -- moving ----------------------------------------------------------

    def _prepared(self, goal: Goal) -> tuple[Outcome, str]:
        connection, names = self.open()
        notes = preparation.prepare(self, connection, names, goal)
        for note in notes:
            self.reporter.warn(note)
        outcome, message = self._move(connection, names, goal)
        return outcome, "; ".join((*notes, message))

    def _move(self, connection: Connection, names: Names, goal: Goal) -> tuple[Outcome, str]:
        state, condition = self.look(connection, names)
        if isinstance(condition, route.Dirty):
            raise _dirty(condition)
        precaution.refuse_lost_position(state)
        self.progress.route = found = route.find(self.tree, state.position, goal)
        if found.ahead:
            return (
                Outcome.AHEAD_ACCEPTED,
                f"the database is ahead at {show_position(state.position)}, as accepted",
            )
        if found.steps and found.steps[0].up:
            precaution.refuse_unadopted(connection, state)
        if not found.steps and isinstance(condition, route.Clean | route.InProgress):
            self._look_for_edits(connection, names, state, goal)
            return Outcome.UP_TO_DATE, self._nothing_to_do(state, condition, goal)
        database.check_server(connection)
        if warning := pooler.check(pooler.find_mode(connection, self.place.connect)):
            self.reporter.warn(warning)
        self.lock(connection, names)
        return self._move_locked(connection, names, goal)

    def _nothing_to_do(self, state: State, condition: Condition, goal: Goal) -> str:
        text = f"nothing to do: the database is at {show_position(state.position)}"
        if isinstance(condition, route.InProgress):
            text += f"; {in_progress(condition)}"
        if goal.way is route.Way.DOWN and not state.position:
            text = "nothing to do: no revision is applied"
        return text

    def _look_for_edits(
        self, connection: Connection, names: Names, state: State, goal: Goal
    ) -> None:
        precaution.look_for_edits(
            connection, names, self.tree, state, strict=goal.strict, warn=self.reporter.warn
        )

    def lock(self, connection: Connection, names: Names) -> None:
        """Take the migrator's lock for this session."""

        def on_wait(holder: Holder | None) -> None:
            if holder is not None and holder.description != self.progress.blocked_by:
                self.progress.blocked_by = holder.description
                self.reporter.waiting(f"waiting for another migrator: {holder.description}")

        self.progress.waiting_for_locks = True
        self.progress.lock_wait += database.acquire_lock(
            connection, names, deadline=self.deadline, on_wait=on_wait
        )
        self.progress.waiting_for_locks = False

    def create_tables(self, connection: Connection, names: Names, state: State) -> None:
        """Make what is missing of the bookkeeping's tables, wide enough for the tree's ids."""
        longest = self.tree.longest_id
        precaution.refuse_narrow(connection, names, state, longest)
        history.create_tables(connection, names, state, self.place.author, width=longest)

    def _move_locked(self, connection: Connection, names: Names, goal: Goal) -> tuple[Outcome, str]:
        state, condition = self.look(connection, names)
        self.create_tables(connection, names, state)
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
        precaution.refuse_lost_position(state)
        found = route.find(self.tree, state.position, goal)
        if goal.plan_id is not None:
            steps = plan.approved(
                connection, names, self.tree, state, goal=goal, plan_id=goal.plan_id
            )
            found = dataclasses.replace(found, steps=steps, left=0)
        self.progress.route = found
        self._look_for_edits(connection, names, state, goal)
        interrupted = (
            condition.row.revision
            if isinstance(condition, route.Healable | route.Resumable)
            else None
        )
        if interrupted is not None and found.steps and found.steps[0].revision != interrupted:
            skip = supersedes = None
        if not found.steps:
            return (
                Outcome.UP_TO_DATE,
                f"nothing to do: the database is at {show_position(state.position)}",
            )
        for warning in filter(None, (self.tree.warning, self.place.url.warning)):
            self.reporter.warn(warning)
        self._walk = Walk(self, connection, names)
        self._walk.take(found.steps, skip=skip, supersedes=supersedes)
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
        database.restore(connection)
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

    # -- reporting -------------------------------------------------------

    def _read_back(self, seconds: float) -> State | None:
        """Return what the database says now, None where it can't be read in that many seconds."""
        if self._names is None:
            return None
        return read_again(
            self.place, self._names, self.connection, until=time.monotonic() + seconds
        )

    def _concluded(
        self,
        state: State | None,
        *,
        outcome: Outcome,
        message: str,
        error: MigratorError | None = None,
    ) -> Result:
        result = conclude(
            self.progress,
            self.tree,
            state,
            outcome=outcome,
            message=self.place.url.redact(message),
            error=error,
        )
        return dataclasses.replace(
            result,
            duration_seconds=time.monotonic() - self.started_at,
            migrator=self.place.author.migrator,
        )

    def _after_stop(self, stopped: Stopped) -> Result:
        outcome, message = stopped.outcome, stopped.message
        error: MigratorError | None = None
        if outcome is Outcome.TIMEOUT and self.progress.waiting_for_locks:
            outcome = Outcome.LOCKED
            message = f"{message} while it waited for {self.progress.blocked_by or 'a lock'}"
            error = LockedError(message, blocked_by=self.progress.blocked_by)
        state = self._read_back(_AFTER_STOP)
        if state is not None and not stopped.recorded:
            self._record_stop(state, message)
        return self._concluded(state, outcome=outcome, message=message, error=error)

    def _record_stop(self, state: State, message: str) -> None:
        """Write down that a step was stopped, where the session that ran it is gone.

        The row is a courtesy to the reader of the history: without it nothing is
        untrue, so it is tried once.
        """
        names = self._names
        step = None if self._walk is None else self._walk.begun
        if step is None or names is None or state.open is not None or state.position != step.before:
            return
        with (
            contextlib.suppress(psycopg.Error, UnreachableError),
            self.place.connect(timeout=_AFTER_STOP) as connection,
        ):
            history.record(
                connection,
                names,
                self.place.author,
                direction=step.direction,
                revision=step.revision,
                from_position=step.before,
                to_position=None,
                outcome="interrupted",
                checksum=step.checksum,
                message=message,
            )

    def _after_loss(self, code: str | None) -> Result:
        """Return what is true after the session was lost in mid-run."""
        state = self._read_back(_AFTER_LOSS)
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
        return self._concluded(state, outcome=error.outcome, message=error.message, error=error)


def _dirty(condition: route.Dirty) -> DirtyError:
    return DirtyError(dirty_message(condition.row), incident=condition.row.incident)


def in_progress(condition: route.InProgress) -> str:
    """Return one line about a migration that is under way, or was interrupted and can't be told."""
    row = condition.row
    state = "in progress" if row.live else "in progress or interrupted"
    return f"revision {row.revision} ({row.direction}) is {state} since {row.started_at:%Y-%m-%d %H:%M:%S %Z} by {row.who}"
