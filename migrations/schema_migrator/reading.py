"""The commands that only look: ``version`` and ``status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_migrator import report
from schema_migrator.answer import Answer
from schema_migrator.result import Outcome

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
