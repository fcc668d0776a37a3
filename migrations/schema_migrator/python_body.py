"""A revision's Python function, called inside Alembic's contexts on the guarded connection."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.util import load_python_file
from psycopg.pq import ExecStatus
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from schema_migrator import database, dialect
from schema_migrator.environment import EnvFile, Frame, configuration

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from sqlalchemy.engine import Connection as AlchemyConnection

    from schema_migrator.history import Names
    from schema_migrator.marker import Marker
    from schema_migrator.session import Connection
    from schema_migrator.tree import Step, Tree


class PythonBody:
    """Runs Python revisions of one tree on one session.

    Args:
        connection: the working session.
        tree: the tree.
        names: where the bookkeeping is.
    """

    def __init__(self, connection: Connection, tree: Tree, names: Names) -> None:
        self._connection = connection
        self._tree = tree
        self._directory = tree.alembic
        self._names = names
        self._config = configuration(tree.location, connection)
        self._environment: EnvironmentContext
        self._frame = Frame(options={"target_metadata": tree.metadata})
        self._context: MigrationContext | None = None
        """The last revision's, where that came to its end: making one takes as long as a statement."""

        self._memo: dict[Any, Any] = {}
        """What Alembic remembers from one revision to the next: the enumerated types that it made."""

        self._engine = create_engine(
            dialect.UNCAST if connection.binds_in_client else "postgresql+psycopg://",
            creator=lambda: connection,
            poolclass=StaticPool,
            use_native_hstore=False,
        )

    def around(self, work: Callable[[], None]) -> None:
        """Do the work of all steps inside the tree's own ``env.py``.

        Raises:
            ConfigurationError: it failed, or can't be run this way.
        """

        def framed(frame: Frame) -> None:
            self._frame = frame
            work()

        file = EnvFile(self._tree.location, self._directory, self._connection, self._names)
        file.run(framed)

    def run(
        self,
        step: Step,
        marker: Marker,
        *,
        fresh: bool,
        skip: str | None,
        complete: Callable[[bytes], None],
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
        frame = self._frame
        with self._engine.connect() as plain:
            context = self._context_on(plain.execution_options(**frame.execution_options))
            # What SQLAlchemy asks on a first connection is behind it now.
            self._connection.begin_revision(marker, skip=skip)
            try:
                with self._environment, Operations.context(context):
                    context.begin_transaction(_per_migration=True)
                    function(**frame.arguments)
                    self._tell_callbacks(context, step)
                self._connection.end_body()
            finally:
                self._connection.end_revision()
            complete(b"")
            self._context = context

    def _context_on(self, connection: AlchemyConnection) -> MigrationContext:
        """Return Alembic's context for the next revision: the last one's, or a new one after an error.

        Alembic itself has one for all revisions, so none of them can count on another.
        """
        context, self._context = self._context, None
        if context is None:
            self._environment = EnvironmentContext(self._config, self._directory)
            options = {
                **self._frame.options,
                "script": self._directory,
                "transaction_per_migration": True,
                "version_table": self._names.version_table,
                "version_table_schema": self._names.schema,
            }
            context = MigrationContext(connection.dialect, connection, options, self._environment)
            # Only of those that stayed: a revision that is rolled back takes its types with it.
            context.impl.memo.update(self._memo)
            self._environment._migration_context = context  # noqa: SLF001 - what env.py's configure() would set
        else:
            context.connection = context.impl.connection = connection
            context._transaction = None  # noqa: SLF001 - the last connection's, which was never ended
        self._memo = copy.deepcopy(context.impl.memo)
        return context

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

    def _tell_callbacks(self, context: MigrationContext, step: Step) -> None:
        """Call what ``env.py`` wants called after each step, in the step's transaction.

        Alembic calls it after the version rows have moved; here they move last.
        """
        if not context.on_version_apply_callbacks:
            return
        script = self._directory.get_revision(step.revision)
        move = RevisionStep(self._directory.revision_map, script, step.up)
        for callback in context.on_version_apply_callbacks:
            callback(
                ctx=context,
                step=move.info,
                heads=set(step.after),
                run_args=dict(self._frame.arguments),
            )

    def _module(self, step: Step, *, fresh: bool) -> ModuleType:
        if fresh:
            return load_python_file(str(step.path.parent), step.path.name)
        script = self._directory.get_revision(step.revision)
        if script is None:
            raise LookupError(f"revision {step.revision} is gone from the tree")
        module: ModuleType = script.module
        return module
