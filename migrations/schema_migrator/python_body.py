"""A revision's Python function, called inside Alembic's contexts on the guarded connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.util import load_python_file
from psycopg.pq import ExecStatus
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from schema_migrator import database

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from alembic.script import ScriptDirectory

    from schema_migrator.marker import Marker
    from schema_migrator.session import Connection
    from schema_migrator.tree import Step


class PythonBody:
    """Runs Python revisions of one tree on one session.

    Args:
        connection: the working session.
        directory: Alembic's directory of the tree's scripts.
    """

    def __init__(self, connection: Connection, directory: ScriptDirectory) -> None:
        self._connection = connection
        self._directory = directory
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: connection,
            poolclass=StaticPool,
            use_native_hstore=False,
        )

    def run(
        self,
        step: Step,
        marker: Marker,
        *,
        fresh: bool,
        skip: str | None,
        complete: Callable[[Marker], None],
    ) -> None:
        """Call the revision's function, then complete the step, in one transaction.

        Args:
            step: the step.
            marker: its history row.
            fresh: load the revision's module anew, because an attempt has used it.
            skip: the text of a first statement that is known to be done.
            complete: moves the version rows, ends the row and commits.
        """
        module = self._module(step, fresh=fresh)
        function = module.upgrade if step.up else module.downgrade
        self._begin()
        # SQLAlchemy's own transaction is never ended: the commit that counts is
        # the engine's, and closing the connection finds nothing left to do.
        with self._engine.connect() as connection:
            environment = EnvironmentContext(Config(), self._directory)
            context = MigrationContext(
                connection.dialect,
                connection,
                {"script": self._directory, "transaction_per_migration": True},
                environment,
            )
            environment._migration_context = context  # noqa: SLF001 - what env.py's configure() would set
            # What SQLAlchemy asks on a first connection is behind it now.
            self._connection.begin_revision(marker, skip=skip)
            try:
                with environment, Operations.context(context):
                    context.begin_transaction(_per_migration=True)
                    function()
                self._connection.ensure_marker()
            finally:
                self._connection.end_revision()
            complete(marker)

    def _begin(self) -> None:
        """Put the session in order and begin the revision's transaction, in one round trip.

        The driver begins a transaction by itself, with a round trip of its own,
        unless it finds one begun; so this goes to libpq directly.
        """
        connection = self._connection
        connection.autocommit = False
        result = connection.pgconn.exec_(database.begin_restored(connection))
        if result.status != ExecStatus.COMMAND_OK:
            # Whatever it was, the driver has its error.
            connection.rollback()
            connection.autocommit = True
            database.restore(connection)
            connection.autocommit = False

    def _module(self, step: Step, *, fresh: bool) -> ModuleType:
        if fresh:
            return load_python_file(str(step.path.parent), step.path.name)
        script = self._directory.get_revision(step.revision)
        if script is None:
            raise LookupError(f"revision {step.revision} is gone from the tree")
        return script.module
