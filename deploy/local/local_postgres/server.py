"""One server: created on first start, kept between starts."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import shutil
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from local_postgres import installation, postmaster
from local_postgres.account import Account
from local_postgres.errors import CommandFailedError, LocalPostgresError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from local_postgres.postmaster import Postmaster

HOST = "127.0.0.1"
USER = "postgres"
_STARTS = 3  # attempts, each on another port, should somebody take ours in between
_START_TIMEOUT = "60"  # seconds, of recovery after a crash mostly


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL that listens on a port of 127.0.0.1 and keeps its data in a folder.

    The value only names the server; whether it runs is read each time, so any
    number of processes can hold one for the same folder.

    Attributes:
        version: major version, for example 18.
        folder: holds data, password, port and log; made when it is not there.
            Where root starts the server, the unprivileged account must be able
            to reach it.
        settings: of postgresql.conf, valid from the next start on.
    """

    version: int
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The file that the server writes its log to."""
        return self.folder / "log"

    @property
    def running(self) -> Postmaster | None:
        """The server's first process, when it runs and takes connections."""
        return postmaster.read(self.data)

    def start(self) -> bool:
        """Start the server unless it runs, and wait until it takes connections.

        Safe to be called by several processes at once: one starts it.

        Returns:
            Whether it had to be started.

        Raises:
            LocalPostgresError: it can't be had; the text says why.
        """
        if self.running:
            return False
        with self._locked():
            if self.running:
                return False
            account = Account.current(self.data)
            programs = installation.find(
                self.version, account=account, copies=self.folder / "installation"
            )
            self._initialize(account, programs.initdb)
            self._launch(account, programs.pg_ctl)
        return True

    def stop(self) -> bool:
        """End the server, with its connections, and wait until it is down.

        Returns:
            Whether it was running.

        Raises:
            LocalPostgresError: it could not be stopped.
        """
        if not self.data.exists():
            return False
        with self._locked():
            if not self.running:
                return False
            account = Account.current(self.data)
            programs = installation.find(
                self.version, account=account, copies=self.folder / "installation"
            )
            account.run(self.stop_command(programs.pg_ctl, "fast"), folder=self.folder)
        return True

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database of the running server, for libpq and SQLAlchemy.

        Raises:
            LocalPostgresError: the server does not run.
        """
        running = self.running
        if running is None:
            raise LocalPostgresError(f"the server of {self.folder} does not run")
        return f"postgresql://{USER}:{self._password()}@{HOST}:{running.port}/{database}"

    def create_database(self, name: str) -> bool:
        """Create an empty database unless there is one of this name.

        Returns:
            Whether it had to be created.

        Raises:
            LocalPostgresError: the server does not run, or refuses.
        """
        try:
            with psycopg.connect(self.url(), autocommit=True) as connection:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
                )
        except psycopg.errors.DuplicateDatabase:
            return False
        except psycopg.Error as error:
            raise LocalPostgresError(f"database {name}: {str(error).splitlines()[0]}") from error
        return True

    def stop_command(self, pg_ctl: Path, mode: str) -> list[str | Path]:
        """Return what ends the server in one of pg_ctl's modes (fast, immediate)."""
        return [pg_ctl, "stop", "--wait", f"--mode={mode}", "--pgdata", self.data]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            stream = (self.folder / "lock").open("w", encoding="utf-8")
        except OSError as error:
            raise LocalPostgresError(f"{self.folder} can't be used: {error.strerror}") from error
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _password(self) -> str:
        return (self.folder / "password").read_text(encoding="utf-8").strip()

    def _initialize(self, account: Account, initdb: Path) -> None:
        version_file = self.data / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text(encoding="utf-8").strip()
            if version != str(self.version):
                raise LocalPostgresError(
                    f"{self.folder} holds data of PostgreSQL {version}, not {self.version}"
                )
            return
        if not account.reaches(self.folder):
            raise LocalPostgresError(
                f"{self.folder} can't be reached by the account that runs PostgreSQL in root's "
                f"place (user {account.user}); choose another folder"
            )
        password = secrets.token_hex(16)
        _write_private(self.folder / "password", password)
        # The account can't read a file of root's, so it gets its own for the moment.
        handed_over = self.folder / "password.handed-over"
        _write_private(handed_over, password)
        account.own(handed_over)
        # A half-made folder must never be taken for a finished one.
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        command: list[str | Path] = [initdb, "--pgdata", unfinished, "--username", USER]
        command += ["--auth=scram-sha-256", "--pwfile", handed_over]
        command += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        if self.settings.get("fsync") == "off":
            command.append("--no-sync")
        try:
            account.run(command, folder=self.folder)
        finally:
            handed_over.unlink()
        unfinished.rename(self.data)

    def _launch(self, account: Account, pg_ctl: Path) -> None:
        self.log.touch(mode=0o600)
        account.own(self.log)
        kept = self.folder / "port"
        wanted = int(kept.read_text(encoding="utf-8")) if kept.exists() else 0
        for remaining in reversed(range(_STARTS)):
            port = _free_port(wanted)
            try:
                account.run(self._start_command(pg_ctl, port), folder=self.folder)
            except CommandFailedError as error:
                if remaining and _free_port(port) != port:
                    continue
                raise CommandFailedError(
                    f"the server did not start: {self._last_failure()} (log: {self.log})"
                ) from error
            if port != wanted:
                kept.write_text(f"{port}\n", encoding="utf-8")
            return

    def _start_command(self, pg_ctl: Path, port: int) -> list[str | Path]:
        settings = {
            "listen_addresses": HOST,
            **self.settings,
            "port": str(port),
            "unix_socket_directories": "",  # its path has a limit that a folder may break
        }
        # pg_ctl gives the options to a shell.
        options = " ".join(
            f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items()
        )
        command: list[str | Path] = [pg_ctl, "start", "--wait", "--timeout", _START_TIMEOUT]
        command += ["--silent", "--pgdata", self.data, "--log", self.log, "--options", options]
        return command

    def _last_failure(self) -> str:
        """Return what the server itself said last of why it did not start."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        failures = [line for line in lines if "FATAL:" in line]
        return failures[-1].partition("FATAL:")[2].strip() if failures else "it said nothing"


def _free_port(wanted: int) -> int:
    """Return the wanted port when it is free, else another one."""
    with socket.socket() as probe:
        # As PostgreSQL does: connections that have just ended don't hold a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{text}\n")
