"""What a run looks at before it leaps: each refusal comes before the first statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema_migrator import chronicle, golang_migrate, history
from schema_migrator.errors import ConfigurationError, RefusedError
from schema_migrator.result import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from schema_migrator.history import Names, State
    from schema_migrator.tree import Tree


def refuse_lost_position(state: State) -> None:
    """Refuse a database whose position was lost.

    Raises:
        RefusedError: the version table is empty, though the history ended elsewhere.
    """
    if not state.position and state.last_position not in (None, "base"):
        raise RefusedError(
            Refusal.POSITION_LOST,
            f"the position was lost: the version table is empty, but the history ended at {state.last_position};"
            f" record where the database is: migrate force {state.last_position}",
        )


def refuse_unadopted(connection: psycopg.Connection[Any], state: State) -> None:
    """Refuse to start from base where golang-migrate has been at work.

    Raises:
        RefusedError: its position was not adopted yet.
    """
    if state.position or state.last_position is not None:
        return
    found = golang_migrate.find(connection, golang_migrate.TABLE)
    if found is not None:
        raise RefusedError(
            Refusal.ADOPTION_NEEDED,
            f"golang-migrate has brought this database to {found.version}, and its position was not taken over yet:"
            " run migrate adopt first",
        )


def refuse_narrow(
    connection: psycopg.Connection[Any], names: Names, state: State, longest: int
) -> None:
    """Refuse a version table that does not take the tree's longest revision id.

    Alembic makes it for 32 characters and finds out when it is too late.

    Args:
        connection: any session.
        names: where the version table is.
        state: whether it is there.
        longest: the length of that id, in characters.

    Raises:
        ConfigurationError: it is too narrow.
    """
    if longest <= history.WIDTH or not state.has_versions:
        return
    row = connection.execute(
        "SELECT atttypmod - 4 FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass(%s)"
        " AND attname = 'version_num' AND atttypmod > 0",
        [names.versions.as_string(connection)],
    ).fetchone()
    if row is not None and row[0] < longest:
        table = names.versions.as_string(connection)
        raise ConfigurationError(
            f"the tree has a revision id of {longest} characters, and {table} takes {row[0]}: widen it by"
            f" ALTER TABLE {table} ALTER COLUMN version_num TYPE varchar({longest})"
        )


def look_for_edits(
    connection: psycopg.Connection[Any],
    names: Names,
    tree: Tree,
    state: State,
    *,
    strict: bool,
    warn: Callable[[str], None],
) -> None:
    """Warn of revisions that were edited after they were applied, or refuse them.

    Raises:
        RefusedError: there are some, and ``strict``.
    """
    if not state.position:
        return
    entries = chronicle.read_entries(connection, names, state)
    edited = chronicle.edited(tree, tree.applied(state.position), entries)
    if not edited:
        return
    which = f"edited after it was applied: {', '.join(edited)}"
    if strict:
        raise RefusedError(
            Refusal.HISTORY_EDITED,
            f"{which}; put its source back and write a new revision, or run without --strict",
        )
    warn(f"{which}; what was run is not what the tree says now")
