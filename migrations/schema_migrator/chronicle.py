"""The history, read for people: who applied each revision, when, and from which source."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from schema_migrator.history import Names, State
    from schema_migrator.tree import Tree


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How a revision was applied last.

    Attributes:
        at: when that ended.
        seconds: how long it took.
        lock_wait: seconds of waiting for locks before it.
        checksum: of the source that was run.
        host: the host or pod that ran it.
        image: its image, where it was told.
        user: the database's user.
        run: the run's name.
    """

    at: datetime
    seconds: float
    lock_wait: float
    checksum: str | None
    host: str
    image: str | None
    user: str
    run: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A position that was recorded without running anything.

    Attributes:
        kind: ``force``, ``baseline`` or ``adopted``.
        position: what was recorded, as a text.
        at: when.
        host: where.
        reason: why, where it was told.
    """

    kind: str
    position: str
    at: datetime
    host: str
    reason: str | None


def read_entries(
    connection: psycopg.Connection[Any], names: Names, state: State
) -> dict[str, Entry]:
    """Return how each revision was applied last; one that was reverted since is left out."""
    if not state.has_history:
        return {}
    rows = connection.execute(
        sql.SQL(
            "SELECT DISTINCT ON (revision) revision, direction, ended_at,"
            " extract(epoch FROM ended_at - started_at)::float8, lock_wait_seconds, checksum, host, image,"
            " database_user, run FROM {} WHERE outcome = 'applied' ORDER BY revision, id DESC"
        ).format(names.history)
    )
    return {
        row[0]: Entry(
            at=row[2],
            seconds=row[3],
            lock_wait=row[4],
            checksum=row[5],
            host=row[6],
            image=row[7],
            user=row[8],
            run=row[9],
        )
        for row in rows
        if row[1] == "up"
    }


def read_recordings(
    connection: psycopg.Connection[Any], names: Names, state: State
) -> tuple[Recording, ...]:
    """Return the positions that were recorded, in the order in which that was done."""
    if not state.has_history:
        return ()
    rows = connection.execute(
        sql.SQL(
            "SELECT direction, to_position, ended_at, host, reason FROM {}"
            " WHERE direction NOT IN ('up', 'down') AND ended_at IS NOT NULL ORDER BY id"
        ).format(names.history)
    )
    return tuple(
        Recording(kind=row[0], position=row[1] or "base", at=row[2], host=row[3], reason=row[4])
        for row in rows
    )


def edited(tree: Tree, applied: frozenset[str], entries: dict[str, Entry]) -> tuple[str, ...]:
    """Return the applied revisions whose source is not what was run, in the tree's order."""
    ids = []
    for revision in tree.all_revisions():
        entry = entries.get(revision.id)
        if (
            entry is not None
            and entry.checksum is not None
            and revision.id in applied
            and revision.checksum != entry.checksum
        ):
            ids.append(revision.id)
    return tuple(ids)
