"""An application behind its schema, under Flux's own controller and with the files that ship."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.manifests import DEPLOY
from tests.fix_cluster import eventually
from tests.fix_migrator import Engine
from tests.flux.fix_flux import NAMESPACE
from tests.operator.fix_operator import Migrations, condition, pause

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects
    from tests.fix_migrator import Revisions
    from tests.flux.fix_flux import Flux
    from tests.postgres_server import Database

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

NAME = "tenant-registry"
SCHEMA = "tenant-registry-schema"
APPLICATION = "tenant-registry"

ONE = "op.execute('CREATE TABLE one ()')", "op.execute('DROP TABLE one')"
TWO = "op.execute('CREATE TABLE two ()')", "op.execute('DROP TABLE two')"
SLOW = "op.execute('SELECT pg_sleep(3)')\nop.execute('CREATE TABLE two ()')"
FAILING = "op.execute('SELECT 1/0')"
DIRTYING = "op.execute('CREATE TABLE half ()')\nop.execute('COMMIT')\nop.execute('SELECT 1/0')"


@dataclasses.dataclass
class Delivery:
    """A repository with a schema and an application, and what comes of its revisions."""

    flux: Flux
    migrations: Migrations
    engine: Engine

    annotations: dict[str, str] = dataclasses.field(default_factory=dict)

    def commit(self, release: int, **spec: Any) -> str:
        """Commit a release of both: the application's image, and the schema's."""
        schema = yaml.safe_load((DEPLOY / "example" / "schemamigration.yaml").read_text())
        schema["metadata"] |= {"annotations": self.annotations}
        schema["spec"] |= {
            "image": f"registry.example/tenant-registry-migrations:{release}",
            "tree": str(self.engine.revisions.directory),
            "retry": {"limit": 1, "backoff": "200ms", "maxBackoff": "1s"},
            **spec,
        }
        return self.flux.commit(
            {
                "deploy/schema/schemamigration.yaml": yaml.safe_dump(schema),
                "deploy/application/deployment.yaml": yaml.safe_dump(deployment(release)),
            }
        )

    def released(self) -> int:
        """The release of the application that is applied; 0 before the first."""
        listed = self.flux.cluster.kubectl(
            *("get", "deployment", NAME, f"--namespace={NAMESPACE}", "--ignore-not-found"),
            "--output=jsonpath={.spec.template.spec.containers[0].image}",
        )
        return int(listed.rpartition(":")[2] or 0)

    def held(self) -> str:
        """Why the application's Kustomization waits."""
        return str(self.flux.ready(APPLICATION).get("reason"))

    def until(self, reason: str) -> dict[str, Any]:
        """Return the schema's status, as soon as it has that reason for its present spec."""
        eventually(lambda: self.migrations.objects.get("schemamigration", NAME), 60)
        return self.migrations.until(NAME, reason, 60)


def deployment(release: int) -> dict[str, Any]:
    """The application, as it stands in Git."""
    labels = {"app.kubernetes.io/name": NAME}
    container = {"name": "application", "image": f"registry.example/tenant-registry:{release}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def delivery(flux: Flux, migrated: Objects, database: Database, revisions: Revisions) -> Delivery:
    """A database and its Secret, an empty tree, and nothing committed."""
    migrated.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tenant-registry-db"},
            "stringData": {"DATABASE_URL": database.url},
        }
    )
    revisions.add("0001", *ONE)
    return Delivery(flux, Migrations(migrated), Engine(database, revisions))


@pytest.fixture
def delivered(delivery: Delivery) -> Delivery:
    """Release 1 is out."""
    delivery.flux.applied(APPLICATION, delivery.commit(1))
    assert delivery.released() == 1
    return delivery


def test_an_application_comes_after_its_schema(delivered: Delivery) -> None:
    """Also where the resource was Ready for the release before."""
    delivered.engine.revisions.add("0002", SLOW, TWO[1])
    revision = delivered.commit(2)
    delivered.until("Migrating")

    seen: set[tuple[int, bool]] = set()

    def out() -> bool:
        release = delivered.released()
        seen.add((release, delivered.engine.position() == ["0002"]))
        return release == 2

    eventually(out, 60)

    assert (1, False) in seen
    assert (2, False) not in seen
    delivered.flux.applied(APPLICATION, revision)
    delivered.flux.applied(SCHEMA, revision)


def test_a_failing_migration_fails_the_revision_at_once_and_a_later_one_mends_it(
    delivered: Delivery,
) -> None:
    delivered.engine.revisions.add("0002", FAILING)
    revision = delivered.commit(2)

    # Half an hour before the timeout that deploy/flux/schema.yaml has.
    message = delivered.flux.failed(SCHEMA, revision)

    assert "SchemaMigration/tenant-registry/tenant-registry" in message
    assert "failed early due to stalled resources" in message
    assert delivered.until("MigrationFailed")["version"] == "0001"
    assert (delivered.released(), delivered.held()) == (1, "DependencyNotReady")

    delivered.engine.revisions.add("0002", *TWO)
    revision = delivered.commit(3)

    delivered.flux.applied(APPLICATION, revision)
    assert (delivered.released(), delivered.engine.position()) == (3, ["0002"])


def test_a_dirty_database_holds_the_application_until_a_person_resolved_it(
    delivered: Delivery,
) -> None:
    delivered.engine.revisions.add("0002", DIRTYING)
    revision = delivered.commit(2)
    delivered.flux.failed(SCHEMA, revision)
    incident = delivered.until("Dirty")["incident"]
    assert (delivered.released(), delivered.held()) == (1, "DependencyNotReady")

    delivered.engine.execute("DROP TABLE half")
    delivered.engine.revisions.add("0002", *TWO)
    delivered.migrations.patch(NAME, force={"incident": incident, "revision": "0001"})
    delivered.until("UpToDate")
    delivered.flux.reconcile(SCHEMA)

    delivered.flux.applied(APPLICATION, revision)
    assert (delivered.released(), delivered.engine.position()) == (2, ["0002"])


@pytest.mark.parametrize("policy", ["Override", "Merge"])
def test_an_approval_opens_the_gate_and_stays_if_flux_is_told_to_leave_it(
    delivered: Delivery, policy: str
) -> None:
    delivered.annotations = {"kustomize.toolkit.fluxcd.io/ssa": policy}
    delivered.engine.revisions.add("0002", *TWO)
    revision = delivered.commit(2, approval="Required")
    plan = delivered.until("AwaitingApproval")["plan"]["id"]
    eventually(lambda: delivered.held() == "DependencyNotReady", 60)
    assert delivered.flux.ready(SCHEMA)["status"] == "Unknown", "it waits"
    assert delivered.released() == 1

    delivered.migrations.patch(NAME, approvedPlan=plan)

    delivered.flux.applied(APPLICATION, revision)
    assert (delivered.released(), delivered.engine.position()) == (2, ["0002"])
    # What Git does not mention is taken away by default; what ran is not undone by that.
    delivered.flux.applied(APPLICATION, delivered.commit(3, approval="Required"))
    found = delivered.migrations.objects.get("schemamigration", NAME)
    assert found is not None
    assert found["spec"].get("approvedPlan") == (plan if policy == "Merge" else None)
    assert (delivered.released(), delivered.engine.position()) == (3, ["0002"])


@pytest.mark.parametrize("feature_gates", ["", "CancelHealthCheckOnNewRevision=true"])
def test_a_newer_revision_waits_for_the_one_before_unless_flux_is_told_otherwise(
    delivered: Delivery, feature_gates: str
) -> None:
    delivered.engine.revisions.add("0002", *TWO)
    delivered.commit(2, approval="Required")
    delivered.until("AwaitingApproval")
    waited = delivered.flux.status(SCHEMA)["lastAttemptedRevision"]

    revision = delivered.commit(3)

    if feature_gates:
        delivered.flux.applied(APPLICATION, revision)
        assert (delivered.released(), delivered.engine.position()) == (3, ["0002"])
    else:
        pause(6)
        assert delivered.flux.status(SCHEMA)["lastAttemptedRevision"] == waited
        assert (delivered.released(), delivered.engine.position()) == (1, ["0001"])


def test_an_application_that_is_rolled_back_is_held_unless_the_database_may_be_ahead(
    delivered: Delivery,
) -> None:
    newer = delivered.engine.revisions.add("0002", *TWO)
    delivered.flux.applied(APPLICATION, delivered.commit(2))
    newer.unlink()

    revision = delivered.commit(1)

    delivered.flux.failed(SCHEMA, revision)
    status = delivered.until("DatabaseAhead")
    assert condition(status, "Stalled") is not None
    assert delivered.released() == 2
    assert delivered.engine.exists("two")

    revision = delivered.commit(1, onDatabaseAhead="Accept")

    delivered.flux.applied(APPLICATION, revision)
    delivered.until("DatabaseAheadAccepted")
    assert delivered.released() == 1
    assert delivered.engine.position() == ["0002"], "the database stays where it is"


def test_what_ships_is_what_was_applied(flux: Flux, flux_cluster: Cluster) -> None:
    gate = yaml.safe_load((DEPLOY / "flux" / "application.yaml").read_text())["spec"]["dependsOn"]
    assert gate == [{"name": SCHEMA}]
    listed = flux.kubectl("get", "gitrepositories,kustomizations", "--output=name")
    assert len(listed.split()) == 3
