"""What a run may record before it moves: an incident that a person resolved, a baseline.

Both are words of a person that can stay where they were written, in a file
under version control for example: each acts once, where it fits, and is reported
as without effect everywhere else. No revision runs here.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from schema_migrator import baseline, database, resolution
from schema_migrator.history import show_position

if TYPE_CHECKING:
    from schema_migrator.history import Names, State
    from schema_migrator.route import Goal
    from schema_migrator.run import Run
    from schema_migrator.session import Connection


def prepare(run: Run, connection: Connection, names: Names, goal: Goal) -> tuple[str, ...]:
    """Record what a goal says is to be recorded, and return what was done or left, in sentences.

    Args:
        run: the run; it takes the lock where something is recorded.
        connection: its session.
        names: where the bookkeeping is.
        goal: the goal.

    Raises:
        MigratorError: it can't be recorded.
    """
    notes = []
    if goal.resolve is not None:
        notes.append(_resolve(run, connection, names, *goal.resolve))
    if goal.baseline is not None:
        notes.append(_record_baseline(run, connection, names, goal.baseline))
    return tuple(note for note in notes if note)


def assumed(
    run: Run, connection: Connection, names: Names, goal: Goal, state: State
) -> tuple[State, str]:
    """Return the state that `prepare` would leave of a baseline, for a look ahead that records nothing."""
    if goal.baseline is None or not _is_without_position(state):
        return state, ""
    if _is_empty(connection, names):
        return state, _NOTHING_THERE.format(goal.baseline)
    position = run.tree.resolve(goal.baseline, ())
    note = f"the run records {show_position(position)} as the baseline first"
    return dataclasses.replace(state, position=position), note


def _resolve(run: Run, connection: Connection, names: Names, incident: str, revision: str) -> str:
    state, _ = run.look(connection, names)
    if state.open is not None and state.open.incident == incident:
        database.check_server(connection)
        run.lock(connection, names)
        state, _ = run.look(connection, names)
    if state.open is None or state.open.incident != incident:
        return f"incident {incident} is not open, so it was not resolved again"
    decided = resolution.Resolution(
        target=revision, incident=incident, reason="resolved by the run's own options"
    )
    return resolution.record(run, connection, names, state, decided)


def _record_baseline(run: Run, connection: Connection, names: Names, revision: str) -> str:
    state, _ = run.look(connection, names)
    if not _is_without_position(state):
        return ""
    if _is_empty(connection, names):
        return _NOTHING_THERE.format(revision)
    return baseline.record(
        run,
        connection,
        names,
        run.tree.resolve(revision, ()),
        direction="baseline",
        reason="the run's option --baseline",
    )[1]


_NOTHING_THERE = "the database is empty, so {} is not recorded as its baseline"


def _is_without_position(state: State) -> bool:
    """Tell whether no migrator has ever ended a step here."""
    return not state.position and state.last_position is None and state.open is None


def _is_empty(connection: Connection, names: Names) -> bool:
    """Tell whether there is no table or view but the bookkeeping's, the system's and extensions'."""
    row = connection.execute(
        "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema$)'"
        " AND NOT (n.nspname = %s AND c.relname IN (%s, %s))"
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
        " WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))",
        [names.schema, names.version_table, names.history_table],
    ).fetchone()
    return row is not None and bool(row[0])
