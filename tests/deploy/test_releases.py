"""Installed, upgraded and removed on an API server, by Helm and by Kustomize."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kubernetes import client, config

from local_kubernetes.errors import ClusterError
from local_kubernetes.progress import Progress
from local_programs.program import HELM
from tests.deploy.fix_helm import CHART, OF_A_NAMESPACE, RELEASE, Helm, HelmError, define
from tests.deploy.manifests import (
    CLUSTER_WIDE,
    DEPLOY,
    POLICY_OF_OPERATOR,
    STANDBYS,
    Document,
    apply,
    only,
    rendered,
)
from tests.fix_cluster import Objects
from tests.operator.fix_operator import CRD, PRETENDER, Migrations, Operator, migration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_kubernetes.cluster import Cluster

NAMESPACE = "schema-operator"
DEFINITION = "schemamigrations.migrations.tenant-registry.dev"
SELECTOR = f"app.kubernetes.io/instance={RELEASE}"
KINDS = (
    "serviceaccount,role,rolebinding,clusterrole,clusterrolebinding,deployment,service,"
    "networkpolicy,poddisruptionbudget,podmonitor,servicemonitor,prometheusrule,"
    "customresourcedefinition"
)

NEW_FIELD = "tree"
"""What the previous release is made to lack."""


@pytest.fixture
def objects(own_cluster: Cluster) -> Iterator[Objects]:
    """A namespace of applications there, and the Prometheus operator's definitions."""
    define(own_cluster, "prometheus")
    own_cluster.kubectl("create", "namespace", "shops")
    own_cluster.kubectl(
        *("wait", "--for=create", "serviceaccount/default", "-n", "shops", "--timeout=20s")
    )
    new_client: Any = config.new_client_from_config
    opened: client.ApiClient
    with new_client(str(own_cluster.kubeconfig), persist_config=False) as opened:
        yield Objects(own_cluster, "shops", opened)


@pytest.fixture
def helm(own_cluster: Cluster, tmp_path: Path) -> Helm:
    """Helm, as the administrator of that cluster."""
    program = HELM.locate(Progress())
    return Helm(program, tmp_path / "helm", own_cluster.kubeconfig)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """What ships, as it would be in the release before: there is none yet.

    So it is made of the present one: an older version, an older image, and a CRD
    without a field that came later.
    """
    copy = tmp_path / "before"
    for part in ("crd", "helm", "kustomize"):
        shutil.copytree(DEPLOY / part, copy / part)
    definition = yaml.safe_load(CRD.read_text())
    (version,) = definition["spec"]["versions"]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del fields[NEW_FIELD]
    _replace(copy / "crd" / "schemamigrations.yaml", CRD.read_text(), yaml.safe_dump(definition))
    template = copy / "helm" / "schema-operator" / "templates" / "crd.yaml"
    head, _, _ = template.read_text().partition("\nspec:\n")
    spec = yaml.safe_dump({"spec": definition["spec"]})
    template.write_text(f"{head}\n{spec}{{{{- end }}}}\n")
    for path in (
        copy / "helm" / "schema-operator" / "Chart.yaml",
        copy / "kustomize" / "base" / "kustomization.yaml",
    ):
        _replace(path, "0.1.0", "0.0.9")
    return copy


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def image(cluster: Cluster) -> str:
    """The image that the Deployment runs."""
    return cluster.kubectl(
        *("get", "deployment", RELEASE, f"--namespace={NAMESPACE}"),
        "--output=jsonpath={.spec.template.spec.containers[0].image}",
    )


def knows(objects: Objects, field: str) -> bool:
    """Whether the server's definition of the resource has a field of the spec."""
    document = migration("probe")
    document["spec"][field] = "shops"
    try:
        objects.kubectl(
            *("create", "--dry-run=server", "--validate=strict", "--filename=-"),
            stdin=json.dumps(document),
        )
    except ClusterError as error:
        if f'unknown field "spec.{field}"' not in str(error):
            raise
        return False
    return True


def left(cluster: Cluster, selector: str = SELECTOR) -> set[str]:
    """The names of what is there by a label, of all kinds that an installation has."""
    listed = cluster.kubectl(
        "get", KINDS, "--all-namespaces", f"--selector={selector}", "--output=name"
    )
    return set(listed.split())


def settle(objects: Objects) -> str:
    """Apply a resource, and return its uid."""
    objects.apply(migration("shop"))
    found = objects.get("schemamigration", "shop")
    assert found is not None
    uid: str = found["metadata"]["uid"]
    return uid


def works(objects: Objects, deployment: Document, log: Path) -> None:
    """Let the operator do its work as the installation starts it, with its account."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    flags = [each for each in container["args"][1:] if "--health-listen" not in each]
    place = deployment["metadata"]["namespace"]
    environment = {each["name"]: place for each in container["env"]}
    running = Operator(objects.cluster, tuple(flags), log, place, environment=environment)
    try:
        running.start()
        migrations = Migrations(objects)
        migrations.secret("shop")
        migrations.until("shop", "UpToDate")
        assert running.lines("403") == running.lines("orbidden") == []
    finally:
        running.stop()


def test_by_helm(helm: Helm, before: Path, objects: Objects, tmp_path: Path) -> None:
    cluster = objects.cluster
    with_image(cluster)
    place = ("--namespace", NAMESPACE)
    helm("install", RELEASE, str(before / "helm" / RELEASE), *place, "--create-namespace")
    assert image(cluster).endswith(":0.0.9")
    uid = settle(objects)
    assert not knows(objects, NEW_FIELD)

    helm("upgrade", RELEASE, str(CHART), *place, "--set=replicas=2")

    assert image(cluster).endswith(":0.1.0")
    assert knows(objects, NEW_FIELD), "the CRD was upgraded, too"
    helm("rollback", RELEASE, "1", *place)
    assert image(cluster).endswith(":0.0.9")
    assert not knows(objects, NEW_FIELD)
    assert exists(objects, uid)
    helm("upgrade", RELEASE, str(CHART), *place, "--set=replicas=2")
    assert f"poddisruptionbudget.policy/{RELEASE}" in left(cluster)
    for monitor in ("podMonitor", "serviceMonitor"):
        created = ("networkPolicy", "prometheusRule", monitor)
        options = [f"--set={name}.create=true" for name in created]
        helm("upgrade", RELEASE, str(CHART), *place, "--set=replicas=2", *options)
        assert f"{monitor.lower()}.monitoring.coreos.com/{RELEASE}" in left(cluster)
    assert f"networkpolicy.networking.k8s.io/{RELEASE}" in left(cluster)
    assert f"prometheusrule.monitoring.coreos.com/{RELEASE}" in left(cluster)
    works(objects, only(helm.render(), "Deployment"), tmp_path / "operator.log")
    assert Migrations(objects).status("shop")["version"]

    helm("uninstall", RELEASE, *place, "--wait")

    assert left(cluster) == {f"customresourcedefinition.apiextensions.k8s.io/{DEFINITION}"}
    assert exists(objects, uid), "resources outlive the operator"

    helm("install", RELEASE, str(CHART), *place)

    assert exists(objects, uid)
    assert f"deployment.apps/{RELEASE}" in left(cluster)
    helm("upgrade", RELEASE, str(CHART), *place, "--set=crds.install=false")
    assert exists(objects, uid), "a CRD that is no longer the release's stays as well"
    helm("upgrade", RELEASE, str(CHART), *place, "--set=crds.keep=false")
    helm("uninstall", RELEASE, *place, "--wait")
    assert left(cluster) == set()
    assert not defined(cluster)


def test_by_helm_for_one_namespace(helm: Helm, objects: Objects, tmp_path: Path) -> None:
    cluster = objects.cluster
    with_image(cluster)
    cluster.kubectl("apply", "--server-side", "-k", str(DEPLOY / "crd"))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{DEFINITION}", "--timeout=30s")
    options = (f"--values={OF_A_NAMESPACE}", "--namespace=shops")

    helm("install", RELEASE, str(CHART), *options)

    settle(objects)
    deployment = only(helm.render(options[0], namespace="shops"), "Deployment")
    works(objects, deployment, tmp_path / "operator.log")
    assert not [each for each in left(cluster) if each.startswith("clusterrole")]
    helm("uninstall", RELEASE, "--namespace=shops", "--wait")
    assert left(cluster) == set()
    assert defined(cluster)


def test_by_kustomize(before: Path, objects: Objects, tmp_path: Path) -> None:
    cluster = objects.cluster
    with_image(cluster)
    cluster.kubectl("apply", "--server-side", "-k", str(before / "kustomize" / "base"))
    assert image(cluster).endswith(":0.0.9")
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{DEFINITION}", "--timeout=30s")
    uid = settle(objects)
    assert not knows(objects, NEW_FIELD)

    cluster.kubectl("apply", "--server-side", "-k", str(DEPLOY / "kustomize" / "base"))

    assert image(cluster).endswith(":0.1.0")
    assert knows(objects, NEW_FIELD)
    assert exists(objects, uid)
    (tmp_path / "own").mkdir()
    components = (POLICY_OF_OPERATOR, STANDBYS)
    documents = rendered(cluster, tmp_path / "own", CLUSTER_WIDE, components=components)
    apply(cluster, documents)
    assert {
        f"poddisruptionbudget.policy/{RELEASE}",
        f"networkpolicy.networking.k8s.io/{RELEASE}",
    } <= (left(cluster, "app.kubernetes.io/name=schema-operator"))
    works(objects, only(documents, "Deployment"), tmp_path / "operator.log")
    cluster.kubectl("delete", "pdb,networkpolicy", RELEASE, f"--namespace={NAMESPACE}")

    cluster.kubectl("delete", "-k", str(DEPLOY / "kustomize" / "operator"))

    assert exists(objects, uid)
    cluster.kubectl("delete", "--ignore-not-found", "-k", str(DEPLOY / "kustomize" / "base"))
    assert left(cluster, "app.kubernetes.io/name=schema-operator") == set()
    assert not defined(cluster)


def test_a_crd_that_kustomize_applied_is_given_over_to_helm(helm: Helm, objects: Objects) -> None:
    cluster = objects.cluster
    cluster.kubectl("apply", "--server-side", "-k", str(DEPLOY / "crd"))
    install = ("install", RELEASE, str(CHART), "--namespace=shops")
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        helm(*install)
    helm(*install, "--take-ownership", "--force-conflicts")
    assert left(cluster) >= {f"customresourcedefinition.apiextensions.k8s.io/{DEFINITION}"}


def with_image(cluster: Cluster) -> None:
    """Tell the node what a migrator's image stands for."""
    cluster.add_image("local/pretender:*", (sys.executable, str(PRETENDER)))


def exists(objects: Objects, uid: str) -> bool:
    """Whether the resource is still the one that it was."""
    found = objects.get("schemamigration", "shop")
    return found is not None and found["metadata"]["uid"] == uid


def defined(cluster: Cluster) -> bool:
    """Whether the server knows the resource."""
    return bool(cluster.kubectl("get", "crd", DEFINITION, "--ignore-not-found", "--output=name"))
