"""The commands that record where a database is, and run no revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_migrator.answer import Answer

if TYPE_CHECKING:
    from schema_migrator.call import Call


def force(call: Call) -> Answer:
    """Record a position by a person's word, and resolve a dirty database."""
    from schema_migrator import resolution

    words = call.words
    return Answer(
        result=resolution.force(
            call.run(),
            resolution.Resolution(
                target=words.revision,
                incident=words.incident,
                reason=words.reason,
                unchecked=words.unchecked,
            ),
        )
    )
