"""What a run would do, with an id that a person can approve.

The id covers the position that the run starts from and the source of every
step, and not the rendered SQL: that can differ each time it is rendered.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from schema_migrator import route
from schema_migrator.errors import MigratorError, RefusedError
from schema_migrator.history import read_position, show_position
from schema_migrator.result import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from schema_migrator.history import Names, Position, State
    from schema_migrator.route import Goal
    from schema_migrator.tree import Step, Tree

_FORMAT: Final = 1
"""Of the id; another one when what the id covers changes."""

NONE_APPROVED: Final = "none"
"""In place of an id: nothing was approved, so a run with something to do is refused with its plan."""


def _checksum(step: Step) -> str:
    return step.checksum


def identify(
    names: Names,
    tree: Tree,
    start: Position,
    steps: Sequence[Step],
    checksum: Callable[[Step], str] = _checksum,
) -> str:
    """Return the id of a plan: ``sha256:`` and 64 hexadecimal digits.

    Args:
        names: where the bookkeeping is.
        tree: the tree; what of its settings changes what its revisions send counts too.
        start: the position that the plan starts from.
        steps: its steps, in the order of execution.
        checksum: gives the checksum of a step's source.
    """
    content = [
        _FORMAT,
        f"{names.schema}.{names.version_table}",
        list(start),
        steps[0].direction if steps else "",
        [[step.revision, checksum(step)] for step in steps],
        tree.context,
    ]
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Move:
    """An applied step, as the history has it."""

    revision: str
    direction: str
    before: Position
    after: Position
    checksum: str | None


def approved(
    connection: psycopg.Connection[Any],
    names: Names,
    tree: Tree,
    state: State,
    *,
    goal: Goal,
    plan_id: str,
) -> tuple[Step, ...]:
    """Return the steps of an approved plan that are left to do.

    That is all of them where the database is at the plan's start. It is the
    rest of them where the plan's own steps led to where it is now, as when a
    later one failed: the approval still holds then.

    Args:
        connection: the working session, which holds the migrator's lock.
        names: where the bookkeeping is.
        tree: the tree.
        state: what the database says.
        goal: what the plan was made for.
        plan_id: the plan that was approved.

    Raises:
        RefusedError: the run would be another one.
    """
    from schema_migrator import rendering

    steps = route.find(tree, state.position, goal).steps
    present = identify(names, tree, state.position, steps)
    if present == plan_id:
        return steps
    if state.has_history and plan_id != NONE_APPROVED:
        done = list(_moves_back(connection, names, state.position))[::-1]
        rest = _rest(names, tree, goal, done, plan_id)
        if rest is not None:
            return rest
    refused = (
        "no plan is approved"
        if plan_id == NONE_APPROVED
        else f"the plan that was approved is not what this run would do from {show_position(state.position)}"
    )
    raise RefusedError(
        Refusal.PLAN_OUTDATED,
        f"{refused}; look at the present one (migrate plan), whose id is {present}",
        plan=rendering.propose(present, (rendering.render(tree, step) for step in steps)),
    )


def _moves_back(
    connection: psycopg.Connection[Any], names: Names, position: Position
) -> Iterator[_Move]:
    """Yield the steps that led to a position, the last one first, while each leads to the next."""
    rows = connection.execute(
        sql.SQL(
            "SELECT revision, direction, from_position, to_position, checksum FROM {}"
            " WHERE ended_at IS NOT NULL AND to_position IS NOT NULL ORDER BY id DESC"
        ).format(names.history)
    )
    direction: str | None = None
    for row in rows:
        move = _Move(row[0], row[1], read_position(row[2]), read_position(row[3]), row[4])
        if move.after != position or move.direction not in ("up", "down"):
            return
        if direction not in (None, move.direction):
            return
        direction, position = move.direction, move.before
        yield move


def _rest(
    names: Names, tree: Tree, goal: Goal, done: list[_Move], plan_id: str
) -> tuple[Step, ...] | None:
    """Return what is left of the plan that began with some of the last moves; None if there is none."""
    if not done:
        return None
    count = int(goal.target[1:]) if goal.target[:1] in ("+", "-") else goal.count
    whole = dataclasses.replace(goal, count=None)
    if count is not None:
        up = done[0].direction == "up"
        way, target = (route.Way.UP, "heads") if up else (route.Way.DOWN, "base")
        whole = dataclasses.replace(whole, way=way, target=target)
    try:
        steps = route.find(tree, done[0].before, whole).steps
    except MigratorError:
        return None
    checksum = functools.cache(_checksum)
    for first, move in enumerate(done):
        taken = steps[first:] if count is None else steps[first : first + count]
        begun = [(one.revision, one.direction, one.checksum) for one in done[first:]]
        same = [(one.revision, one.direction, checksum(one)) for one in taken[: len(begun)]]
        if same == begun and identify(names, tree, move.before, taken, checksum) == plan_id:
            return taken[len(begun) :]
    return None
