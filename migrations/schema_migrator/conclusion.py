"""The result of a run, from what it did and what the database says. Pure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from schema_migrator import route
from schema_migrator.errors import DirtyError, LockedError, MigratorError, RefusedError
from schema_migrator.history import show_position
from schema_migrator.result import Outcome, Result
from schema_migrator.step import dirty_message

if TYPE_CHECKING:
    from schema_migrator.history import Position, State
    from schema_migrator.route import Route
    from schema_migrator.tree import Tree


@dataclasses.dataclass(slots=True)
class Progress:
    """What a run has done so far.

    Attributes:
        from_: the position at the first look.
        route: the way that was decided last.
        applied: the revisions that were moved.
        lock_wait: seconds spent waiting for locks.
        blocked_by: who was waited for last.
        waiting_for_locks: whether it waits for a lock now.
        server: the server's version.
    """

    from_: Position | None = None
    route: Route | None = None
    applied: list[str] = dataclasses.field(default_factory=list)
    lock_wait: float = 0.0
    blocked_by: str | None = None
    waiting_for_locks: bool = False
    server: str | None = None


def conclude(
    progress: Progress,
    tree: Tree,
    state: State | None,
    *,
    outcome: Outcome,
    message: str,
    error: MigratorError | None = None,
) -> Result:
    """Return the result of a run, without its duration.

    Dirty wins over every other outcome.

    Args:
        progress: what the run did.
        tree: for revisions that can be resumed.
        state: what was read back; None: unknown.
        outcome: how the run ended, should the database be clean.
        message: one line for a person.
        error: what ended it, if anything did.
    """
    to = dirty = incident = None
    if state is not None:
        condition = route.assess(state, tree)
        to, dirty = show_position(state.position), isinstance(condition, route.Dirty)
        if isinstance(condition, route.Dirty):
            outcome, incident = Outcome.DIRTY, condition.row.incident
            if not isinstance(error, DirtyError):
                message = f"{dirty_message(condition.row)}; the run itself ended: {message}"
    if isinstance(error, DirtyError):
        dirty, incident = True, error.incident
    found = progress.route
    refused = error if isinstance(error, RefusedError) and outcome is Outcome.REFUSED else None
    return Result(
        outcome=outcome,
        refusal=None if refused is None else refused.refusal,
        plan=None if refused is None else refused.plan,
        from_=None if progress.from_ is None else show_position(progress.from_),
        to=to,
        target=None if found is None else show_position(found.target),
        applied=tuple(progress.applied),
        pending=None if found is None else len(found.steps) - len(progress.applied) + found.left,
        dirty=dirty,
        incident=incident,
        sqlstate=None if error is None else error.sqlstate,
        message=message,
        lock_wait_seconds=progress.lock_wait,
        blocked_by=error.blocked_by if isinstance(error, LockedError) else progress.blocked_by,
        server=progress.server,
    )
