"""The whole product: operator, Job, process node, the real migrator, a real PostgreSQL."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from tests.fix_cluster import eventually
from tests.fix_migrator import Engine
from tests.operator.fix_operator import Migrations, migration

if TYPE_CHECKING:
    from tests.fix_cluster import Objects
    from tests.fix_migrator import Revisions
    from tests.operator.fix_operator import Operator
    from tests.postgres_server import Database

IMAGE = "registry.example/tenant-registry-migrations:1"
NAME = "registry"
QUICK = {"backoff": "200ms", "maxBackoff": "1s"}


@dataclasses.dataclass
class Registry:
    """One SchemaMigration, its Secret, its tree and its database."""

    migrations: Migrations
    operator: Operator
    engine: Engine

    def secret(self, url: str | None = None) -> None:
        """Write the Secret; by default with the database's right URL."""
        self.migrations.objects.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": NAME},
                "stringData": {"DATABASE_URL": self.engine.database.url if url is None else url},
            }
        )

    def apply(self, **spec: Any) -> None:
        """Apply the resource with the tree of this test."""
        wanted = {"image": IMAGE, "tree": str(self.engine.revisions.directory), "retry": QUICK}
        self.migrations.apply(NAME, **(wanted | spec))

    def until(self, reason: str, seconds: float = 40.0) -> dict[str, Any]:
        """Return the status as soon as it answers the present spec with this reason."""
        return self.migrations.until(NAME, reason, seconds)

    def patch(self, **spec: Any) -> None:
        """Change the spec."""
        self.migrations.patch(NAME, **spec)

    def request(self, value: str) -> None:
        """Ask for another run."""
        self.migrations.objects.kubectl(
            "annotate",
            "smig",
            NAME,
            "--overwrite",
            f"migrations.tenant-registry.dev/requestedAt={value}",
        )

    def jobs(self) -> list[dict[str, Any]]:
        """Return its Jobs."""
        return self.migrations.jobs(NAME)

    def message(self) -> str:
        """Return the message of its Ready condition."""
        return str(self.migrations.status(NAME)["conditions"][0]["message"])

    def runs(self) -> list[tuple[str, str]]:
        """Return revision and outcome of each row in the database's history."""
        rows = self.engine.query(
            "SELECT revision, coalesce(outcome, 'open') FROM alembic_version_history ORDER BY id"
        )
        return [(str(revision), str(outcome)) for revision, outcome in rows]


@pytest.fixture
def registry(
    objects: Objects, operator: Operator, database: Database, revisions: Revisions
) -> Registry:
    """An operator for this test's namespace, an empty tree, an empty database; nothing applied."""
    return Registry(Migrations(objects), operator, Engine(database, revisions))


@pytest.fixture
def collected(objects: Objects, installed: object) -> None:
    """The garbage collector knows the resource's kind: it looks for new ones every 30 seconds."""
    owner = {
        **migration("probe"),
        "spec": {"image": IMAGE, "suspend": True, "database": {"urlSecretRef": {"name": "x"}}},
    }
    objects.apply(owner)
    found = objects.get("schemamigration", "probe")
    assert found is not None
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": "probe",
        "uid": found["metadata"]["uid"],
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "probe", "ownerReferences": [reference]},
    }
    objects.apply(secret)
    objects.kubectl("delete", "smig", "probe")
    eventually(lambda: not objects.kubectl("get", "secret", "probe", "--ignore-not-found"), 60)
