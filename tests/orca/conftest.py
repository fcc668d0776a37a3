"""A network of the tests' own, a Docker engine and a PostgreSQL in it, and an Orca for each test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_images import images
from local_images.engine import Engine
from local_orca import network, program
from local_orca.errors import NotBuiltError
from local_orca.server import Orca
from local_postgres import TemporaryServer
from tests.orca.stage import GATEWAY, Stage
from tests.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_images.images import Image
    from tests.witness import Witness

_OPTIONS = (f"--bip={GATEWAY}/24", "--default-address-pool=base=172.31.0.0/16,size=24")
_HBA = "host all all all scram-sha-256\n"


@pytest.fixture(scope="session")
def orca_program() -> Path:
    """Orca's program; who has not built it is told how."""
    try:
        found = program.locate()
    except NotBuiltError as error:
        pytest.skip(str(error))
    if os.geteuid() != 0:
        pytest.skip("only root can give Orca a network of its own")
    return found


@pytest.fixture(scope="session")
def docker(orca_program: Path, archives: Mapping[Image, Path]) -> Iterator[Engine]:
    """An engine with a bridge, in a network of its own, and on it the migrator's image."""
    assert orca_program.exists()  # or there is nothing to start one for
    with network.own(), Engine.start(_OPTIONS) as started:
        images.load(started, archives[images.MIGRATOR])
        yield started


@pytest.fixture(scope="session")
def server(docker: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL that containers can reach."""
    assert docker.address  # whose bridge has the address
    access = tmp_path_factory.mktemp("postgresql") / "pg_hba.conf"
    access.write_text(_HBA)
    for folder in (access, *access.parents[:4]):
        folder.chmod(folder.stat().st_mode | 0o555)  # for the account that runs it
    settings = {"listen_addresses": f"127.0.0.1,{GATEWAY}", "hba_file": str(access)}
    with TemporaryServer.start(18, settings) as share:
        running = PostgresServer(18, share.server.url(), share, "embedded")
        yield running
        running.close()


@pytest.fixture
def stage(
    docker: Engine,
    server: PostgresServer,
    orca_program: Path,
    tmp_path: Path,
    witness: Witness,
) -> Iterator[Stage]:
    """A new Orca, with nothing deployed on it yet."""
    version = docker.docker("version", "--format", "{{.Server.APIVersion}}").strip()
    socket = Path(docker.address.removeprefix("unix://"))
    with Orca(orca_program, tmp_path / "orca", socket, version) as orca:
        found = Stage(docker, server, orca, tmp_path, witness)
        found.begin()
        yield found
        orca.stop()
        found.end()
