from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from tests.postgres_server import Database, PostgresServer

pytestmark = pytest.mark.every_postgres

# Enough rows, in a likely spread, that reading all of a table is the dearer way.
_FILL = """
    INSERT INTO tenants (id, slug, name, status)
    SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, 'tenant-' || n, 'T',
           (CASE WHEN n % 100 = 0 THEN 'frozen' ELSE 'active' END)::tenant_status
    FROM generate_series(1, 5000) n;

    INSERT INTO tenant_projects (tenant_id, slug, name)
    SELECT id, 'web', 'Web' FROM tenants;
    INSERT INTO tenant_products (tenant_id, product) SELECT id, 'crm' FROM tenants;
    INSERT INTO tenant_idp_config (tenant_id, kind) SELECT id, 'oidc' FROM tenants;

    INSERT INTO api_keys (tenant_id, prefix, hash, revoked_at)
    SELECT id, 'ak_' || row_number() OVER (), '$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA',
           CASE WHEN random() < 0.5 THEN now() END
    FROM tenants;

    INSERT INTO audit_log (tenant_id, product, action, crud, actor_id, created_at)
    SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(1 + n % 50), 12, '0'))::uuid,
           'product-' || n % 7, 'login', 'c', 'user-' || n % 40, now() - n * interval '1 minute'
    FROM generate_series(1, 30000) n;

    ANALYZE;
"""
_TENANT = "'00000000-0000-0000-0000-000000000001'"


@pytest.fixture(scope="module")
def filled(
    postgres_server: PostgresServer, move: Callable[..., None]
) -> Iterator[psycopg.Connection]:
    database: Database = postgres_server.create_database()
    move(database, "upgrade")
    with database.connect() as connection:
        connection.execute(_FILL)
        yield connection
    postgres_server.drop_database(database)


@pytest.mark.parametrize(
    ("index", "query"),
    [
        ("tenants_pkey", f"SELECT * FROM tenants WHERE id = {_TENANT}"),
        ("tenants_slug_key", "SELECT * FROM tenants WHERE slug = 'tenant-7'"),
        ("tenants_status_idx", "SELECT * FROM tenants WHERE status = 'frozen'"),
        (
            "tenant_projects_tenant_id_slug_key",
            f"SELECT * FROM tenant_projects WHERE tenant_id = {_TENANT}",
        ),
        ("tenant_products_pkey", f"SELECT * FROM tenant_products WHERE tenant_id = {_TENANT}"),
        (
            "tenant_products_pkey",
            f"SELECT * FROM tenant_products WHERE tenant_id = {_TENANT} AND product = 'crm'",
        ),
        (
            "tenant_idp_config_tenant_id_idx",
            f"SELECT * FROM tenant_idp_config WHERE tenant_id = {_TENANT}",
        ),
        ("api_keys_tenant_id_idx", f"SELECT * FROM api_keys WHERE tenant_id = {_TENANT}"),
        (
            "api_keys_active_prefix_idx",
            "SELECT * FROM api_keys WHERE prefix = 'ak_7' AND revoked_at IS NULL",
        ),
        (
            "audit_log_tenant_id_created_at_idx",
            f"SELECT * FROM audit_log WHERE tenant_id = {_TENANT} ORDER BY created_at DESC LIMIT 50",
        ),
        (
            "audit_log_product_created_at_idx",
            "SELECT * FROM audit_log WHERE product = 'product-3' ORDER BY created_at DESC LIMIT 50",
        ),
        (
            "audit_log_actor_id_created_at_idx",
            "SELECT * FROM audit_log WHERE actor_id = 'user-7' ORDER BY created_at DESC LIMIT 20",
        ),
    ],
)
def test_a_query_uses_its_index(filled: psycopg.Connection, index: str, query: str) -> None:
    nodes = list(_nodes(filled, query))

    assert {node["Index Name"] for node in nodes if "Index Name" in node} == {index}
    # In the index's own order: newest first costs no sort.
    assert [node["Node Type"] for node in nodes if "Sort" in node["Node Type"]] == []


@pytest.mark.parametrize("column", ["tenant_id", "product", "actor_id"])
def test_history_is_indexed_newest_first(filled: psycopg.Connection, column: str) -> None:
    name = f"audit_log_{column}_created_at_idx"
    found = filled.execute("SELECT pg_get_indexdef(%s::regclass)", [name]).fetchone()

    assert found is not None
    assert found[0].endswith(f"({column}, created_at DESC)")


def test_the_index_of_keys_leaves_the_revoked_out(filled: psycopg.Connection) -> None:
    filled.execute("REINDEX INDEX api_keys_active_prefix_idx")  # counts, where ANALYZE estimates
    found = filled.execute(
        """
        SELECT (SELECT reltuples::int FROM pg_class WHERE relname = 'api_keys_active_prefix_idx'),
               (SELECT count(*) FROM api_keys WHERE revoked_at IS NULL),
               (SELECT count(*) FROM api_keys)
        """
    ).fetchone()

    assert found is not None
    indexed, active, every = found
    assert indexed == active < every


def _nodes(connection: psycopg.Connection, query: str) -> Iterator[dict[str, Any]]:
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchone()
    assert row is not None
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    waiting = [plan[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.get("Plans", []))
        yield node
