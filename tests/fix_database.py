"""Fixtures for tests on a real PostgreSQL: a server, and a database of each test's own.

A test that asks for ``database`` runs on the newest version; marked with
``every_postgres`` it runs on each. ``--postgres 16`` (repeatable) narrows the
versions, ``--postgres-source`` says where they come from.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from local_postgres import LocalPostgresError, installation
from local_postgres.account import Account
from tests.container_postgres import engine_answers, image
from tests.postgres_server import Database, PostgresServer, Servers
from tests.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.postgres_server import Source
    from tests.witness import Witness

VERSIONS = (16, 18)
_FIXTURE = "postgres_server"
_PROPERTY = "postgresql"
_SERVERS = pytest.StashKey[Servers]()


@pytest.fixture(scope="session")
def postgres_servers(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """The servers of this run, started when first asked for."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(pytestconfig, "workerinput"):
        folder = folder.parent  # a worker's is inside the run's
    servers = Servers(folder, cast("Source", pytestconfig.getoption("postgres_source")))
    pytestconfig.stash[_SERVERS] = servers
    yield servers
    del pytestconfig.stash[_SERVERS]
    servers.close()


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest, postgres_servers: Servers) -> PostgresServer:
    """The running server of one major version."""
    # Started or joined here, ended with the run: a change of version between
    # two tests must not restart anything.
    return postgres_servers.get(request.param)


@pytest.fixture
def new_database(
    postgres_server: PostgresServer, witness: Witness
) -> Iterator[Callable[..., Database]]:
    """Makes databases, empty or copied from a template, that go with the test."""
    made: list[Database] = []

    def make(template: str = "template1") -> Database:
        made.append(postgres_server.create_database(template))
        witness.secret(made[-1].url)
        return made[-1]

    yield make
    for database in made:
        postgres_server.drop_database(database)


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Database:
    """An empty database."""
    return new_database()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("postgresql")
    group.addoption(
        "--postgres",
        dest="postgres_versions",
        action="append",
        type=int,
        metavar="MAJOR",
        help=f"a version to test on, repeatable (default: {', '.join(map(str, VERSIONS))})",
    )
    group.addoption(
        "--postgres-source",
        choices=["auto", "container", "embedded"],
        default="auto",
        help="auto: containers where a Docker engine answers, else embedded servers",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_postgres: run on every version of PostgreSQL")
    config.pluginmanager.register(Tally("PostgreSQL", _PROPERTY), "postgresql-tally")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if _FIXTURE not in metafunc.fixturenames:
        return
    versions = _versions(metafunc.config)
    if metafunc.definition.get_closest_marker("every_postgres") is None:
        versions = versions[-1:]
    names = [f"postgresql-{version}" for version in versions]
    metafunc.parametrize(_FIXTURE, versions, indirect=True, ids=names, scope="session")


def pytest_runtest_call(item: pytest.Item) -> None:
    """Note on the test's report, which reaches the run's first process, what it ran on."""
    callspec = getattr(item, "callspec", None)
    if callspec is not None and _FIXTURE in callspec.params:
        server = item.config.stash[_SERVERS].get(callspec.params[_FIXTURE])
        item.user_properties.append((_PROPERTY, server.label))


def pytest_report_header(config: pytest.Config) -> str:
    source = config.getoption("postgres_source")
    versions = _versions(config)
    if source == "container" or (source == "auto" and engine_answers()):
        return f"PostgreSQL: {' and '.join(map(image, versions))} (containers)"
    try:
        found = [_embedded_version(version) for version in versions]
    except LocalPostgresError as error:
        return f"PostgreSQL: {error}"
    return f"PostgreSQL: {' and '.join(found)} (embedded)"


def _versions(config: pytest.Config) -> list[int]:
    return sorted(config.getoption("postgres_versions") or VERSIONS)


def _embedded_version(version: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # the account that runs the programs passes through
        found = installation.find(version, account=Account.current(), copies=folder)
        return found.version
