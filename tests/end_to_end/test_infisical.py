"""What each thing that Infisical's operator does to a Secret does to a migration.

The manifests are those that ship; the operator that answers them is a stand-in.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import yaml

from tests.deploy.fix_helm import define
from tests.deploy.manifests import DEPLOY
from tests.end_to_end.fix_registry import NAME
from tests.end_to_end.infisical import VERSION, Infisical, version
from tests.operator.fix_operator import condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_kubernetes.cluster import Cluster
    from tests.end_to_end.fix_registry import Registry
    from tests.witness import Witness

SECRET = "tenant-registry-db"
NEXT = "registry.example/tenant-registry-migrations:2"
ONE = "op.execute('CREATE TABLE one (id int)')", "op.execute('DROP TABLE one')"
TWO = "op.execute('CREATE TABLE two (id int)')", "op.execute('DROP TABLE two')"

OLDER = "infisicalsecret"
NEWER = "staticsecret"


@pytest.fixture(params=[OLDER, NEWER])
def generation(request: pytest.FixtureRequest) -> str:
    """The file under deploy/infisical that is in force."""
    return str(request.param)


@pytest.fixture
def infisical(registry: Registry, generation: str) -> Infisical:
    """Infisical with the manifest applied and nothing synced yet, and a tree of one revision."""
    objects = registry.migrations.objects
    define(objects.cluster, "infisical")
    apply(objects.cluster, generation, objects.namespace)
    registry.engine.revisions.add("0001", *ONE)
    return Infisical(objects.cluster, objects.namespace)


def apply(cluster: Cluster, generation: str, namespace: str) -> None:
    """Apply a manifest that ships to another namespace, whose name stands in its fields, too."""
    text = (DEPLOY / "infisical" / f"{generation}.yaml").read_text()
    for key in ("namespace", "secretNamespace"):
        text = text.replace(f" {key}: tenant-registry\n", f" {key}: {namespace}\n")
    cluster.kubectl("apply", "--server-side", "--validate=strict", "--filename=-", stdin=text)


def migrate(registry: Registry, **spec: Any) -> None:
    registry.apply(database={"urlSecretRef": {"name": SECRET}}, **spec)


def next_release(registry: Registry) -> None:
    """A newer image, with one revision more."""
    registry.engine.revisions.add("0002", *TWO)
    registry.patch(image=NEXT)


def secret(registry: Registry) -> dict[str, Any] | None:
    return registry.migrations.objects.get("secret", SECRET)


class Rotation:
    """A role that owns the database, and whose password changes."""

    def __init__(self, registry: Registry, witness: Witness, role: str) -> None:
        self.registry = registry
        self.witness = witness
        self.role = role

    def __call__(self) -> str:
        """Give the role a new password, which ends the old; return the URL with it."""
        password = f"rotated-{uuid.uuid4().hex}"
        self.registry.engine.execute(f"ALTER ROLE {self.role} PASSWORD '{password}'")
        parts = urlsplit(self.registry.engine.database.url)
        place = parts.netloc.rpartition("@")[2]
        url = urlunsplit(parts._replace(netloc=f"{self.role}:{password}@{place}"))
        self.witness.secret(url)
        return url


@pytest.fixture
def rotate(registry: Registry, witness: Witness) -> Iterator[Rotation]:
    """Rotates the password of the database's owner."""
    name = f"rotated_{uuid.uuid4().hex}"
    database = urlsplit(registry.engine.database.url).path.strip("/")
    registry.engine.execute(f"CREATE ROLE {name} LOGIN")
    registry.engine.execute(f'ALTER DATABASE "{database}" OWNER TO {name}')
    yield Rotation(registry, witness, name)
    registry.engine.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER")
    registry.engine.execute(f"DROP OWNED BY {name}")
    registry.engine.execute(f"DROP ROLE {name}")


def test_a_secret_that_comes_late_is_waited_for_and_costs_no_attempt(
    registry: Registry, infisical: Infisical
) -> None:
    migrate(registry)
    status = registry.until("SecretNotReady")
    assert condition(status, "Reconciling") is not None
    assert SECRET in registry.message()

    infisical.values = {"DATABASE_URL": registry.engine.database.url}
    infisical.sync()

    status = registry.until("UpToDate")
    assert (status["version"], status["attempt"], len(registry.jobs())) == ("0001", 1, 1)


def test_a_rotated_password_is_taken_up_with_the_secret(
    registry: Registry, infisical: Infisical, rotate: Rotation
) -> None:
    infisical.values = {"DATABASE_URL": rotate()}
    infisical.sync()
    before = secret(registry)
    migrate(registry)
    registry.until("UpToDate")

    rotated = rotate()
    next_release(registry)

    status = registry.until("DatabaseUnreachable")
    assert condition(status, "Reconciling") is not None
    assert "refuses the connection" in registry.message()
    infisical.values = {"DATABASE_URL": rotated}
    infisical.sync()
    status = registry.until("UpToDate")
    assert status["version"] == "0002"
    after = secret(registry)
    assert before is not None
    assert after is not None
    assert after["metadata"]["annotations"] != before["metadata"]["annotations"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_rotation_between_two_releases_is_not_noticed(
    registry: Registry, infisical: Infisical, rotate: Rotation
) -> None:
    infisical.values = {"DATABASE_URL": rotate()}
    infisical.sync()
    migrate(registry)
    before = registry.until("UpToDate")

    infisical.values = {"DATABASE_URL": rotate()}
    infisical.sync()
    next_release(registry)

    status = registry.until("UpToDate")
    assert (status["version"], status["attempt"]) == ("0002", 1)
    assert len(registry.jobs()) == 2
    assert len(status["history"]) == len(before["history"]) + 1


def test_a_key_that_is_missing_is_said_and_recovers_without_a_change_of_the_spec(
    registry: Registry, infisical: Infisical
) -> None:
    infisical.values = {"URL_OF_DATABASE": registry.engine.database.url}
    infisical.sync()
    migrate(registry)

    status = registry.until("ConfigurationInvalid")

    assert condition(status, "Stalled") is not None
    assert "Infisical rendered a missing key into it" in registry.message()
    infisical.values |= {"DATABASE_URL": registry.engine.database.url}
    infisical.sync()
    healed = registry.until("UpToDate")
    assert healed["generation"] == status["generation"]
    assert healed["version"] == "0001"


def test_a_secret_that_was_deleted_matters_only_to_the_next_run(
    registry: Registry, infisical: Infisical, generation: str
) -> None:
    infisical.values = {"DATABASE_URL": registry.engine.database.url}
    infisical.sync()
    migrate(registry)
    registry.until("UpToDate")

    registry.migrations.objects.kubectl("delete", "secret", SECRET)
    infisical.sync()

    assert (secret(registry) is None) is (generation == OLDER)
    assert registry.migrations.reason(NAME) == "UpToDate"
    next_release(registry)
    if generation == OLDER:
        registry.until("SecretNotReady")
        # Only a new value brings it back.
        infisical.values |= {"NOTE": "made again"}
        infisical.sync()
    status = registry.until("UpToDate")
    assert (status["version"], status["attempt"]) == ("0002", 1)


def test_a_login_that_is_refused_leaves_the_old_value_and_no_gate_sees_it(
    registry: Registry, infisical: Infisical, generation: str
) -> None:
    infisical.values = {"DATABASE_URL": registry.engine.database.url}
    infisical.sync()
    infisical.refuses = True
    infisical.values = {"DATABASE_URL": "postgresql://not.example/x"}
    infisical.sync()

    migrate(registry)

    assert registry.until("UpToDate")["version"] == "0001"
    kind = {OLDER: "infisicalsecret", NEWER: "infisicalstaticsecret"}[generation]
    found = json.loads(registry.migrations.objects.kubectl("get", kind, SECRET, "-ojson"))
    (said,) = found["status"]["conditions"]
    assert said["status"] == "False"
    assert said["type"] not in {"Ready", "Reconciling", "Stalled"}, "what kstatus reads"


def test_the_secret_has_the_metadata_that_the_manifest_says_and_none_of_its_own(
    registry: Registry, infisical: Infisical, generation: str
) -> None:
    """As Argo CD labels what it applies."""
    kind = {OLDER: "infisicalsecret", NEWER: "infisicalstaticsecret"}[generation]
    objects = registry.migrations.objects
    objects.kubectl("label", kind, SECRET, "app.kubernetes.io/instance=tenant-registry")
    infisical.values = {"DATABASE_URL": "x", "OTHER": "y"}

    infisical.sync()

    found = secret(registry)
    assert found is not None
    assert found["metadata"]["labels"] == {"app.kubernetes.io/part-of": "tenant-registry"}
    assert set(found["metadata"]["annotations"]) == {
        VERSION,
        "migrations.tenant-registry.dev/source",
    }
    assert set(found["data"]) == {"DATABASE_URL"}
    assert "ownerReferences" not in found["metadata"]


def test_the_version_is_that_of_infisical() -> None:
    """As Go's own checksum and format make it."""
    assert version({}) == 'W/"secrets-0-00000000"'
    assert version({"a": "b"}) == 'W/"secrets-4-F515465F"'
    url = "postgresql://u:p@h/d"
    assert version({"DATABASE_URL": url}) == 'W/"secrets-34-57B76C32"'


@pytest.mark.parametrize("name", [OLDER, NEWER])
def test_the_manifest_writes_the_secret_that_the_example_reads(name: str) -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "infisical" / f"{name}.yaml").read_text()))
    spec = documents[-1]["spec"]
    (target,) = spec.get("managedKubeSecretReferences") or spec["targets"]
    example = yaml.safe_load((DEPLOY / "example" / "schemamigration.yaml").read_text())
    wanted = example["spec"]["database"]["urlSecretRef"]["name"]
    assert {target.get("secretName", target.get("name"))} == {wanted}
    assert set(target["template"]["data"]) == {"DATABASE_URL"}
