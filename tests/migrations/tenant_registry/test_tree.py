from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.migrations import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from tests.postgres_server import Database

pytestmark = pytest.mark.every_postgres


def test_down_leaves_nothing(database: Database, move: Callable[..., None]) -> None:
    with database.connect() as connection:
        before = catalogue.read(connection)
        move(database, "upgrade")
        between = catalogue.read(connection)
        move(database, "downgrade")

        assert catalogue.read(connection) == before
        assert len(between - before) > 100


def test_up_down_up_gives_the_same_catalogue(database: Database, move: Callable[..., None]) -> None:
    with database.connect() as connection:
        move(database, "upgrade")
        first = catalogue.read(connection)
        move(database, "downgrade")
        move(database, "upgrade")

        assert catalogue.read(connection) == first


def test_down_works_on_filled_tables(database: Database, move: Callable[..., None]) -> None:
    move(database, "upgrade")
    with database.connect() as connection:
        connection.execute("INSERT INTO tenants (slug, name) VALUES ('acme', 'Acme')")
        move(database, "downgrade")

        assert connection.execute("SELECT to_regclass('tenants')").fetchone() == (None,)


def test_lands_in_the_first_schema_of_the_search_path(
    database: Database, move: Callable[..., None]
) -> None:
    with database.connect() as connection:
        name = connection.info.dbname
        connection.execute("CREATE SCHEMA registry")
        connection.execute(f'ALTER DATABASE "{name}" SET search_path = registry, public')
        before = catalogue.read(connection)
        move(database, "upgrade")
        elsewhere = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone()
        connection.execute("SET search_path = ''")
        connection.execute("INSERT INTO registry.tenants (slug, name) VALUES ('acme', 'Acme')")
        changed = connection.execute(
            "UPDATE registry.tenants SET name = 'New' RETURNING updated_at > created_at"
        ).fetchone()
        move(database, "downgrade")
        connection.execute("RESET search_path")

        assert elsewhere == (0,)
        assert changed == (True,)
        assert catalogue.read(connection) == before


def test_enums_have_the_labels_of_the_contract(registry: psycopg.Connection) -> None:
    assert catalogue.enums(registry) == {
        "tenant_status": ["demo", "trial", "active", "frozen", "archived"],
        "tenant_kind": ["customer", "demo"],
        "idp_kind": ["oidc", "saml"],
        "tenant_project_status": ["active", "archived"],
    }


def test_every_constraint_and_index_is_named_after_its_table(
    registry: psycopg.Connection,
) -> None:
    rows = registry.execute(
        """
        SELECT c.relname, k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE k.connamespace = 'public'::regnamespace
        UNION ALL
        SELECT t.relname, c.relname FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace
        """
    ).fetchall()

    assert len(rows) > 40
    assert [name for table, name in rows if not name.startswith(f"{table}_")] == []


def test_every_foreign_key_has_an_index_to_follow_it_back(registry: psycopg.Connection) -> None:
    rows = registry.execute(
        """
        SELECT k.conname, EXISTS (
            SELECT FROM pg_index i
            WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1] AND i.indpred IS NULL
        )
        FROM pg_constraint k WHERE k.contype = 'f'
        """
    ).fetchall()

    assert sorted(rows) == [
        ("api_keys_tenant_id_fkey", True),
        ("audit_log_tenant_id_fkey", True),
        ("tenant_idp_config_tenant_id_fkey", True),
        ("tenant_products_tenant_id_fkey", True),
        ("tenant_projects_tenant_id_fkey", True),
    ]
