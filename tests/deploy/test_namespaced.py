"""The installation for one namespace: the same rights, in that namespace and nowhere else."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.manifests import CLUSTER_WIDE, NAMESPACED, Document, apply, only, rendered
from tests.fix_cluster import Objects, eventually
from tests.operator.fix_operator import Migrations, Operator
from tests.operator.test_server import can

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kubernetes import client

    from local_kubernetes.cluster import Cluster

REQUEST = "migrations.tenant-registry.dev/requestedAt"


@pytest.fixture
def documents(cluster: Cluster, namespace: str, tmp_path: Path) -> list[Document]:
    return rendered(cluster, tmp_path, NAMESPACED, namespace=namespace)


@pytest.fixture
def neighbour(installed: Cluster, api: client.ApiClient) -> Iterator[Migrations]:
    """Another namespace."""
    name = f"neighbour-{uuid.uuid4().hex[:10]}"
    installed.kubectl("create", "namespace", name)
    yield Migrations(Objects(installed, name, api))
    installed.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def alone(
    installed: Cluster, namespace: str, documents: list[Document], tmp_path: Path
) -> Iterator[Operator]:
    """The operator as that installation starts it, with its account's own token."""
    apply(installed, [each for each in documents if each["kind"] != "Deployment"])
    container = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    arguments = [each for each in container["args"] if "--health-listen" not in each]
    assert arguments == ["run"]
    environment = {each["name"]: field(each, namespace) for each in container["env"]}
    running = Operator(
        installed,
        ("--lease-duration=3s",),
        tmp_path / "operator.log",
        place=namespace,
        environment=environment,
    )
    try:
        running.start()
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()


def field(variable: dict[str, Any], namespace: str) -> str:
    """What the kubelet would put into a variable."""
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
    return namespace


def test_everything_is_in_the_namespace(documents: list[Document], namespace: str) -> None:
    kinds = [each["kind"] for each in documents]
    assert sorted(kinds) == sorted(
        ["ServiceAccount", "Role", "Role", "RoleBinding", "RoleBinding", "Deployment"]
    )
    assert {each["metadata"]["namespace"] for each in documents} == {namespace}
    for each in documents:
        for subject in each.get("subjects", ()):
            assert subject["namespace"] == namespace


def test_the_rights_are_those_of_the_cluster_wide_installation(
    cluster: Cluster, documents: list[Document], tmp_path: Path
) -> None:
    other = tmp_path / "cluster-wide"
    other.mkdir()
    wide = rendered(cluster, other, CLUSTER_WIDE)
    assert (
        only(documents, "Role", "schema-operator")["rules"]
        == only(wide, "ClusterRole", "schema-operator")["rules"]
    )
    assert (
        only(documents, "Role", "schema-operator-lease")["rules"]
        == only(wide, "Role", "schema-operator-lease")["rules"]
    )
    for name in ("schema-operator", "schema-operator-lease"):
        found = only(documents, "RoleBinding", name)
        assert (found["roleRef"]["kind"], found["roleRef"]["name"]) == ("Role", name)


def test_the_server_accepts_all_of_it(installed: Cluster, documents: list[Document]) -> None:
    apply(installed, documents, "--dry-run=server")


def test_it_does_its_work_and_sees_nothing_else(
    alone: Operator, objects: Objects, neighbour: Migrations, tmp_path: Path
) -> None:
    counter = str(tmp_path / "runs")
    eventually(lambda: alone.lines("acting"))
    neighbour.secret("theirs")
    neighbour.apply("theirs")
    ours = Migrations(objects)
    ours.secret("shop", steps=[{"outcome": "applied"}, {"outcome": "failed"}], counter=counter)
    ours.apply("shop", historyLimit=0, retry={"limit": 0})
    ours.until("shop", "UpToDate")
    (first,) = ours.jobs("shop")
    objects.kubectl("annotate", "smig", "shop", f"{REQUEST}=again")
    ours.until("shop", "MigrationFailed")

    # The first run's Job goes then, and every request that there is was made.
    eventually(
        lambda: (
            first["metadata"]["uid"] not in {each["metadata"]["uid"] for each in ours.jobs("shop")}
        )
    )
    eventually(lambda: "create events 201" in alone.requests())
    made = [tuple(name.split()) for name in alone.requests()]
    assert {(verb, kind) for verb, kind, _ in made} >= {
        ("create", "jobs"),
        ("delete", "jobs"),
        ("patch", "schemamigrations/status"),
        ("create", "events"),
        ("update", "leases"),
    }
    assert {status for _, _, status in made} <= {"200", "201", "404"}
    assert alone.lines("403") == alone.lines("orbidden") == []
    assert neighbour.status("theirs")["observedGeneration"] == -1
    assert neighbour.jobs("theirs") == []
    assert "theirs" not in alone.http("/metrics")


@pytest.mark.parametrize(
    "question",
    [
        ("list", "schemamigrations"),
        ("watch", "pods"),
        ("list", "jobs"),
        ("create", "jobs"),
        ("create", "events"),
    ],
    ids=" ".join,
)
def test_its_account_may_do_nothing_elsewhere(
    installed: Cluster, namespace: str, documents: list[Document], question: tuple[str, ...]
) -> None:
    apply(installed, [each for each in documents if each["kind"] != "Deployment"])
    account = f"system:serviceaccount:{namespace}:schema-operator"
    assert can(installed, account, *question, f"--namespace={namespace}")
    assert not can(installed, account, *question, "--namespace=default")
    assert not can(installed, account, *question, "--all-namespaces")
