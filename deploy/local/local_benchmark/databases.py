"""The databases of one benchmark: each of a new name, and all dropped when nothing is measured any more.

On ext4 making files takes three times as long for minutes after thousands were
deleted, so a database that is dropped slows the next one down.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import psycopg

if TYPE_CHECKING:
    from types import TracebackType


class Databases:
    """Makes databases, and drops all of them at its end, however that comes.

    Args:
        url: of a database on the same server, as a role that may create databases.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = f"benchmark_{uuid.uuid4().hex[:8]}"
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in self._names:
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def new(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"{self._prefix}_{len(self._names)}"
        self._names.append(name)
        # What the last one left to write is not the next one's to wait for.
        self._execute(f"CREATE DATABASE {name}", "CHECKPOINT")
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def _execute(self, *statements: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
