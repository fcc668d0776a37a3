"""What goes wrong on Orca, and where it leaves the database, the application, and who reads the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fix_cluster import eventually
from tests.orca.stage import FIRST
from tests.orca.test_deployment import runs, starts

if TYPE_CHECKING:
    from tests.orca.stage import Stage
    from tests.postgres_server import Database

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]

FAILING = FIRST | {"0002_failing.up.sql": "ALTER TABLE missing ADD COLUMN a int;"}
MENDED = FIRST | {"0002_mended.up.sql": "ALTER TABLE starts ADD COLUMN a int;"}
DIRTY = FIRST | {
    "0002_half.up.sql": (
        "-- migrate: no-transaction\nCREATE TABLE half (a int);\nALTER TABLE missing ADD COLUMN a int;"
    )
}
SLOW = FIRST | {"0002_slow.up.sql": "SELECT pg_sleep(8);"}

SHAPES = {"shop": "shop-api", "store": "store-migrate"}
"""Each example, and the service of it that migrates."""


def _position(database: Database) -> str:
    with database.connect() as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return "" if row is None else str(row[0])


def _asleep(database: Database) -> int | None:
    """The server process that runs the slow revision now."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = 'PgSleep'"
        ).fetchone()
    return None if row is None else int(row[0])


def _applied_by(database: Database, revision: str) -> int:
    """The server process that applied a revision."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT backend_pid FROM alembic_version_history"
            " WHERE revision = %s AND outcome = 'applied'",
            [revision],
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("project", SHAPES)
def test_an_update_whose_migration_fails_starts_no_application_until_it_is_mended(
    project: str, stage: Stage
) -> None:
    database = stage.prepare(project)
    replicas = 2 if project == "shop" else 1
    stage.deploy()
    eventually(lambda: starts(database) == ["0001"] * replicas, 90)

    stage.release(project, "1.5.0", FAILING)
    stage.deploy()  # to Orca a container that ended at once was deployed
    ended = stage.ended(SHAPES[project], 10)

    assert "migrate: failed: " in stage.log(ended)
    assert _position(database) == "0001"
    assert starts(database) == ["0001"] * replicas
    if project == "shop":  # Orca has ended the old ones before it started the new ones
        eventually(lambda: not any(each.running for each in stage.containers("shop-api")))

    stage.build(project, "1.6.0", MENDED)
    stage.edit(project, ":1.5.0", ":1.6.0")
    stage.deploy()
    # It may start once more: Orca restarts what depends on what was replaced.
    eventually(lambda: starts(database)[replicas:][:replicas] == ["0002"] * replicas, 120)
    assert set(starts(database)[replicas:]) == {"0002"}


def test_a_pipeline_that_migrates_before_it_deploys_keeps_what_runs(stage: Stage) -> None:
    database = stage.prepare("shop")
    stage.deploy()
    before = stage.running("shop-api", 2)

    stage.release("shop", "1.5.0", FAILING)
    assert stage.migrate(database, "registry.example/shop-api:1.5.0") == 10
    assert stage.running("shop-api", 2) == before

    stage.build("shop", "1.6.0", MENDED)
    stage.edit("shop", ":1.5.0", ":1.6.0")
    assert stage.migrate(database, "registry.example/shop-api:1.6.0") == 0
    stage.deploy()
    eventually(lambda: starts(database)[2:] == ["0002", "0002"], 120)
    said = [stage.log(each) for each in stage.running("shop-api", 2)]
    assert all(text.startswith("migrate: nothing to do: the database is at 0002") for text in said)


@pytest.mark.parametrize("project", SHAPES)
def test_a_dirty_database_is_left_alone_at_every_start_until_a_person_has_looked(
    project: str, stage: Stage
) -> None:
    database = stage.prepare(project, DIRTY)
    stage.deploy()
    first = stage.ended(SHAPES[project], 11)
    again = eventually(
        lambda: next(
            (
                each
                for each in stage.containers(SHAPES[project])
                if each != first and not each.running and each.exit_code == 11
            ),
            None,
        ),
        120,
    )

    if project == "store":
        assert "migrate: dirty: " in stage.log(stage.ended("store-api", 11))
    said = stage.log(again)
    assert "migrate: dirty: " in said
    assert len(runs(database, "0002")) == 1
    assert starts(database) == []

    incident = said.rpartition("--incident ")[2].split()[0]
    stage.edit(
        project,
        'DATABASE_URL = "${secrets.database_url}"',
        f'DATABASE_URL = "${{secrets.database_url}}"\nMIGRATE_RESOLVE = "{incident}=0002"',
    )
    stage.deploy()
    eventually(lambda: starts(database)[:1] == ["0002"], 120)
    assert len(runs(database, "0002")) == 2  # the resolution, and no second try


def test_a_secret_that_is_not_there_keeps_the_service_from_being_deployed(stage: Stage) -> None:
    stage.prepare("shop")
    stage.orca.run("secrets", "remove", "shop.database_url")

    ended = stage.orca.run("deploy", check=False)

    assert ended.returncode == 1
    assert "shop-api" in ended.stdout + ended.stderr
    assert stage.containers("shop-api") == []


def test_a_secret_in_a_command_is_not_resolved_and_the_migrator_says_who_left_it(
    stage: Stage,
) -> None:
    stage.prepare("store")
    stage.edit(
        "store",
        'cmd = ["up", "--hold", "--listen=0.0.0.0:8080"]',
        'cmd = ["exec", "--", "env", "DATABASE_URL=${secrets.database_url}", "migrate", "up"]',
    )
    stage.deploy()

    said = stage.log(stage.ended("store-migrate", 14))

    assert "Orca left a secret unresolved in it" in said


@pytest.mark.parametrize("project", SHAPES)
@pytest.mark.parametrize("end", ["killed", "redeployed"])
def test_a_run_that_is_ended_in_the_middle_leaves_a_clean_database_and_the_next_goes_on(
    end: str, project: str, stage: Stage
) -> None:
    database = stage.prepare(project, SLOW)
    # It waits for what is ready before it starts the next one.
    deployment = stage.deploy_meanwhile()
    interrupted = eventually(lambda: _asleep(database), 60)
    service = SHAPES[project]

    if end == "killed":
        for container in stage.containers(service):
            stage.engine.docker("kill", "--signal=KILL", container.identity)
    else:
        stage.orca.run("redeploy", service)
    deployment.communicate(timeout=120)

    eventually(lambda: starts(database)[:1] == ["0002"], 150)
    assert _applied_by(database, "0002") != interrupted
    assert _position(database) == "0002"
