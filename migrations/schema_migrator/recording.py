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
                reason=call.values["reason"],
                unchecked=words.unchecked,
            ),
        )
    )


def baseline(call: Call) -> Answer:
    """Record the position of a database that has its schema already."""
    from schema_migrator import baseline as recorded

    return Answer(
        result=recorded.baseline(call.run(), call.words.revision, reason=call.values["reason"])
    )


def adopt(call: Call) -> Answer:
    """Record the position at which golang-migrate left a database."""
    from schema_migrator import adoption

    return Answer(result=adoption.adopt(call.run(), call.values["golang_migrate_table"]))
