"""Who is measured: how each program brings a database to head."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from local_benchmark.installation import Installation

_CONNECT = (
    "import os, psycopg; psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT 1').fetchone()"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Contestant:
    """A program that brings a database to the head of a tree.

    Attributes:
        name: for the table.
        tree: ``sql`` or ``python``: which kind of tree it runs; empty: none at all.
        command: from the tree's directory and the database's URL to its command line.
        is_ours: whether it has budgets.
    """

    name: str
    tree: str
    command: Callable[[Path, str], Sequence[str]]
    is_ours: bool = False


def ours(installation: Installation) -> tuple[Contestant, Contestant]:
    """Return the migrator with SQL files and with Python revisions."""

    def command(tree: Path, _url: str) -> Sequence[str]:
        return [str(installation.script), "up", "--tree", f"{tree}/"]

    return (
        Contestant("migrate, SQL files", "sql", command, is_ours=True),
        Contestant("migrate, Python revisions", "python", command, is_ours=True),
    )


def launched(installation: Installation) -> Contestant:
    """Return the migrator as an image starts it."""
    return Contestant(
        "migrate by its launcher",
        "sql",
        lambda tree, _url: [str(installation.launcher), "up", "--tree", f"{tree}/"],
        is_ours=True,
    )


def golang_migrate(program: Path) -> Contestant:
    """Return golang-migrate."""
    return Contestant(
        "golang-migrate",
        "sql",
        lambda tree, url: [
            *(str(program), "-path", str(tree / "versions")),
            *("-database", f"{url}?sslmode=disable", "up"),
        ],
    )


def alembic(installation: Installation) -> Contestant:
    """Return Alembic as it comes, with one transaction a revision."""
    return Contestant(
        "Alembic",
        "python",
        lambda tree, _url: [
            *(str(installation.python), "-m", "alembic", "-c", str(tree / "alembic.ini")),
            *("upgrade", "head"),
        ],
    )


def bare_driver(installation: Installation) -> Contestant:
    """Return the least that a Python program with the driver can do: connect and ask."""
    return Contestant(
        "psycopg: connect, SELECT 1",
        "",
        lambda _tree, _url: [str(installation.python), "-c", _CONNECT],
    )
