"""A position that is recorded for a database that has its schema already: ``baseline``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_migrator import database, history, precaution, route
from schema_migrator.errors import DirtyError, RefusedError
from schema_migrator.history import show_position
from schema_migrator.result import Outcome, Refusal
from schema_migrator.step import dirty_message

if TYPE_CHECKING:
    from schema_migrator.history import Names, Position
    from schema_migrator.result import Result
    from schema_migrator.run import Run
    from schema_migrator.session import Connection


def baseline(run: Run, target: str, *, reason: str | None) -> Result:
    """Record a position, run nothing, and return how that ended.

    Args:
        run: on the database, along the tree.
        target: a revision id, ``head`` or ``heads``.
        reason: kept in the history.
    """
    return run.reported(lambda: _baseline(run, target, reason))


def _baseline(run: Run, target: str, reason: str | None) -> tuple[Outcome, str]:
    connection, names = run.open()
    return record(
        run, connection, names, run.tree.resolve(target, ()), direction="baseline", reason=reason
    )


def record(
    run: Run,
    connection: Connection,
    names: Names,
    position: Position,
    *,
    direction: str,
    reason: str | None,
) -> tuple[Outcome, str]:
    """Record a position where there is none yet.

    Args:
        run: the run.
        connection: its session.
        names: where the bookkeeping is.
        position: what is recorded.
        direction: what the history calls it.
        reason: kept in the history.

    Raises:
        DirtyError: the database is dirty.
        RefusedError: there is a position already, and another one.
    """
    database.check_server(connection)
    run.lock(connection, names)
    state, condition = run.look(connection, names)
    if isinstance(condition, route.Dirty):
        raise DirtyError(dirty_message(condition.row), incident=condition.row.incident)
    if state.position == position:
        return Outcome.UP_TO_DATE, f"nothing to do: the database is at {show_position(position)}"
    if state.position:
        raise RefusedError(
            Refusal.ALREADY_POSITIONED,
            f"the database is at {show_position(state.position)} already; to record another position use migrate force",
        )
    precaution.refuse_lost_position(state)
    author = run.place.author
    run.create_tables(connection, names, state)
    with connection.transaction():
        connection.execute(history.write_position(names, position))
        history.record(
            connection,
            names,
            author,
            direction=direction,
            revision=show_position(position),
            from_position=state.position,
            to_position=position,
            outcome="recorded",
            reason=reason,
        )
    return Outcome.APPLIED, f"recorded {show_position(position)}, ran nothing"
