"""Taking over a database from golang-migrate: ``adopt``. Runs no revision.

golang-migrate's own table is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_migrator import baseline, golang_migrate
from schema_migrator.errors import ConfigurationError, RefusedError
from schema_migrator.result import Refusal

if TYPE_CHECKING:
    from schema_migrator.result import Outcome, Result
    from schema_migrator.run import Run
    from schema_migrator.tree import Tree


def adopt(run: Run, table: str) -> Result:
    """Record golang-migrate's position as ours, and return how that ended.

    Args:
        run: on the database, along the tree that golang-migrate's files became.
        table: golang-migrate's table.
    """
    return run.reported(lambda: _adopt(run, table))


def _adopt(run: Run, table: str) -> tuple[Outcome, str]:
    connection, names = run.open()
    found = golang_migrate.find(connection, table)
    if found is None:
        raise ConfigurationError(
            f"there is nothing to adopt: no table {table} of golang-migrate with a row in it;"
            " on a new database use migrate up, for one with a schema migrate baseline"
        )
    if found.dirty:
        raise RefusedError(
            Refusal.ADOPTION_DIRTY,
            f"golang-migrate left version {found.version} dirty, which does not say whether it was applied; look at"
            " the database, then record where it is: migrate force REVISION",
        )
    return baseline.record(
        run,
        connection,
        names,
        (_revision(run.tree, found.version),),
        direction="adopted",
        reason=f"golang-migrate was at {found.version}",
    )


def _revision(tree: Tree, version: int) -> str:
    for revision in tree.all_revisions():
        if revision.id.isdigit() and int(revision.id) == version:
            return revision.id
    raise RefusedError(
        Refusal.TARGET_UNKNOWN,
        f"golang-migrate is at {version}, and no revision of the tree has that number; its head is"
        f" {', '.join(tree.heads)}",
    )
