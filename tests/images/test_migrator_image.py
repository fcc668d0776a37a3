"""The migrator's image does its work as it will be run: nobody in particular, and nothing to write to."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest

from local_images import context, images

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from local_images.engine import Engine
    from tests.postgres_server import Database

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

RESTRICTED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp:noexec,size=1m",
)
"""What Pod Security's ``restricted`` and the operator's Jobs make of a container."""


def test_it_says_its_version(docker_engine: Engine) -> None:
    ended = docker_engine.run(*RESTRICTED, images.MIGRATOR.name, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"migrate {context.version()}\n")


def test_without_an_argument_it_goes_up(docker_engine: Engine, database: Database) -> None:
    first = _migrate(docker_engine, database)
    again = _migrate(docker_engine, database)

    assert first.returncode == 0, first.stderr
    assert first.stdout == "applied 1 revision; the database is at 0001\n"
    assert again.stdout == "nothing to do: the database is at 0001\n"
    assert _migrate(docker_engine, database, "version").stdout == "0001\n"
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM tenants").fetchone() == (0,)


def test_any_other_number_can_run_it(docker_engine: Engine, database: Database) -> None:
    """OpenShift gives each namespace users of its own."""
    ended = _migrate(docker_engine, database, options=("--user=1000670000:0",))
    assert ended.returncode == 0, ended.stderr


def test_a_failure_is_one_line_without_the_password(docker_engine: Engine) -> None:
    url = "postgresql://somebody:hunter2@127.0.0.1:1/nowhere"
    ended = docker_engine.run(
        *RESTRICTED,
        "--env=DATABASE_URL",
        images.MIGRATOR.name,
        environment={"DATABASE_URL": url},
    )
    assert ended.returncode == 13
    assert "hunter2" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_stopped_as_the_first_process_of_its_container_it_ends_in_order(
    docker_engine: Engine, database: Database
) -> None:
    """The kernel ignores a signal that a first process has no handler for."""
    name = f"holder-{uuid.uuid4().hex}"
    arguments = ["--detach", f"--name={name}", "--env=DATABASE_URL", images.MIGRATOR.name]
    docker_engine.run(
        *RESTRICTED, *arguments, "up", "--hold", environment={"DATABASE_URL": database.url}
    )
    deadline = time.monotonic() + 20
    while "0001" not in _position(database):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    began = time.monotonic()
    docker_engine.docker("stop", "--time=10", name)

    assert time.monotonic() - began < 5


def test_a_users_own_image_is_the_three_lines_of_the_readme(
    docker_engine: Engine, database: Database, tmp_path: Path
) -> None:
    readme = (context.ROOT / "README.md").read_text()
    (dockerfile,) = re.findall(r"```dockerfile\n(FROM registry.*?)```", readme, re.DOTALL)
    assert len(dockerfile.splitlines()) == 3
    (tmp_path / "Dockerfile").write_text(dockerfile)
    versions = tmp_path / "billing_schema" / "versions"
    versions.mkdir(parents=True)
    (versions.parent / "__init__.py").touch()
    (versions / "0001_invoices.up.sql").write_text("CREATE TABLE invoices (id bigint);\n")
    (versions / "0001_invoices.down.sql").write_text("DROP TABLE invoices;\n")
    name = "registry.example/billing-migrations:1"
    docker_engine.docker("build", f"--tag={name}", tmp_path, environment={"DOCKER_BUILDKIT": "0"})

    ended = _migrate(docker_engine, database, image=name)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "applied 1 revision; the database is at 0001\n"
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM invoices").fetchone() == (0,)


def _migrate(
    docker_engine: Engine,
    database: Database,
    *arguments: str,
    image: str | None = None,
    options: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    return docker_engine.run(
        *RESTRICTED,
        *options,
        "--env=DATABASE_URL",
        image or images.MIGRATOR.name,
        *arguments,
        environment={"DATABASE_URL": database.url},
    )


def _position(database: Database) -> str:
    try:
        with database.connect() as connection:
            return str(connection.execute("SELECT version_num FROM alembic_version").fetchall())
    except psycopg.errors.UndefinedTable:
        return ""
