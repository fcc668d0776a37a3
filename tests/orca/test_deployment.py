"""Both shapes of deploy/orca, as their files are, on the real Orca."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.fix_cluster import eventually
from tests.orca.stage import FIRST

if TYPE_CHECKING:
    from tests.orca.stage import Stage
    from tests.postgres_server import Database

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]

LONG = FIRST | {"0002_long.up.sql": "SELECT pg_sleep(100);"}


def starts(database: Database) -> list[str]:
    """Where the database was at each start of the application."""
    with database.connect() as connection:
        try:
            rows = connection.execute("SELECT position FROM starts ORDER BY at").fetchall()
        except psycopg.errors.UndefinedTable:
            return []
    return [position for (position,) in rows]


def runs(database: Database, revision: str) -> list[str | None]:
    """How each run of a revision ended, as the history has it."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT outcome FROM alembic_version_history WHERE revision = %s ORDER BY id",
            [revision],
        ).fetchall()
    return [outcome for (outcome,) in rows]


def test_an_application_that_migrates_first_starts_on_its_schema_and_stays(stage: Stage) -> None:
    database = stage.prepare("shop")
    stage.deploy()
    first = stage.running("shop-api", 2)
    eventually(lambda: starts(database) == ["0001", "0001"])
    assert [stage.status(each, "/healthz") for each in first] == [200, 200]

    stage.deploy()

    assert stage.running("shop-api", 2) == first
    assert starts(database) == ["0001", "0001"]


def test_a_migrator_of_its_own_stays_and_the_application_waits_for_it(stage: Stage) -> None:
    database = stage.prepare("store")
    stage.deploy()
    (migrator,) = stage.running("store-migrate")
    (application,) = stage.running("store-api")
    eventually(lambda: starts(database) == ["0001"])
    eventually(lambda: stage.status(migrator, "/readyz") == 200)
    assert stage.status(application, "/healthz") == 200

    stage.deploy()

    assert stage.running("store-migrate") == [migrator]
    assert stage.running("store-api") == [application]
    assert starts(database) == ["0001"]


def test_a_migrator_that_stays_is_left_alone_where_one_that_ends_is_started_again(
    stage: Stage,
) -> None:
    database = stage.prepare("store")
    stage.deploy()
    (migrator,) = stage.running("store-migrate")
    (application,) = stage.running("store-api")
    eventually(lambda: starts(database) == ["0001"])

    stage.engine.docker("kill", application.identity)
    eventually(lambda: starts(database) == ["0001", "0001"], 120)

    # Orca has looked for what had ended, and at this one too.
    assert stage.running("store-migrate") == [migrator]


def test_a_migration_longer_than_orcas_patience_is_not_disturbed(stage: Stage) -> None:
    shop, store = stage.prepare("shop", LONG), stage.prepare("store", LONG)
    stage.deploy()

    eventually(lambda: starts(shop) == ["0002", "0002"], 240)
    eventually(lambda: starts(store) == ["0002"], 120)

    assert runs(shop, "0002") == ["applied"]
    assert runs(store, "0002") == ["applied"]


def test_a_rotated_secret_is_taken_at_a_redeployment(stage: Stage) -> None:
    database = stage.prepare("shop")
    with database.connect() as connection:
        connection.execute("CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'the-old-password'")
    try:
        _, _, place = stage.reachable(database.url).rpartition("@")
        stage.set_secret("shop", f"postgresql://rotated:the-old-password@{place}")
        stage.deploy()
        first = stage.running("shop-api", 2)
        eventually(lambda: starts(database) == ["0001", "0001"])

        with database.connect() as connection:
            connection.execute("ALTER ROLE rotated PASSWORD 'the-new-password'")
        stage.set_secret("shop", f"postgresql://rotated:the-new-password@{place}")
        stage.deploy()
        assert stage.running("shop-api", 2) == first

        stage.orca.run("redeploy", "shop-api")
        eventually(lambda: starts(database) == ["0001"] * 4, 120)
    finally:
        with database.connect() as connection:
            connection.execute("REASSIGN OWNED BY rotated TO CURRENT_USER; DROP ROLE rotated")
