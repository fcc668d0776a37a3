from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Literal

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import tenant_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from tests.postgres_server import Database, PostgresServer

Direction = Literal["upgrade", "downgrade"]


@pytest.fixture(scope="session")
def move() -> Callable[[Database, Direction], None]:
    """Moves a database one revision up or down, in one transaction."""
    tree = str(importlib.resources.files(tenant_registry))
    script = ScriptDirectory(tree, version_locations=[f"{tree}/versions"])
    revision = script.get_revision("0001")
    assert revision is not None

    def run(database: Database, direction: Direction) -> None:
        url = sa.make_url(database.url).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            context = MigrationContext.configure(connection)
            with Operations.context(context):
                getattr(revision.module, direction)()

    return run


@pytest.fixture(scope="session")
def template(
    postgres_server: PostgresServer, move: Callable[[Database, Direction], None]
) -> Iterator[str]:
    """The name of a database at head; copying it is quicker than migrating."""
    database = postgres_server.create_database()
    move(database, "upgrade")
    yield database.url.rpartition("/")[2]
    postgres_server.drop_database(database)


@pytest.fixture
def registry(
    template: str, new_database: Callable[[str], Database]
) -> Iterator[psycopg.Connection]:
    """A connection to a database at head."""
    with new_database(template).connect() as connection:
        yield connection
