"""SQLAlchemy's dialects of the migrator: psycopg speaks, whatever driver a URL names.

What makes *dirty* provable hangs on psycopg's connection. So while a tree is
run with its ``env.py``, psycopg2's, asyncpg's and every other name of a driver
for PostgreSQL means `Dialect` in this process, and ``env.py`` needs no other
URL than it has. `UncastDialect` is for revisions that were written for psycopg2.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.pool import AsyncAdaptedQueuePool

_NAMES = ("", ".psycopg", ".psycopg_async", ".psycopg2", ".psycopg2cffi", ".asyncpg", ".pg8000")


UNCAST = "postgresql+uncast://"
"""The URL of an engine with `UncastDialect`."""


def register() -> None:
    """Let every name of a driver for PostgreSQL mean this dialect, for the rest of the process."""
    for name in _NAMES:
        registry.register(f"postgresql{name}", __name__, "Dialect")


class Dialect(PGDialect_psycopg):
    """psycopg, which lets options that only other drivers know pass."""

    supports_statement_cache = True

    def __init__(
        self,
        *,
        executemany_mode: Any = None,  # noqa: ARG002 - psycopg2's
        executemany_batch_page_size: Any = None,  # noqa: ARG002 - psycopg2's
        prepared_statement_cache_size: Any = None,  # noqa: ARG002 - asyncpg's
        **options: Any,
    ) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]

    @classmethod
    def get_async_dialect_cls(cls, url: Any) -> Any:  # noqa: ARG003 - SQLAlchemy's signature
        """Return the dialect of an asynchronous engine."""
        return AsyncDialect


class AsyncDialect(Dialect):
    """The same for an asynchronous engine, whose connection answers at once.

    SQLAlchemy runs ``run_sync`` in a greenlet that may wait, but need not.
    """

    supports_statement_cache = True
    is_async = True

    @classmethod
    def get_pool_class(cls, url: Any) -> Any:  # noqa: ARG003 - SQLAlchemy's signature
        """Return a pool that an asynchronous engine takes."""
        return AsyncAdaptedQueuePool


class _UncastCompiler(PGCompiler_psycopg):
    """Leaves parameters without the cast that says their type."""

    def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:  # noqa: ARG002 - SQLAlchemy's signature
        """Return a parameter's place as it is."""
        return sqltext


class UncastDialect(PGDialect_psycopg):
    """psycopg with parameters as psycopg2 sends them: as literals whose type the server chooses."""

    supports_statement_cache = True
    statement_compiler = _UncastCompiler


registry.register("postgresql.uncast", __name__, "UncastDialect")
