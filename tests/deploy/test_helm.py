"""The chart: the same objects as Kustomize makes, and nothing that a value can loosen."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from schema_operator import cli
from tests.deploy.fix_helm import CHART, OF_A_NAMESPACE, HelmError
from tests.deploy.manifests import (
    CLUSTER_WIDE,
    DEPLOY,
    NAMESPACED,
    POLICY_OF_OPERATOR,
    STANDBYS,
    Document,
    only,
    rendered,
)

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.cluster import Cluster
    from tests.deploy.fix_helm import Helm

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

OF_HELM = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "helm.sh/resource-policy",
}
"""Labels and annotations that Helm's users expect and Kustomize's do without."""

WHOLE: Document = {
    "replicas": 3,
    "image": {
        "repository": "registry.example/mirror/schema-operator",
        "tag": "0.1.0",
        "digest": "sha256:" + "0" * 64,
        "pullPolicy": "Always",
    },
    "imagePullSecrets": [{"name": "pull"}],
    "watch": {"allNamespaces": False, "namespaces": ["shops", "banks"]},
    "allowedImages": ["registry.example/migrations/*"],
    "migratorResources": {
        "requests": {"cpu": 2, "memory": "64Mi"},
        "limits": {"memory": "1Gi"},
    },
    "logFormat": "text",
    "extraArgs": ["--workers=32", "--verbose"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "crds": {"install": True, "keep": False},
    "userRoles": {"create": True},
    "serviceAccount": {"create": True, "name": "own", "annotations": {"example.com/a": "b"}},
    "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
    "podLabels": {"example.com/team": "a"},
    "podAnnotations": {"example.com/a": "b"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
            }
        }
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
        }
    ],
    "priorityClassName": "system-cluster-critical",
    "networkPolicy": {
        "create": True,
        "from": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "apiServer": [{"ipBlock": {"cidr": "192.0.2.1/32"}}],
    },
    "podMonitor": {"create": False, "labels": {"release": "prometheus"}},
    "serviceMonitor": {"create": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"create": True, "labels": {"release": "prometheus"}},
    "fullnameOverride": "own",
}
"""Every value there is, set to something else than it is."""


def plain(document: Any) -> Any:
    """A document without what is Helm's own."""
    if isinstance(document, list):
        return [plain(each) for each in document]
    if not isinstance(document, dict):
        return document
    kept = {key: plain(value) for key, value in document.items() if key not in OF_HELM}
    return {
        key: value for key, value in kept.items() if key not in {"labels", "annotations"} or value
    }


def by_name(documents: list[Document]) -> dict[tuple[str, ...], Document]:
    """The documents, each under its kind, namespace and name."""
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): plain(each)
        for each in documents
    }


def prometheus(name: str) -> list[Document]:
    return list(yaml.safe_load_all((DEPLOY / "prometheus" / f"{name}.yaml").read_text()))


# The same as Kustomize


def test_cluster_wide_it_makes_what_kustomize_makes(
    helm: Helm, cluster: Cluster, tmp_path: Path
) -> None:
    expected = by_name(rendered(cluster, tmp_path, CLUSTER_WIDE))
    # Helm's user names the namespace, and may have it made.
    del expected["Namespace", "", "schema-operator"]
    assert by_name(helm.render()) == expected


def test_for_one_namespace_it_makes_what_kustomize_makes(
    helm: Helm, cluster: Cluster, tmp_path: Path
) -> None:
    documents = helm.render(f"--values={OF_A_NAMESPACE}", namespace="tenant-registry")
    assert by_name(documents) == by_name(rendered(cluster, tmp_path, NAMESPACED))


@pytest.mark.parametrize("monitor", ["podMonitor", "serviceMonitor"])
def test_what_is_optional_is_what_kustomize_makes(
    helm: Helm, cluster: Cluster, tmp_path: Path, monitor: str
) -> None:
    components = (POLICY_OF_OPERATOR, STANDBYS)
    expected = by_name(
        rendered(cluster, tmp_path, CLUSTER_WIDE, components=components)
        + prometheus(monitor.lower())
        + prometheus("prometheusrule")
    )
    del expected["Namespace", "", "schema-operator"]
    values: Document = {name: {"create": True} for name in (monitor, "prometheusRule")}
    values |= {"networkPolicy": {"create": True}, "replicas": 2}
    assert by_name(helm.render(**values)) == expected


def test_the_crd_stays_unless_it_was_said_that_it_goes(helm: Helm) -> None:
    kept = only(helm.render(), "CustomResourceDefinition")
    assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    left = only(helm.render(crds={"keep": False}), "CustomResourceDefinition")
    assert "annotations" not in left["metadata"]


# Values


def test_every_value_has_a_schema_and_none_lets_others_through() -> None:
    assert set(VALUES) == set(WHOLE) == set(SCHEMA["properties"]) - {"global"}
    assert SCHEMA["additionalProperties"] is False
    for name, value in VALUES.items():
        schema = SCHEMA["properties"][name]
        if "properties" in schema:
            assert set(schema["properties"]) == set(value) == set(WHOLE[name])
            assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"securityContext": {"runAsUser": 0}}, "'securityContext' not allowed"),
        ({"podAnnotations": {"container.seccomp.security.alpha.kubernetes.io/x": "u"}}, "seccomp"),
        ({"podLabels": {"app.kubernetes.io/name": "own"}}, "invalid propertyName"),
        ({"extraEnv": [{"name": "SCHEMA_OPERATOR_NAMESPACE"}]}, "/extraEnv/0/name"),
        ({"extraArgs": ["run"]}, "/extraArgs/0"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"logFormat": "xml"}, "/logFormat"),
        ({"migratorResources": {"requests": {"cpu": "much"}}}, "/migratorResources/requests/cpu"),
        ({"replicas": -1}, "/replicas"),
        ({"serviceAccount": {"create": False}}, "/serviceAccount/name"),
        ({"watch": {"namespaces": ["shops"]}}, "allNamespaces is true: set it to false"),
        (
            {"podMonitor": {"create": True}, "serviceMonitor": {"create": True}},
            "create one of the two",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else next(iter(each)),
)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, values: Document, words: str) -> None:
    with pytest.raises(HelmError, match=re.escape(words)):
        helm.render(**values)


def test_a_chart_that_has_it_as_a_part_may_hand_down_what_is_global(helm: Helm) -> None:
    assert helm.render("--set=global.imageRegistry=registry.example")


def test_every_value_reaches_its_place(helm: Helm) -> None:
    documents = helm.render(**WHOLE)
    deployment = only(documents, "Deployment")
    template = deployment["spec"]["template"]
    pod = template["spec"]
    (container,) = pod["containers"]
    assert deployment["metadata"]["name"] == "own"
    assert deployment["spec"]["replicas"] == 3
    assert template["metadata"]["labels"]["example.com/team"] == "a"
    assert template["metadata"]["annotations"] == WHOLE["podAnnotations"]
    digest = WHOLE["image"]["digest"]
    assert container["image"] == f"registry.example/mirror/schema-operator@{digest}"
    assert container["imagePullPolicy"] == "Always"
    assert container["args"] == [
        "run",
        "--namespace=shops",
        "--namespace=banks",
        "--health-listen=:8080",
        "--lease-name=own",
        "--allowed-image=registry.example/migrations/*",
        "--default-requests=cpu=2,memory=64Mi",
        "--default-limits=memory=1Gi",
        "--log-format=text",
        *WHOLE["extraArgs"],
    ]
    assert [each["name"] for each in container["env"]] == [
        "SCHEMA_OPERATOR_LEASE_NAMESPACE",
        "HTTPS_PROXY",
    ]
    assert container["resources"] == {
        "requests": {"cpu": "1", "memory": "128Mi"},
        "limits": {"memory": "1Gi"},
    }
    for name in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"):
        assert pod[name] == WHOLE[name]
    assert pod["priorityClassName"] == WHOLE["priorityClassName"]
    assert pod["imagePullSecrets"] == WHOLE["imagePullSecrets"]
    account = only(documents, "ServiceAccount")["metadata"]
    assert (account["name"], account["annotations"]) == ("own", {"example.com/a": "b"})
    assert pod["serviceAccountName"] == "own"
    policy = only(documents, "NetworkPolicy")["spec"]
    assert policy["ingress"][0]["from"] == WHOLE["networkPolicy"]["from"]
    assert policy["egress"][1]["to"] == WHOLE["networkPolicy"]["apiServer"]
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert only(documents, kind)["metadata"]["labels"]["release"] == "prometheus"


@pytest.mark.parametrize("values", [{}, WHOLE], ids=["few", "all"])
def test_the_operator_understands_the_flags(helm: Helm, values: Document) -> None:
    (container,) = only(helm.render(**values), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    options = cli.parse(container["args"], {})
    assert options.health_listen == ("0.0.0.0", 8080)
    if values:
        assert options.namespaces == ("shops", "banks")
        assert options.pods.limits == {"memory": "1Gi"}


def test_in_named_namespaces_it_has_rights_there_and_nowhere_else(helm: Helm) -> None:
    documents = helm.render(**WHOLE)
    assert not [each for each in documents if each["kind"] == "ClusterRoleBinding"]
    bindings = [each for each in documents if each["kind"] == "RoleBinding"]
    assert {each["metadata"]["namespace"] for each in bindings} == {
        "shops",
        "banks",
        "schema-operator",
    }
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == ("own", "schema-operator")
    lease = only(documents, "Role", "own-lease")["rules"][1]
    assert lease["resourceNames"] == ["own"], "the Lease is the one that --lease-name names"


def test_a_release_of_another_name_is_beside_the_first(helm: Helm) -> None:
    text = helm("template", "second", str(CHART), "--namespace=schema-operator")
    second = {
        key
        for key in by_name(list(yaml.safe_load_all(text)))
        if key[0] != "CustomResourceDefinition"
    }
    assert second.isdisjoint(by_name(helm.render()))


# What it says, and what it is


def test_the_notes_say_what_to_do_next(helm: Helm) -> None:
    arguments = ("install", "schema-operator", str(CHART), "--dry-run=client", "--namespace=ops")
    notes = helm(*arguments).partition("NOTES:\n")[2]
    assert "in all namespaces" in notes
    assert "Its image is a placeholder" in notes
    assert "kubectl rollout status deployment/schema-operator -n ops" in notes
    manifest = re.search(r"^  (apiVersion: migrations.*?)\n\n", notes, re.MULTILINE | re.DOTALL)
    assert manifest is not None
    resource = yaml.safe_load(manifest[1].replace("\n  ", "\n"))
    assert resource["kind"] == "SchemaMigration"
    notes = helm(*arguments, f"--values={OF_A_NAMESPACE}")
    assert "looks after SchemaMigrations in ops." in notes
    assert "The CRD is not part of this release" in notes


def test_the_linter_has_nothing_to_say(helm: Helm) -> None:
    for values in (VALUES, yaml.safe_load(OF_A_NAMESPACE.read_text()), WHOLE):
        assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), values=values)


def test_it_has_the_version_of_the_product() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["version"]
    for path in (CLUSTER_WIDE, NAMESPACED):
        (image,) = yaml.safe_load((path / "kustomization.yaml").read_text())["images"]
        assert image["newTag"] == project["version"]
