"""Reading commands: where a database is. They create nothing and take no lock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from schema_migrator import database, route
from schema_migrator.history import show_position
from schema_migrator.place import observe
from schema_migrator.result import Outcome, Refusal, Result
from schema_migrator.run import in_progress
from schema_migrator.step import dirty_message

if TYPE_CHECKING:
    from schema_migrator.place import Place
    from schema_migrator.tree import Tree


def version(place: Place, tree: Tree | None, *, check: bool) -> Result:
    """Return where the database is.

    Args:
        place: the database.
        tree: to compare with; None: the position alone.
        check: report anything but a clean database at head as a failure.

    Raises:
        MigratorError: the database can't be read.
    """
    started = time.monotonic()
    with place.connect() as connection:
        state = observe(connection, place.names(connection))
        server = database.show_version(connection)
    condition = route.assess(state, tree)
    outcome, refusal, message = (
        Outcome.UP_TO_DATE,
        None,
        f"the database is at {show_position(state.position)}",
    )
    pending: int | None = None
    if tree is not None and not tree.unknown(state.position):
        pending = len(tree.steps_up(tree.heads, state.position))
    incident = None
    if isinstance(condition, route.Dirty):
        message, incident = dirty_message(condition.row), condition.row.incident
    elif isinstance(condition, route.InProgress):
        message = f"{message}; {in_progress(condition)}"
    if check and tree is not None:
        if isinstance(condition, route.Dirty):
            outcome = Outcome.DIRTY
        elif state.position != tree.heads:
            outcome, refusal = Outcome.REFUSED, Refusal.NOT_AT_HEAD
            message = f"the database is at {show_position(state.position)}, not at head ({show_position(tree.heads)})"
    return Result(
        outcome=outcome,
        refusal=refusal,
        to=show_position(state.position),
        target=None if tree is None else show_position(tree.heads),
        pending=pending,
        dirty=isinstance(condition, route.Dirty),
        incident=incident,
        message=message,
        duration_seconds=time.monotonic() - started,
        server=server,
        migrator=place.author.migrator,
    )
