"""The commands that move a database: ``up``, ``down`` and ``goto``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_migrator.answer import Answer
from schema_migrator.route import Goal, Way

if TYPE_CHECKING:
    from schema_migrator.call import Call


def move(call: Call) -> Answer:
    """Move the database to where the call says."""
    return Answer(result=call.run().move(_goal(call)))


def _goal(call: Call) -> Goal:
    words, values = call.words, call.values
    accept = values["on_database_ahead"] == "accept"
    if words.command == "up":
        return Goal(target="head", way=Way.UP, count=words.count, accept_ahead=accept)
    if words.command == "down":
        return Goal(target="base", way=Way.DOWN, count=words.count, accept_ahead=accept)
    return Goal(target=words.target, allow_downgrade=values["allow_downgrade"], accept_ahead=accept)
