"""The PostgreSQL servers of a test run: one for each version, shared by its processes."""

from __future__ import annotations

import fcntl
import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import conninfo, sql

from local_postgres import Server, TemporaryServer
from tests.container_postgres import ContainerError, ContainerServer, engine_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

Source = Literal["auto", "container", "embedded"]

# Nothing of a test's server has to survive; prepared transactions are off by default.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_prepared_transactions": "20",
}


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test's own.

    Attributes:
        url: its address, for libpq and ``DATABASE_URL``.
        server_version: of its server, as libpq counts: 180004 is 18.4.
    """

    url: str
    server_version: int

    def connect(self, **parameters: Any) -> psycopg.Connection:
        """Return a new connection, in autocommit mode, with libpq's parameters."""
        return psycopg.connect(self.url, autocommit=True, **parameters)


class PostgresServer:
    """A running server on which databases are made and dropped."""

    def __init__(
        self, version: int, url: str, share: TemporaryServer | ContainerServer, source: str
    ) -> None:
        self.version = version
        self.url = url
        self._share = share
        self._source = source
        self._connection = psycopg.connect(url, autocommit=True)

    @property
    def label(self) -> str:
        """The exact version, and where it comes from."""
        number = self._connection.info.server_version
        return f"{number // 10000}.{number % 10000} ({self._source})"

    def create_database(self, template: str = "template1") -> Database:
        """Return a new database, a copy of a template that nobody is connected to."""
        name = f"test_{uuid.uuid4().hex}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        url = self.url.rpartition("/")[0] + f"/{name}"
        return Database(url, self._connection.info.server_version)

    def drop_database(self, database: Database) -> None:
        """Drop a database, with the connections that a test left open."""
        name = conninfo.conninfo_to_dict(database.url)["dbname"]
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._execute(statement.format(sql.Identifier(str(name))))

    def close(self) -> None:
        """Give the server back; the last process that does so ends it."""
        self._connection.close()
        self._share.release()

    def _execute(self, statement: sql.Composed) -> None:
        try:
            self._connection.execute(statement)
        except psycopg.OperationalError:
            # A test may end sessions, and this one with them.
            if not self._connection.closed:
                raise
            self._connection = psycopg.connect(self.url, autocommit=True)
            self._connection.execute(statement)


class Servers:
    """The servers that this process uses, started or joined when first asked for.

    What the processes of a run tell each other lies in a folder that they share.
    """

    def __init__(self, folder: Path, source: Source) -> None:
        self._folder = folder
        self._source = source
        self._servers: dict[int, PostgresServer] = {}

    def get(self, version: int) -> PostgresServer:
        """Return the server of a major version.

        Raises:
            LocalPostgresError: it can't be had.
            ContainerError: a container was asked for and can't be had.
        """
        if version not in self._servers:
            with self._locked(version):
                self._servers[version] = self._join(version) or self._start(version)
        return self._servers[version]

    def close(self) -> None:
        """Give all servers back."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    @contextmanager
    def _locked(self, version: int) -> Iterator[None]:
        with (self._folder / f"postgresql-{version}.lock").open("w", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _note(self, version: int) -> Path:
        return self._folder / f"postgresql-{version}.json"

    def _join(self, version: int) -> PostgresServer | None:
        try:
            note = json.loads(self._note(version).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        folder = Path(note["folder"])
        if note["container"]:
            container = ContainerServer.join(folder)
            if container is None:
                return None
            return PostgresServer(version, container.url, container, note["source"])
        embedded = TemporaryServer.join(Server(version, folder))
        if embedded is None:
            return None
        return PostgresServer(version, embedded.server.url(), embedded, note["source"])

    def _start(self, version: int) -> PostgresServer:
        source = "embedded"
        if self._source == "container" or (self._source == "auto" and engine_answers()):
            folder = self._folder / f"postgresql-{version}-{uuid.uuid4().hex}"
            try:
                container = ContainerServer.start(version, SETTINGS, folder)
            except ContainerError as error:
                if self._source == "container":
                    raise
                source = f"embedded, for no container could be had: {str(error)[:120]}"
            else:
                self._write_note(version, folder, source="container", container=True)
                return PostgresServer(version, container.url, container, "container")
        embedded = TemporaryServer.start(version, SETTINGS)
        self._write_note(version, embedded.server.folder, source=source, container=False)
        return PostgresServer(version, embedded.server.url(), embedded, source)

    def _write_note(self, version: int, folder: Path, *, source: str, container: bool) -> None:
        note = {"folder": str(folder), "source": source, "container": container}
        self._note(version).write_text(json.dumps(note), encoding="utf-8")
