"""The way from where a database is to where it shall be: decided, not walked.

Pure: a loaded tree, what the database said, and a goal go in; steps come out.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

from schema_migrator import heal, sql_file
from schema_migrator.errors import RefusedError
from schema_migrator.history import show_position
from schema_migrator.result import Refusal

if TYPE_CHECKING:
    from schema_migrator.history import OpenRow, Position, State
    from schema_migrator.tree import Step, Tree


class Way(enum.Enum):
    """Which directions a goal allows."""

    UP = enum.auto()
    DOWN = enum.auto()
    EITHER = enum.auto()
    """Up always; down where the goal allows a downgrade."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Where a run shall end.

    Attributes:
        target: ``head``, ``heads``, ``base``, a revision id or a relative step.
        way: which directions are meant.
        count: with `Way.UP` or `Way.DOWN`, how many steps at the most.
        allow_downgrade: with `Way.EITHER`, whether going down is allowed.
        accept_ahead: whether a database ahead of the tree is a success.
        plan_id: the only plan that may be carried out; None for any.
        strict: whether a revision that was edited after it was applied stops the run.
        baseline: what to record first for a database that has a schema and no position.
        resolve: the incident to resolve first, should it be open, and the revision that
            the database is at then.
    """

    target: str
    way: Way = Way.EITHER
    count: int | None = None
    allow_downgrade: bool = False
    accept_ahead: bool = False
    plan_id: str | None = None
    strict: bool = False
    baseline: str | None = None
    resolve: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The steps to a goal.

    Attributes:
        steps: in the order of execution; none when there is nothing to do.
        target: what the goal means in this tree.
        left: how many steps remain to the target after these.
        ahead: ids of the position that the tree does not have; then there are no steps.
    """

    steps: tuple[Step, ...]
    target: Position
    left: int = 0
    ahead: Position = ()


def find(tree: Tree, position: Position, goal: Goal) -> Route:
    """Return the steps from a position to a goal.

    Raises:
        RefusedError: the goal is unknown, would need a downgrade that is not
            allowed or not there, or the database is ahead of the tree.
    """
    if ahead := tree.unknown(position):
        if goal.accept_ahead:
            return Route(steps=(), target=position, ahead=ahead)
        raise RefusedError(
            Refusal.DATABASE_AHEAD,
            f"the database is ahead: it is at {show_position(position)}, and the tree ends at"
            f" {', '.join(tree.heads)}; use a newer image, or --on-database-ahead accept",
        )
    if goal.way is Way.DOWN:
        return _down(tree, position, goal)
    target = tree.resolve(goal.target, position)
    applied = tree.applied(position)
    if goal.way is Way.EITHER and target != position and set(target) <= applied:
        return _either_down(tree, position, goal, target)
    steps = tree.steps_up(target, position) if target else ()
    taken = steps if goal.count is None else steps[: goal.count]
    return Route(steps=taken, target=target, left=len(steps) - len(taken))


def _down(tree: Tree, position: Position, goal: Goal) -> Route:
    steps = tree.steps_down((), position)
    if goal.count is None:
        return Route(steps=steps, target=())
    if goal.count > len(steps):
        raise RefusedError(
            Refusal.TOO_FEW_APPLIED,
            f"only {len(steps)} revisions are applied, so {goal.count} can't be reverted; nothing was done",
        )
    taken = steps[: goal.count]
    return Route(steps=taken, target=taken[-1].after if taken else position)


def _either_down(tree: Tree, position: Position, goal: Goal, target: Position) -> Route:
    if not goal.allow_downgrade:
        raise RefusedError(
            Refusal.DOWNGRADE_NOT_ALLOWED,
            f"{show_position(target)} is behind {show_position(position)}, and going down was not allowed;"
            " allow it by --allow-downgrade",
        )
    return Route(steps=tree.steps_down(target, position), target=target)


@dataclasses.dataclass(frozen=True, slots=True)
class Clean:
    """No row is without an end."""


@dataclasses.dataclass(frozen=True, slots=True)
class InProgress:
    """A live migrator is in the middle of a revision."""

    row: OpenRow


@dataclasses.dataclass(frozen=True, slots=True)
class Healable:
    """An index statement was interrupted; what it left can be proved and undone."""

    row: OpenRow


@dataclasses.dataclass(frozen=True, slots=True)
class Resumable:
    """A revision was interrupted that says it can run again from its start."""

    row: OpenRow


@dataclasses.dataclass(frozen=True, slots=True)
class Dirty:
    """A revision committed a part and was interrupted: a person must look."""

    row: OpenRow


Condition = Clean | InProgress | Healable | Resumable | Dirty


def assess(state: State, tree: Tree | None) -> Condition:
    """Return what a state says of the database.

    The state's open row, where there is one, was read again after its writer's
    lock was seen free (see `observation.observe`).

    Args:
        state: the bookkeeping.
        tree: for revisions that can be resumed; without one they count as dirty.
    """
    row = state.open
    if row is None:
        return Clean()
    if row.live or state.in_recovery:
        # A replica does not show the primary's locks, so nothing is called dirty there.
        return InProgress(row)
    if heal.concerns(row):
        return Healable(row)
    if (
        tree is not None
        and row.sqlstate is None
        and show_position(state.position) == row.from_position
    ):
        steps = _next_steps(tree, state.position, up=row.direction == "up")
        if any(step.revision == row.revision and _says_resumable(step) for step in steps):
            return Resumable(row)
    return Dirty(row)


def _next_steps(tree: Tree, position: Position, *, up: bool) -> tuple[Step, ...]:
    if tree.unknown(position):
        return ()
    return tree.steps_up(tree.heads, position) if up else tree.steps_down((), position)


def _says_resumable(step: Step) -> bool:
    """Ask an SQL file now: a line of a thousand files is not read for one of them."""
    return sql_file.read(step.path).resumable if step.is_sql else step.resumable
