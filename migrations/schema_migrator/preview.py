"""What a run would do, shown before it does it: ``plan``. Changes nothing, takes no lock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from schema_migrator import database, precaution, rendering, result, route
from schema_migrator import plan as plans
from schema_migrator.answer import Answer
from schema_migrator.errors import DirtyError
from schema_migrator.history import show_position
from schema_migrator.place import observe
from schema_migrator.rendering import Faith
from schema_migrator.result import VERSION, Outcome, Result
from schema_migrator.route import Goal
from schema_migrator.step import dirty_message

if TYPE_CHECKING:
    from schema_migrator.place import Place
    from schema_migrator.rendering import Rendering
    from schema_migrator.tree import Tree

_UNKNOWN = "what it removes is not known before it runs"


def preview(place: Place, tree: Tree, target: str) -> Answer:
    """Return what a run to a target would do.

    A downgrade is shown as well; whether it is allowed is the run's business.

    Args:
        place: the database.
        tree: the tree.
        target: as for ``goto``.

    Raises:
        MigratorError: the database can't be read or is dirty, or the way is refused.
    """
    started = time.monotonic()
    with place.connect() as connection:
        names = place.names(connection)
        state = observe(connection, names)
        server = database.show_version(connection)
        condition = route.assess(state, tree)
        if isinstance(condition, route.Dirty):
            raise DirtyError(dirty_message(condition.row), incident=condition.row.incident)
        precaution.refuse_lost_position(state)
        found = route.find(tree, state.position, Goal(target=target, allow_downgrade=True))
        if found.steps and found.steps[0].up:
            precaution.refuse_unadopted(connection, state)
    shown = [rendering.render(tree, step) for step in found.steps]
    plan = None
    if shown:
        plan = result.Plan(
            id=plans.identify(names, tree, state.position, found.steps),
            revisions=tuple(step.revision for step in found.steps),
            destructive=tuple(
                f"{one.step.revision}: {what}" for one in shown for what in _destructive(one)
            ),
        )
    position, goal = show_position(state.position), show_position(found.target)
    direction = "reverts" if found.steps and not found.steps[0].up else "applies"
    count = f"{len(shown)} revision{'s' if len(shown) != 1 else ''}"
    report = Result(
        outcome=Outcome.PLANNED if shown else Outcome.UP_TO_DATE,
        from_=position,
        to=position,
        target=goal,
        pending=len(shown),
        dirty=False,
        message=f"the plan {direction} {count}, from {position} to {goal}"
        if shown
        else f"nothing to do: the database is at {position}",
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


def _destructive(one: Rendering) -> tuple[str, ...]:
    return one.removes if one.is_known else (*one.removes, _UNKNOWN)


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
