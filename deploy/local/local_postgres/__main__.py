"""``python -m local_postgres``: a PostgreSQL for development that keeps its data."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local_postgres import archive
from local_postgres.errors import LocalPostgresError
from local_postgres.server import HOST, Server

_NOT_RUNNING = 3  # as pg_ctl's own status says it


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local_postgres",
        description="A PostgreSQL for development that keeps its data between starts.",
    )
    parser.add_argument("command", choices=["start", "stop", "status", "url", "fetch"])
    parser.add_argument("--version", type=int, default=18, help="major version (default: 18)")
    parser.add_argument("--folder", type=Path, help="where it keeps its data and its password")
    parser.add_argument(
        "--database",
        default="tenant_registry",
        help="created by start and url when it is not there (default: tenant_registry)",
    )
    parsed = parser.parse_args(arguments)
    folder = parsed.folder or _default_folder() / f"postgresql-{parsed.version}"
    server = Server(parsed.version, folder.absolute())
    try:
        match parsed.command:
            case "start":
                _start(server, parsed.database)
            case "url":
                if not server.running:
                    _start(server, parsed.database)
                server.create_database(parsed.database)
                print(server.url(parsed.database))
            case "fetch":
                new = archive.fetch(parsed.version)
                _say(
                    server,
                    f"{'was fetched' if new else 'is there'}: {archive.folder(parsed.version)}",
                )
            case "stop":
                stopped = server.stop()
                _say(server, "stopped" if stopped else "was not running")
            case _:
                return _status(server)
    except LocalPostgresError as error:
        print(f"local_postgres: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"local_postgres: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    return 0


def _start(server: Server, database: str) -> None:
    if not server.running:
        new = "" if server.data.exists() else " for the first time"
        _say(server, f"starts{new} …")
    server.start()
    server.create_database(database)
    _say(server, _where(server))


def _status(server: Server) -> int:
    if not server.running:
        _say(server, f"is not running ({server.folder})")
        return _NOT_RUNNING
    _say(server, _where(server))
    return 0


def _where(server: Server) -> str:
    running = server.running
    if running is None:
        raise LocalPostgresError(f"the server ended at once; its log is {server.log}")
    return f"runs on {HOST}:{running.port} (process {running.process}, {server.folder})"


def _say(server: Server, what: str) -> None:
    """Tell a person; standard output is for what a program reads."""
    print(f"PostgreSQL {server.version} {what}", file=sys.stderr)


def _default_folder() -> Path:
    """Return the place for data: root's own home is closed to the account that runs the server."""
    if os.geteuid() == 0:
        return Path("/var/lib/schema-operator")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "schema-operator"


if __name__ == "__main__":
    raise SystemExit(main())
