from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg import errors, sql

from tests.migrations.tenant_registry import rows

if TYPE_CHECKING:
    import psycopg

pytestmark = pytest.mark.every_postgres


@pytest.mark.parametrize("table", rows.MINIMAL)
def test_takes_a_row_with_no_more_than_it_needs(registry: psycopg.Connection, table: str) -> None:
    owner = {} if table == "tenants" else {"tenant_id": rows.tenant(registry)}
    rows.insert(registry, table, **owner)

    assert rows.count(registry, table) == 1


@pytest.mark.parametrize("table", [t for t in rows.OWNED if t != "audit_log"])
def test_a_row_goes_with_its_tenant(registry: psycopg.Connection, table: str) -> None:
    gone, kept = rows.tenant(registry, "gone"), rows.tenant(registry, "kept")
    rows.insert(registry, table, tenant_id=gone)
    rows.insert(registry, table, tenant_id=kept)
    registry.execute("DELETE FROM tenants WHERE id = %s", [gone])

    query = sql.SQL("SELECT tenant_id FROM {}").format(sql.Identifier(table))
    assert registry.execute(query).fetchall() == [(kept,)]


def test_history_outlives_its_tenant(registry: psycopg.Connection) -> None:
    gone = rows.tenant(registry)
    rows.insert(registry, "audit_log", tenant_id=gone, group_id=str(gone))
    registry.execute("DELETE FROM tenants")

    found = registry.execute("SELECT tenant_id, group_id, action FROM audit_log").fetchall()
    assert found == [(None, str(gone), "tenant.create")]


@pytest.mark.parametrize("table", rows.OWNED)
def test_a_row_needs_a_tenant_that_exists(registry: psycopg.Connection, table: str) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        rows.insert(registry, table, tenant_id="00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("table", [t for t in rows.OWNED if t != "audit_log"])
def test_a_row_cannot_be_nobodys(registry: psycopg.Connection, table: str) -> None:
    with pytest.raises(errors.NotNullViolation):
        rows.insert(registry, table, tenant_id=None)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE {} SET created_at = created_at", id="that-changes-nothing"),
        pytest.param("UPDATE {} SET updated_at = '2001-01-01'", id="that-names-another-time"),
    ],
)
@pytest.mark.parametrize(
    "table", ["tenants", "tenant_projects", "tenant_products", "tenant_idp_config"]
)
def test_an_update_dates_the_row(registry: psycopg.Connection, table: str, statement: str) -> None:
    owner = {} if table == "tenants" else {"tenant_id": rows.tenant(registry)}
    with registry.transaction():
        # One transaction, in which now() stands still: the change has a time of its own.
        rows.insert(registry, table, **owner)
        registry.execute(sql.SQL(statement).format(sql.Identifier(table)))

    query = sql.SQL("SELECT created_at < updated_at, updated_at <= clock_timestamp() FROM {}")
    assert registry.execute(query.format(sql.Identifier(table))).fetchall() == [(True, True)]


def test_an_update_dates_only_its_own_row(registry: psycopg.Connection) -> None:
    rows.tenant(registry, "one")
    rows.tenant(registry, "two")
    registry.execute("UPDATE tenants SET plan = 'gold' WHERE slug = 'one'")

    query = "SELECT slug FROM tenants WHERE updated_at > created_at"
    assert registry.execute(query).fetchall() == [("one",)]


@pytest.mark.parametrize(
    "slug",
    [
        pytest.param("abc", id="three-characters"),
        pytest.param("a" * 40, id="forty-characters"),
        pytest.param("a-c", id="dash-inside"),
        pytest.param("a--c", id="two-dashes-inside"),
        pytest.param("123", id="digits-alone"),
        pytest.param("1-x-9", id="begins-and-ends-with-a-digit"),
    ],
)
def test_a_good_slug(registry: psycopg.Connection, slug: str) -> None:
    rows.insert(registry, "tenants", slug=slug)

    assert registry.execute("SELECT slug FROM tenants").fetchall() == [(slug,)]


@pytest.mark.parametrize(
    "slug",
    [
        pytest.param("", id="empty"),
        pytest.param("ab", id="two-characters"),
        pytest.param("a" * 41, id="forty-one-characters"),
        pytest.param("-abc", id="leading-dash"),
        pytest.param("abc-", id="trailing-dash"),
        pytest.param("---", id="dashes-alone"),
        pytest.param("Abc", id="upper-case"),
        pytest.param("a_c", id="underscore"),
        pytest.param("a.c", id="dot"),
        pytest.param("a c", id="space"),
        pytest.param("abc\n", id="trailing-newline"),
        pytest.param("abc\ndef", id="two-lines"),
        pytest.param("äbc", id="umlaut"),
        pytest.param("a٣c", id="digit-of-another-script"),
    ],
)
def test_a_bad_slug(registry: psycopg.Connection, slug: str) -> None:
    with pytest.raises(errors.CheckViolation, match="tenants_slug_check"):
        rows.insert(registry, "tenants", slug=slug)


def test_a_slug_names_one_tenant(registry: psycopg.Connection) -> None:
    rows.insert(registry, "tenants")
    with pytest.raises(errors.UniqueViolation, match="tenants_slug_key"):
        rows.insert(registry, "tenants")


def test_a_projects_slug_is_unique_within_its_tenant_only(registry: psycopg.Connection) -> None:
    one, two = rows.tenant(registry, "one"), rows.tenant(registry, "two")
    rows.insert(registry, "tenant_projects", tenant_id=one)
    rows.insert(registry, "tenant_projects", tenant_id=two)
    with pytest.raises(errors.UniqueViolation, match="tenant_projects_tenant_id_slug_key"):
        rows.insert(registry, "tenant_projects", tenant_id=one)


def test_a_product_cannot_be_entitled_twice(registry: psycopg.Connection) -> None:
    one, two = rows.tenant(registry, "one"), rows.tenant(registry, "two")
    rows.insert(registry, "tenant_products", tenant_id=one, enabled=True)
    rows.insert(registry, "tenant_products", tenant_id=one, product="erp")
    rows.insert(registry, "tenant_products", tenant_id=two)
    with pytest.raises(errors.UniqueViolation, match="tenant_products_pkey"):
        rows.insert(registry, "tenant_products", tenant_id=one, enabled=False)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("tenants", "status"),
        ("tenants", "kind"),
        ("tenant_projects", "status"),
        ("tenant_idp_config", "kind"),
    ],
)
def test_an_enum_refuses_a_stranger(registry: psycopg.Connection, table: str, column: str) -> None:
    owner = {} if table == "tenants" else {"tenant_id": rows.tenant(registry)}
    with pytest.raises(errors.InvalidTextRepresentation):
        rows.insert(registry, table, **owner, **{column: "stranger"})


@pytest.mark.parametrize(
    ("table", "columns", "constraint"),
    [
        ("tenants", {"name": " "}, "tenants_name_check"),
        (
            "tenants",
            {"contract_start": "2026-02-01", "contract_end": "2026-01-31"},
            "tenants_contract_check",
        ),
        ("tenant_projects", {"slug": "a_b"}, "tenant_projects_slug_check"),
        ("tenant_projects", {"slug": "a" * 64}, "tenant_projects_slug_check"),
        ("tenant_projects", {"name": ""}, "tenant_projects_name_check"),
        ("tenant_products", {"product": ""}, "tenant_products_product_check"),
        ("tenant_products", {"config": "[]"}, "tenant_products_config_check"),
        ("tenant_idp_config", {"metadata": '"text"'}, "tenant_idp_config_metadata_check"),
        ("api_keys", {"prefix": ""}, "api_keys_prefix_check"),
        ("api_keys", {"hash": "ak_12345678_in_clear"}, "api_keys_hash_check"),
        ("api_keys", {"scopes": ["read", None]}, "api_keys_scopes_check"),
        ("audit_log", {"action": ""}, "audit_log_action_check"),
        ("audit_log", {"crud": "x"}, "audit_log_crud_check"),
        ("audit_log", {"actor_id": None}, "audit_log_actor_check"),
        ("audit_log", {"target_name": "Acme"}, "audit_log_target_check"),
        ("audit_log", {"group_name": "Acme"}, "audit_log_group_check"),
        ("audit_log", {"fields": "1"}, "audit_log_fields_check"),
        ("audit_log", {"metadata": "[]"}, "audit_log_metadata_check"),
        ("audit_log", {"actor_fields": "[]"}, "audit_log_actor_fields_check"),
        ("audit_log", {"target_fields": "[]"}, "audit_log_target_fields_check"),
    ],
)
def test_a_check_refuses(
    registry: psycopg.Connection, table: str, columns: dict[str, Any], constraint: str
) -> None:
    owner = {} if table == "tenants" else {"tenant_id": rows.tenant(registry)}
    with pytest.raises(errors.CheckViolation, match=constraint):
        rows.insert(registry, table, **owner, **columns)


def test_an_event_of_retraced_keeps_all_that_it_says(registry: psycopg.Connection) -> None:
    event = {
        "action": "invoice.delete",
        "crud": "d",
        "group_id": "acme",
        "group_name": "Acme",
        "created_at": "2026-01-02 03:04:05.678+00",
        "received_at": "2026-01-02 03:04:06+00",
        "actor_id": "user-7",
        "actor_name": "Ann",
        "actor_href": "https://example.com/users/7",
        "actor_fields": '{"team": "sales"}',
        "target_id": "invoice-9",
        "target_name": "Nine",
        "target_href": "https://example.com/invoices/9",
        "target_type": "invoice",
        "target_fields": '{"sum": "12"}',
        "source_ip": "2001:db8::1/128",
        "description": "Ann deleted an invoice",
        "is_anonymous": "false",
        "is_failure": "true",
        "fields": '{"reason": "duplicate"}',
        "component": "billing",
        "version": "1.2.3",
        "product": "erp",
        "external_id": "e-1",
        "metadata": '{"trace": "t"}',
    }
    rows.insert(registry, "audit_log", **event)
    registry.execute("SET TIME ZONE 'UTC'")

    names = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in event)
    found = registry.execute(sql.SQL("SELECT {} FROM audit_log").format(names)).fetchone()
    assert found is not None
    assert dict(zip(event, found, strict=True)) == event


def test_an_anonymous_event_needs_no_actor(registry: psycopg.Connection) -> None:
    rows.insert(registry, "audit_log", actor_id=None, is_anonymous=True)

    assert rows.count(registry, "audit_log") == 1


def test_events_of_one_transaction_keep_their_order(registry: psycopg.Connection) -> None:
    with registry.transaction():
        for action in ("first", "second", "third"):
            rows.insert(registry, "audit_log", action=action)

    found = registry.execute(
        "SELECT array_agg(action ORDER BY created_at), count(DISTINCT created_at) FROM audit_log"
    ).fetchone()
    assert found == (["first", "second", "third"], 3)
