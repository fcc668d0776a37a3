"""The NetworkPolicies choose the pods that they are written for, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.deploy.manifests import (
    CLUSTER_WIDE,
    NAMESPACED,
    POLICY_OF_MIGRATOR,
    POLICY_OF_OPERATOR,
    Document,
    apply,
    only,
    rendered,
)
from tests.operator.test_job import TEMPLATE, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.cluster import Cluster

FORGED = {
    **TEMPLATE,
    "metadata": {
        "labels": {
            "app.kubernetes.io/name": "schema-operator",
            "app.kubernetes.io/managed-by": "me",
        }
    },
}
PORTS_OF_NAMES = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


@pytest.fixture(params=[(CLUSTER_WIDE, ""), (NAMESPACED, "shops")], ids=lambda each: each[0].name)
def installation(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path
) -> list[Document]:
    """An installation with the operator's policy."""
    path, namespace = request.param
    components = (POLICY_OF_OPERATOR,)
    return rendered(cluster, tmp_path, path, components=components, namespace=namespace)


@pytest.fixture
def of_migrator(cluster: Cluster, tmp_path: Path) -> Document:
    """The migrators' policy, as in a namespace of applications."""
    folder = tmp_path / "application"
    folder.mkdir()
    documents = rendered(cluster, folder, components=(POLICY_OF_MIGRATOR,), namespace="shops")
    return only(documents, "NetworkPolicy")


def chooses(policy: Document, labels: dict[str, str]) -> bool:
    """Whether a policy is for a pod with these labels."""
    selector = policy["spec"]["podSelector"]
    assert set(selector) == {"matchLabels"}
    matched = selector["matchLabels"]
    assert matched
    return bool(matched.items() <= labels.items())


def test_each_policy_chooses_its_pods(installation: list[Document], of_migrator: Document) -> None:
    of_operator = only(installation, "NetworkPolicy")
    template = only(installation, "Deployment")["spec"]["template"]
    operator = template["metadata"]["labels"]
    assert chooses(of_operator, operator)
    assert not chooses(of_migrator, operator)
    for changes in ({}, {"podTemplate": TEMPLATE}, {"podTemplate": FORGED}):
        migrator = manifest(**changes)["spec"]["template"]["metadata"]["labels"]
        assert chooses(of_migrator, migrator), changes
        assert not chooses(of_operator, migrator), changes


def test_the_operator_is_asked_on_its_port_alone(installation: list[Document]) -> None:
    policy = only(installation, "NetworkPolicy")
    deployment = only(installation, "Deployment")
    assert policy["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    (rule,) = policy["spec"]["ingress"]
    (port,) = rule["ports"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in container["ports"]] == [port["port"]]
    assert {
        probe["httpGet"]["port"]
        for probe in (container["livenessProbe"], container["readinessProbe"])
    } == {port["port"]}
    names, server = policy["spec"]["egress"]
    assert names == {"ports": PORTS_OF_NAMES}
    assert [each["port"] for each in server["ports"]] == [443, 6443]


def test_nobody_asks_a_migrator_and_it_asks_its_database_alone(of_migrator: Document) -> None:
    spec = of_migrator["spec"]
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    assert "ingress" not in spec, "a type without a rule lets nothing in"
    names, database = spec["egress"]
    assert names == {"ports": PORTS_OF_NAMES}
    assert [each["port"] for each in database["ports"]] == [5432, 6432]


def test_the_server_accepts_the_policies(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    components = (POLICY_OF_OPERATOR, POLICY_OF_MIGRATOR)
    documents = rendered(cluster, tmp_path, components=components, namespace=namespace)
    assert {each["metadata"]["name"] for each in documents} == {
        "schema-operator",
        "schema-migrator",
    }
    apply(cluster, documents)
    listed = cluster.kubectl("get", "networkpolicies", f"--namespace={namespace}", "--output=name")
    assert len(listed.split()) == 2
