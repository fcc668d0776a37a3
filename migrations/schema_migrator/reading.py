"""The commands that only look: ``version``, ``status``, ``plan`` and ``wait``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_migrator import report
from schema_migrator.answer import Answer
from schema_migrator.result import Outcome
from schema_migrator.route import Goal

if TYPE_CHECKING:
    from schema_migrator.call import Call


def version(call: Call) -> Answer:
    """Say where the database is."""
    check = call.words.check
    found = report.version(
        call.place, call.tree if check or call.values["json"] else None, check=check
    )
    told = found.dirty or "; " in found.message
    return Answer(
        result=found,
        text=f"{found.to}{' (dirty)' if found.dirty else ''}",
        note=found.message if told and found.outcome is Outcome.UP_TO_DATE else "",
    )


def status(call: Call) -> Answer:
    """Say what became of every revision."""
    from schema_migrator import status as report_of_status

    return report_of_status.status(call.place, call.tree, call.terminal)


def plan(call: Call) -> Answer:
    """Show what a run would do."""
    from schema_migrator import preview

    values = call.values
    return preview.preview(
        call.run(),
        Goal(
            target=call.setup.target,
            allow_downgrade=values["allow_downgrade"],
            accept_ahead=values["on_database_ahead"] == "accept",
            baseline=values["baseline"],
        ),
    )


def _target(call: Call) -> str:
    """Return what is waited for: without a word all heads, be they one or several."""
    target = call.setup.target
    return "heads" if target == "head" else target


def wait(call: Call) -> Answer:
    """Wait until the database is where it shall be."""
    from schema_migrator import waiting

    values = call.values
    result = waiting.wait(
        call.place,
        call.tree,
        call.console,
        waiting.Wish(
            target=_target(call),
            timeout=values["timeout"],
            through_dirty=values["wait_dirty"],
            accept_ahead=values["on_database_ahead"] == "accept",
        ),
    )
    return Answer(result=result, become=call.words.become)
