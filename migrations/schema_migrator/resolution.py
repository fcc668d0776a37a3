"""Recording where a database is, by a person's word: ``force``. Runs no revision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from psycopg import sql

from schema_migrator import database, history
from schema_migrator.errors import RefusedError
from schema_migrator.history import show_position
from schema_migrator.result import Outcome, Refusal

if TYPE_CHECKING:
    from schema_migrator.history import Names, Position, State
    from schema_migrator.result import Result
    from schema_migrator.run import Run
    from schema_migrator.session import Connection


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a person says of a database.

    Attributes:
        target: a revision id, ``base`` (or ``-1``), ``head`` or ``heads``.
        incident: the incident that is meant; None for whatever is open.
        reason: kept in the history.
        unchecked: accept an id that the tree does not have.
    """

    target: str
    incident: str | None = None
    reason: str | None = None
    unchecked: bool = False


def force(run: Run, resolution: Resolution) -> Result:
    """Record a position, resolve a dirty database, and return how that ended."""
    return run.reported(lambda: _force(run, resolution))


def _force(run: Run, resolution: Resolution) -> tuple[Outcome, str]:
    connection, names = run.open()
    database.check_server(connection)
    run.lock(connection, names)
    state, _ = run.look(connection, names)
    return Outcome.APPLIED, record(run, connection, names, state, resolution)


def record(
    run: Run, connection: Connection, names: Names, state: State, resolution: Resolution
) -> str:
    """Record a position, resolve what is open, and return what was done, in a sentence.

    Args:
        run: the run; it holds the lock.
        connection: its session.
        names: where the bookkeeping is.
        state: what it saw under the lock.
        resolution: what a person says.

    Raises:
        RefusedError: the tree has no such revision, or another incident is open.
    """
    position = _position(run, resolution, state.position)
    row = state.open
    if resolution.incident is not None and (row is None or row.incident != resolution.incident):
        open_incident = f"the open incident is {row.incident}" if row else "no incident is open"
        raise RefusedError(
            Refusal.INCIDENT_MISMATCH,
            f"--incident {resolution.incident} does not match: {open_incident}; nothing was changed",
        )
    author = run.place.author
    run.create_tables(connection, names, state)
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
            connection,
            names,
            author,
            direction="force",
            revision=show_position(position),
            from_position=state.position,
            to_position=position,
            outcome="forced",
            incident=row.incident if row else None,
            reason=resolution.reason,
        )
    resolved = f"; incident {row.incident} is resolved" if row is not None else ""
    return f"recorded {show_position(position)}, ran nothing{resolved}"


def _position(run: Run, resolution: Resolution, position: Position) -> Position:
    target = "base" if resolution.target == "-1" else resolution.target
    try:
        return run.tree.resolve(target, position)
    except RefusedError as error:
        if resolution.unchecked:
            return history.read_position(target)
        raise RefusedError(
            error.refusal, f"{error.message}; use --unchecked to record it all the same"
        ) from error
