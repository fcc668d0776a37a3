"""What a run would do, shown before it does it: ``plan``. Changes nothing, takes no lock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from schema_migrator import database, precaution, preparation, rendering, route
from schema_migrator import plan as plans
from schema_migrator.answer import Answer
from schema_migrator.errors import DirtyError
from schema_migrator.history import show_position
from schema_migrator.place import observe
from schema_migrator.rendering import Faith
from schema_migrator.result import VERSION, Outcome, Result
from schema_migrator.step import dirty_message

if TYPE_CHECKING:
    from schema_migrator.history import State
    from schema_migrator.rendering import Rendering
    from schema_migrator.route import Goal, Route
    from schema_migrator.run import Run


def preview(run: Run, goal: Goal) -> Answer:
    """Return what a run to a goal would do.

    Args:
        run: along the tree; it is not started.
        goal: the goal.

    Raises:
        MigratorError: the database can't be read or is dirty, or the way is refused.
    """
    place, tree = run.place, run.tree
    started = time.monotonic()
    with place.connect() as connection:
        names = place.names(connection)
        state = observe(connection, names)
        server = database.show_version(connection)
        condition = route.assess(state, tree)
        if isinstance(condition, route.Dirty):
            raise DirtyError(dirty_message(condition.row), incident=condition.row.incident)
        precaution.refuse_lost_position(state)
        recorded = state.position
        state, note = preparation.assumed(run, connection, names, goal, state)
        found = route.find(tree, state.position, goal)
        if found.steps and found.steps[0].up:
            precaution.refuse_unadopted(connection, state)
    shown = [rendering.render(tree, step) for step in found.steps]
    plan = None
    if shown or recorded != state.position:
        plan_id = plans.identify(names, tree, state.position, found.steps)
        plan = rendering.propose(plan_id, shown)
    outcome, message = _found(state, found)
    if plan is not None:
        outcome = Outcome.PLANNED
    position = show_position(recorded)
    report = Result(
        outcome=outcome,
        from_=position,
        to=position,
        target=show_position(found.target),
        pending=len(shown),
        dirty=False,
        message=f"{message}; {note}" if note else message,
        duration_seconds=time.monotonic() - started,
        plan=plan,
        server=server,
        migrator=place.author.migrator,
    )
    return Answer(
        result=report,
        text=_text(report, shown),
        document=_document(report, shown),
    )


def _found(state: State, found: Route) -> tuple[Outcome, str]:
    """Return what a route comes to, as an outcome and in a sentence."""
    position = show_position(state.position)
    if found.ahead:
        return Outcome.AHEAD_ACCEPTED, f"the database is ahead at {position}, as accepted"
    if not found.steps:
        return Outcome.UP_TO_DATE, f"nothing to do: the database is at {position}"
    direction = "applies" if found.steps[0].up else "reverts"
    count = f"{len(found.steps)} revision{'s' if len(found.steps) != 1 else ''}"
    words = f"the plan {direction} {count}, from {position} to {show_position(found.target)}"
    return Outcome.PLANNED, words


def _text(report: Result, shown: list[Rendering]) -> str:
    """Return the plan as SQL, with what else there is to know in comments."""
    if report.plan is None:
        return f"-- {report.message}"
    lines = [f"-- {report.message}", f"-- {report.plan.id}"]
    for one in shown:
        step = one.step
        lines += ["", f"-- {step.revision} {step.direction}: {step.title} ({_faith(one)})"]
        if one.in_transaction is False:
            lines.append("-- outside a transaction: interrupted, it may leave the database dirty")
        lines += [f"-- locks: {lock}" for lock in one.locks]
        lines += [f"-- removes: {what}" for what in one.removes]
        if one.faith is not Faith.AT_RUN_TIME and not one.is_known:
            lines.append("-- what some of it locks or removes can't be told from its text")
        if one.text:
            lines.append(one.text)
    return "\n".join(lines)


def _faith(one: Rendering) -> str:
    return f"{one.faith}: {one.reason}" if one.reason else str(one.faith)


def _document(report: Result, shown: list[Rendering]) -> dict[str, Any]:
    plan = report.plan
    return {
        "v": VERSION,
        "outcome": str(report.outcome),
        "from": report.from_,
        "target": report.target,
        "plan": None
        if plan is None
        else {
            "id": plan.id,
            "revisions": list(plan.revisions),
            "destructive": list(plan.destructive),
        },
        "steps": [
            {
                "revision": one.step.revision,
                "direction": one.step.direction,
                "title": one.step.title,
                "checksum": one.step.checksum,
                "faith": str(one.faith),
                "reason": one.reason or None,
                "sql": one.text if one.faith is not Faith.AT_RUN_TIME else None,
                "digest": one.digest if one.faith is not Faith.AT_RUN_TIME else None,
                "inTransaction": one.in_transaction,
                "locks": list(one.locks),
                "removes": list(one.removes),
                "complete": one.is_known,
            }
            for one in shown
        ],
        "server": report.server,
        "migrator": report.migrator,
    }
