"""Rows to test with: one of each table, with what it must have and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
MINIMAL: dict[str, dict[str, Any]] = {
    "tenants": {"slug": "acme", "name": "Acme"},
    "tenant_projects": {"slug": "web", "name": "Web"},
    "tenant_products": {"product": "crm"},
    "tenant_idp_config": {"kind": "oidc"},
    "api_keys": {"prefix": "ak_12345678", "hash": HASH},
    "audit_log": {"action": "tenant.create", "crud": "c", "actor_id": "user-1"},
}
OWNED = [table for table in MINIMAL if table != "tenants"]


def insert(connection: psycopg.Connection, table: str, **columns: Any) -> None:
    """Insert a row of a table, with columns added to or put in place of the minimal ones."""
    row = MINIMAL[table] | columns
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    connection.execute(statement, row)


def tenant(connection: psycopg.Connection, slug: str = "acme") -> UUID:
    """Insert a tenant and return its id."""
    insert(connection, "tenants", slug=slug)
    row = connection.execute("SELECT id FROM tenants WHERE slug = %s", [slug]).fetchone()
    assert row is not None
    identifier: UUID = row[0]
    return identifier


def count(connection: psycopg.Connection, table: str) -> int:
    """Return the number of rows of a table."""
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])
