"""The commands that move a database: ``up``, ``down``, ``goto``, ``exec`` and ``check``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from schema_migrator.answer import Answer
from schema_migrator.route import Goal, Way

if TYPE_CHECKING:
    from schema_migrator.call import Call


def move(call: Call) -> Answer:
    """Move the database to where the call says."""
    return Answer(result=call.run().move(_goal(call)), become=call.words.become)


def check(call: Call) -> Answer:
    """Try the tree out on an empty database."""
    from schema_migrator import check as trial

    return trial.check(call.place, call.tree, call.console, timeout=call.values["timeout"])


def _goal(call: Call) -> Goal:
    words, values = call.words, call.values
    goal = Goal(
        target=call.setup.target,
        accept_ahead=values["on_database_ahead"] == "accept",
        plan_id=values.get("plan_id"),
        strict=values["strict"],
        baseline=values.get("baseline"),
        resolve=values.get("resolve"),
    )
    if words.command == "down":
        return dataclasses.replace(goal, target="base", way=Way.DOWN, count=words.count)
    if words.command == "goto":
        allow = values["allow_downgrade"]
        return dataclasses.replace(goal, target=words.target, allow_downgrade=allow)
    return dataclasses.replace(goal, way=Way.UP, count=getattr(words, "count", None))
