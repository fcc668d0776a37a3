"""Tenants, what they are entitled to, their keys, and the audit log.

Revision ID: 0001
Revises:
Create Date: 2026-11-24

The whole schema of the tenant registry, in one revision. Names are not qualified: everything
lands in the first schema of the search path. Nothing newer than PostgreSQL 14
is used, and no extension.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

ENUMS = {
    "tenant_status": ("demo", "trial", "active", "frozen", "archived"),
    "tenant_kind": ("customer", "demo"),
    "idp_kind": ("oidc", "saml"),
    "tenant_project_status": ("active", "archived"),
}

# In the order of their foreign keys.
TABLES = (
    "tenants",
    "tenant_projects",
    "tenant_products",
    "tenant_idp_config",
    "api_keys",
    "audit_log",
)

# Those whose rows say when they were changed last.
MUTABLE = ("tenants", "tenant_projects", "tenant_products", "tenant_idp_config")

NOW = sa.text("now()")
CLOCK = sa.text("clock_timestamp()")


def upgrade() -> None:
    for name, labels in ENUMS.items():
        quoted = ", ".join(f"'{label}'" for label in labels)
        op.execute(f"CREATE TYPE {name} AS ENUM ({quoted})")
    _create_tenants()
    _create_tenant_projects()
    _create_tenant_products()
    _create_tenant_idp_config()
    _create_api_keys()
    _create_audit_log()
    _create_triggers()


def downgrade() -> None:
    # Indexes, constraints and triggers go with their tables.
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DROP FUNCTION tenant_registry_set_updated_at()")
    for name in reversed(ENUMS):
        op.execute(f"DROP TYPE {name}")


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        _id(),
        # Bytewise, as are all identifiers: their order, and so their indexes,
        # must not change when the machine's collations do.
        sa.Column(
            "slug",
            sa.Text(collation="C"),
            nullable=False,
            comment="The tenant's name in host names and paths",
        ),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", _enum("tenant_status"), nullable=False, server_default="trial"),
        sa.Column("kind", _enum("tenant_kind"), nullable=False, server_default="customer"),
        sa.Column("plan", sa.Text),
        sa.Column("erp_id", sa.Text, comment="The customer in the ERP system"),
        sa.Column("stripe_id", sa.Text, comment="The customer at Stripe"),
        sa.Column("trial_ends_at", sa.DateTime(timezone=True)),
        sa.Column("contract_start", sa.Date, comment="First day of the contract"),
        sa.Column("contract_end", sa.Date, comment="Last day of the contract"),
        sa.Column("sales_owner", sa.Text),
        *_timestamps(),
        sa.PrimaryKeyConstraint("id", name="tenants_pkey"),
        sa.UniqueConstraint("slug", name="tenants_slug_key"),
        sa.CheckConstraint(
            "slug ~ '^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$'",
            name="tenants_slug_check",
        ),
        sa.CheckConstraint("btrim(name) <> ''", name="tenants_name_check"),
        sa.CheckConstraint("contract_end >= contract_start", name="tenants_contract_check"),
        comment="Customers and demonstrations, across all products",
    )
    op.create_index("tenants_status_idx", "tenants", ["status"])


def _create_tenant_projects() -> None:
    op.create_table(
        "tenant_projects",
        _id(),
        _tenant_id(nullable=False),
        sa.Column("slug", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column(
            "status",
            _enum("tenant_project_status"),
            nullable=False,
            server_default="active",
        ),
        *_timestamps(),
        sa.PrimaryKeyConstraint("id", name="tenant_projects_pkey"),
        # Its index begins with tenant_id and so serves the foreign key too.
        sa.UniqueConstraint("tenant_id", "slug", name="tenant_projects_tenant_id_slug_key"),
        _belongs_to_tenant("tenant_projects"),
        # A DNS label. The stricter rule of tenants is for tenants alone.
        sa.CheckConstraint(
            "slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'",
            name="tenant_projects_slug_check",
        ),
        sa.CheckConstraint("btrim(name) <> ''", name="tenant_projects_name_check"),
        comment="Parts of a tenant, for the products that opt in to them",
    )


def _create_tenant_products() -> None:
    op.create_table(
        "tenant_products",
        _tenant_id(nullable=False),
        sa.Column("product", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "enabled",
            sa.Boolean,
            nullable=False,
            server_default=sa.true(),
            comment="Whether the entitlement is on; off keeps its configuration",
        ),
        _json_object("config"),
        *_timestamps(),
        # One row for a tenant and a product: an entitlement can't be given twice.
        sa.PrimaryKeyConstraint("tenant_id", "product", name="tenant_products_pkey"),
        _belongs_to_tenant("tenant_products"),
        sa.CheckConstraint("btrim(product) <> ''", name="tenant_products_product_check"),
        _is_json_object("tenant_products", "config"),
        comment="Which tenant is entitled to which product",
    )


def _create_tenant_idp_config() -> None:
    op.create_table(
        "tenant_idp_config",
        _id(),
        _tenant_id(nullable=False),
        sa.Column("kind", _enum("idp_kind"), nullable=False),
        _json_object("metadata"),
        *_timestamps(),
        sa.PrimaryKeyConstraint("id", name="tenant_idp_config_pkey"),
        _belongs_to_tenant("tenant_idp_config"),
        _is_json_object("tenant_idp_config", "metadata"),
        comment="Identity providers of a tenant's enterprise single sign-on",
    )
    op.create_index("tenant_idp_config_tenant_id_idx", "tenant_idp_config", ["tenant_id"])


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        _id(),
        _tenant_id(nullable=False),
        sa.Column(
            "prefix",
            sa.Text(collation="C"),
            nullable=False,
            comment="The key's beginning, by which people and the lookup know it",
        ),
        sa.Column(
            "hash",
            sa.Text,
            nullable=False,
            comment="Argon2 hash of the key, in PHC form; the key itself is stored nowhere",
        ),
        sa.Column("scopes", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="api_keys_pkey"),
        _belongs_to_tenant("api_keys"),
        sa.CheckConstraint("btrim(prefix) <> ''", name="api_keys_prefix_check"),
        # A key in clear can't be stored by mistake.
        sa.CheckConstraint("hash ~ '^[$]argon2(id|i|d)[$]'", name="api_keys_hash_check"),
        sa.CheckConstraint("array_position(scopes, NULL) IS NULL", name="api_keys_scopes_check"),
        comment="Keys that call the products' interfaces in a tenant's name",
    )
    # A request brings a key, its prefix finds the row; keys that were revoked
    # only pile up, so the index leaves them out.
    op.create_index(
        "api_keys_active_prefix_idx",
        "api_keys",
        ["prefix"],
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    # All of a tenant's keys: what removing the tenant looks for.
    op.create_index("api_keys_tenant_id_idx", "api_keys", ["tenant_id"])


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        _id(),
        _tenant_id(nullable=True, comment="Null once the tenant is gone; group_id stays"),
        sa.Column("product", sa.Text(collation="C")),
        sa.Column("action", sa.Text, nullable=False, comment="For example tenant.freeze"),
        sa.Column(
            "crud",
            sa.Text,
            nullable=False,
            comment="Create, read, update or delete: c, r, u or d",
        ),
        sa.Column("description", sa.Text),
        sa.Column("actor_id", sa.Text(collation="C"), comment="Who did it"),
        sa.Column("actor_name", sa.Text),
        sa.Column("actor_href", sa.Text),
        _json_object("actor_fields"),
        sa.Column("target_id", sa.Text(collation="C"), comment="What it was done to"),
        sa.Column("target_name", sa.Text),
        sa.Column("target_type", sa.Text),
        sa.Column("target_href", sa.Text),
        _json_object("target_fields"),
        sa.Column("group_id", sa.Text(collation="C"), comment="The customer, as the event says"),
        sa.Column("group_name", sa.Text),
        sa.Column("source_ip", postgresql.INET),
        sa.Column("is_anonymous", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("is_failure", sa.Boolean, nullable=False, server_default=sa.false()),
        _json_object("fields"),
        _json_object("metadata"),
        sa.Column("component", sa.Text, comment="The part of the product that sent the event"),
        sa.Column("version", sa.Text, comment="That part's version"),
        sa.Column("external_id", sa.Text, comment="The event's id where it came from"),
        # The moment, not the transaction's: events of one transaction keep their order.
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=CLOCK,
            comment="When it happened (Retraced: created)",
        ),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=CLOCK,
            comment="When it was recorded (Retraced: received)",
        ),
        sa.PrimaryKeyConstraint("id", name="audit_log_pkey"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="audit_log_tenant_id_fkey",
            ondelete="SET NULL",
        ),
        # What Retraced itself demands of an event.
        sa.CheckConstraint("btrim(action) <> ''", name="audit_log_action_check"),
        sa.CheckConstraint("crud IN ('c', 'r', 'u', 'd')", name="audit_log_crud_check"),
        sa.CheckConstraint("is_anonymous OR actor_id IS NOT NULL", name="audit_log_actor_check"),
        sa.CheckConstraint(
            "target_id IS NOT NULL OR num_nonnulls(target_name, target_type, target_href) = 0",
            name="audit_log_target_check",
        ),
        sa.CheckConstraint(
            "group_id IS NOT NULL OR group_name IS NULL",
            name="audit_log_group_check",
        ),
        *(
            _is_json_object("audit_log", column)
            for column in ("actor_fields", "target_fields", "fields", "metadata")
        ),
        comment="What happened, in the shape of Retraced's event; outlives the tenants",
    )
    for column in ("tenant_id", "product", "actor_id"):
        op.create_index(
            f"audit_log_{column}_created_at_idx",
            "audit_log",
            [column, sa.text("created_at DESC")],
        )


def _create_triggers() -> None:
    # clock_timestamp() and not now(): the time of the change, not of its
    # transaction's start, so that a second change in one transaction shows, and
    # a long transaction doesn't date its changes before what it could not see.
    # All names in the body are qualified, so no search path can change them.
    op.execute(
        """
        CREATE FUNCTION tenant_registry_set_updated_at() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            NEW.updated_at := pg_catalog.clock_timestamp();
            RETURN NEW;
        END
        $$
        """
    )
    op.execute(
        "COMMENT ON FUNCTION tenant_registry_set_updated_at() IS "
        "'Dates every change of a row, whatever the statement says'"
    )
    for table in MUTABLE:
        op.execute(
            f"CREATE TRIGGER {table}_set_updated_at BEFORE UPDATE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION tenant_registry_set_updated_at()"
        )


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()"))


def _tenant_id(*, nullable: bool, comment: str | None = None) -> sa.Column[object]:
    return sa.Column("tenant_id", sa.Uuid, nullable=nullable, comment=comment)


def _belongs_to_tenant(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id"],
        ["tenants.id"],
        name=f"{table}_tenant_id_fkey",
        ondelete="CASCADE",
    )


def _enum(name: str) -> postgresql.ENUM:
    return postgresql.ENUM(*ENUMS[name], name=name, create_type=False)


def _json_object(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB, nullable=False, server_default="{}")


def _is_json_object(table: str, column: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(
        f"jsonb_typeof({column}) = 'object'",
        name=f"{table}_{column}_check",
    )


def _timestamps() -> tuple[sa.Column[object], sa.Column[object]]:
    return (
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=NOW,
            comment="Set by a trigger",
        ),
    )
