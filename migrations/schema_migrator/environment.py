"""Alembic's environment of a run: its configuration, and the tree's own ``env.py`` where that is wanted.

``env.py`` runs once, around all steps of a run, under the migrator's lock. Its
engine is handed the migrator's own session, where it goes to the same database;
what it configures holds for the revisions. The transactions, the version rows
and the history stay the engine's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging.config
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from psycopg.pq import Conninfo
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine

from schema_migrator.errors import ConfigurationError, MigratorError, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from schema_migrator.history import Names
    from schema_migrator.location import Location
    from schema_migrator.session import Connection

_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What holds for every revision of a run.

    Attributes:
        options: Alembic's, for the migration context.
        execution_options: SQLAlchemy's, for the connection.
        arguments: what ``upgrade`` and ``downgrade`` are called with.
    """

    options: Mapping[str, Any]
    execution_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def configuration(location: Location, connection: Connection | None = None) -> Config:
    """Return Alembic's configuration of a tree: from its ``alembic.ini``, where there is one.

    The URL in it has no password: it says where the migrator's session leads, if there is one.
    """
    folders = (location.directory, location.directory.parent)
    paths = [folder / "alembic.ini" for folder in folders]
    path = next((one for one in paths if one.is_file()), None)
    config = Config(None if path is None else str(path))
    config.set_main_option("script_location", str(location.directory).replace("%", "%%"))
    if connection is None:
        return config
    info = connection.info
    url = URL.create(
        "postgresql+psycopg",
        username=info.user,
        database=info.dbname,
        query={"host": info.host, "port": str(info.port)} if info.host else {},
    )
    shown = url.render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", shown.replace("%", "%%"))
    return config


class EnvFile:
    """A tree's ``env.py``.

    Args:
        location: where the tree is.
        directory: Alembic's directory of its scripts.
        connection: the working session, which holds the lock.
        names: where the bookkeeping is.

    Raises:
        ConfigurationError: there is none.
    """

    def __init__(
        self,
        location: Location,
        directory: ScriptDirectory,
        connection: Connection,
        names: Names,
    ) -> None:
        if not (location.directory / "env.py").is_file():
            raise ConfigurationError(f"--with-env: there is no env.py in {location.directory}")
        self._directory = directory
        self._connection = connection
        self._names = names
        self._environment = EnvironmentContext(configuration(location, connection), directory)
        self._configure = self._environment.configure
        self._work: Callable[[Frame], None] | None = None
        self._lending = False
        self._walked = False
        self._error: BaseException | None = None

    def run(self, work: Callable[[Frame], None]) -> None:
        """Run ``env.py``; where it runs the migrations, do this work instead.

        Args:
            work: takes all steps, with what ``env.py`` configured.

        Raises:
            ConfigurationError: it failed, goes elsewhere, or can't be run this way.
            BaseException: whatever the work raised, also where ``env.py`` caught it.
        """
        self._work = work
        # The proxy behind `from alembic import context` calls the instance's attributes.
        vars(self._environment).update(configure=self._configured, run_migrations=self._walk)
        connection = self._connection
        event.listen(Engine, "do_connect", self._lend)
        connection.is_lent = self._lending = True
        try:
            with self._environment, _own_logging(), contextlib.redirect_stdout(sys.stderr):
                self._directory.run_env()
        except BaseException as error:  # noqa: BLE001 - the work's own error is raised below, whatever became of it
            if self._error is None:
                self._raise(error)
        finally:
            connection.is_lent = self._lending = False
            event.remove(Engine, "do_connect", self._lend)
            if not connection.closed:
                connection.autocommit = True
        if self._error is not None:
            raise self._error
        if not self._walked:
            raise ConfigurationError(
                "env.py ended without a call of context.run_migrations(), so nothing was done"
            )

    def _raise(self, error: BaseException) -> None:
        if isinstance(error, MigratorError | Stopped | KeyboardInterrupt):
            raise error
        done = " after its revisions had run" if self._walked else ""
        text = " ".join(str(getattr(error, "orig", error)).split())[:300]
        raise ConfigurationError(
            f"env.py failed{done}: {type(error).__name__}: {text}{_line(error)}"
        ) from error

    def _lend(
        self, dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]
    ) -> Connection | None:
        """Hand the session over to an engine that goes to the same database."""
        if not self._lending or dialect.name != "postgresql":
            return None
        if differing := _differing(self._connection, parameters):
            raise ConfigurationError(
                f"env.py connects elsewhere than DATABASE_URL says: {' and '.join(differing)} differ;"
                " have it read DATABASE_URL, or the sqlalchemy.url of its config"
            )
        if self._connection.closed:
            return None
        return self._connection

    def _configured(self, *arguments: Any, **options: Any) -> None:
        """Take the place of ``context.configure()``."""
        options["transaction_per_migration"] = True
        self._configure(*arguments, **options)
        context = self._environment.get_context()
        self._check(context)
        vars(context)["run_migrations"] = self._walk

    def _check(self, context: MigrationContext) -> None:
        """Refuse a context in which the guarantees would not hold.

        Raises:
            ConfigurationError: with what is to be changed.
        """
        if context.dialect.name != "postgresql":
            raise ConfigurationError(
                f"env.py connects to another kind of database ({context.dialect.name}) than DATABASE_URL"
            )
        connection = context.connection
        if connection is None or context.as_sql:
            raise ConfigurationError("env.py gives context.configure() no connection")
        if connection.connection.driver_connection is not self._connection:
            raise ConfigurationError(
                "env.py makes its connection by a creator of its own, so the migrator's session can't be handed to it"
            )
        if connection.in_transaction():
            raise ConfigurationError(
                "env.py's connection is in a transaction already when it calls context.configure(), so the commit"
                " would be its own: end that transaction first, and use engine.connect() in place of engine.begin()"
            )
        names = self._names
        schema = context.version_table_schema
        if context.version_table != names.version_table or schema not in (None, names.schema):
            where = context.version_table if schema is None else f"{schema}.{context.version_table}"
            raise ConfigurationError(
                f"env.py keeps the position in {where}, and this run in {names.schema}.{names.version_table}:"
                " name the same by --version-table and --version-table-schema"
            )

    def _walk(self, **arguments: Any) -> None:
        """Take the place of ``context.run_migrations()``."""
        if self._walked:
            raise ConfigurationError(
                "env.py runs the migrations more than once (for several schemas or databases), which one position can't tell"
            )
        context = self._environment.get_context()
        connection = context.connection
        if (
            connection is None or self._work is None
        ):  # pragma: no cover - checked when it was configured
            raise ConfigurationError("env.py gives context.configure() no connection")
        execution_options = dict(connection.get_execution_options())
        execution_options.pop("isolation_level", None)
        self._walked = True
        # A revision's own engine gets a connection of its own, as without env.py.
        self._lending = False
        try:
            self._work(
                Frame(
                    options=context.opts, execution_options=execution_options, arguments=arguments
                )
            )
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._lending = True
            # Each step's own environment stood in the place of this one, and took it away.
            self._environment._install_proxy()  # noqa: SLF001 - what entering it does


def _differing(connection: Connection, parameters: Mapping[str, Any]) -> list[str]:
    """Return what of host, port and database differs between a session and libpq's parameters."""
    defaults = {
        one.keyword.decode(): one.val.decode() for one in Conninfo.get_defaults() if one.val
    }
    info = connection.info
    given = info.get_parameters()
    names = {"database": "dbname"}
    found = {names.get(name, name): value for name, value in parameters.items()}

    def value(name: str, default: str) -> str:
        return str(found.get(name) or defaults.get(name) or default)

    wanted_host, host = info.host, value("host", "")
    same_host = (
        host in (wanted_host, given.get("host", ""))
        or {host, wanted_host} <= set(_LOCAL)
        # Without a host libpq takes a socket in a directory that was chosen when it was built.
        or (not host and wanted_host.startswith("/"))
    )
    same = {
        "host": same_host,
        "port": str(info.port) == value("port", "5432"),
        "database": info.dbname == value("dbname", info.user),
    }
    return [name for name, is_same in same.items() if not is_same]


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """Let nobody set up logging for the time being: it would silence or redirect the program's own."""
    kept = logging.config.fileConfig, logging.config.dictConfig

    def ignore(*_arguments: Any, **_options: Any) -> None:
        """Set nothing up."""

    vars(logging.config).update(fileConfig=ignore, dictConfig=ignore)
    try:
        yield
    finally:
        vars(logging.config).update(fileConfig=kept[0], dictConfig=kept[1])


def _line(error: BaseException) -> str:
    """Return where in ``env.py`` an error was raised, for the end of a sentence."""
    trace, found = error.__traceback__, ""
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == "env.py":
            found = f" (env.py, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found
