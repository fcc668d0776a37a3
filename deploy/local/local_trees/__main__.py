"""``python -m local_trees``: bring each application's tree from nothing to its head, twice, and compare."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from local_postgres import LocalPostgresError, TemporaryServer, installation
from local_postgres.account import Account
from local_trees.application import APPLICATIONS
from local_trees.environment import Environment, TreeError, build_wheel
from local_trees.schema import difference, dump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_trees.application import Application

_POSTGRESQL = 18
_ROW = "{:<12} {:<12} {:>9} {:>8} {:>8}  {}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_trees", description=__doc__)
    names = [one.name for one in APPLICATIONS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".trees"),
        help="where the environments are made and kept (default: .trees)",
    )
    return parser


class Trial:
    """Tries applications' trees on one server.

    Args:
        server: the address of a database of it.
        pg_dump: the program.
    """

    def __init__(self, server: str, pg_dump: Path) -> None:
        self._server = server
        self._pg_dump = pg_dump

    def _new_database(self, name: str) -> str:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"{self._server.rpartition('/')[0]}/{name}"

    def tries(self, application: Application, environment: Environment) -> Iterator[str]:
        """Yield a row for each way that a tree is run, and the lines that differ.

        Raises:
            TreeError: a command failed, or a schema differs.
        """
        name = application.name
        url = self._new_database(f"{name}_official")
        code = f"from local_trees.applications import {name}; {name}.official()"
        variables = {"DATABASE_URL": url, **application.variables(url)}
        started = time.monotonic()
        environment.run("python", "-c", code, variables=variables)
        official = time.monotonic() - started
        wanted, position = dump(self._pg_dump, url), _position(url)
        for way, options in (("", application.options), ("--with-env", application.env_options)):
            url = self._new_database(f"{name}{way.replace('-', '_')}")
            variables = {
                **application.variables(url),
                "DATABASE_URL": f"{application.scheme}{url.removeprefix('postgresql')}",
            }
            started = time.monotonic()
            environment.run("migrate", "up", *options, variables=variables)
            seconds = time.monotonic() - started
            if (found := _position(url)) != position:
                raise TreeError(
                    f"{name} {way}: the position is {found}, and by its own command {position}"
                )
            if lines := difference(wanted, dump(self._pg_dump, url)):
                raise TreeError("\n".join([f"{name} {way}: the schemas differ", *lines[:40]]))
            count = _revisions(url)
            yield _ROW.format(
                name,
                way,
                count,
                f"{official:.1f}s",
                f"{seconds:.1f}s",
                f"{len(wanted)} lines equal",
            )


def _position(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT version_num FROM alembic_version ORDER BY 1").fetchall()
    return [row[0] for row in rows]


def _revisions(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM alembic_version_history WHERE outcome = 'applied'"
        ).fetchone()
    return int(row[0]) if row else 0


def main() -> int:
    """Try the trees and print a table; return the exit code."""
    parsed = _parser().parse_args()
    chosen = [one for one in APPLICATIONS if not parsed.names or one.name in parsed.names]
    folder = parsed.folder.resolve()
    folder.mkdir(exist_ok=True)
    failed = False
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as made, TemporaryServer.start(_POSTGRESQL) as temporary:
            wheel = build_wheel(Path(made))
            account = Account.current()
            programs = installation.find(
                _POSTGRESQL, account=account, copies=Path(made), environment=os.environ
            )
            trial = Trial(temporary.server.url("postgres"), programs.folder / "pg_dump")
            print(_ROW.format("tree", "", "revisions", "its own", "migrate", "schema"), flush=True)
            for application in chosen:
                try:
                    environment = Environment(application.name, folder)
                    environment.install(wheel)
                    for row in trial.tries(application, environment):
                        print(row, flush=True)
                except TreeError as error:
                    failed = True
                    print(f"{application.name}: {error}", file=sys.stderr, flush=True)
    except (LocalPostgresError, TreeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"in {time.monotonic() - started:.0f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
