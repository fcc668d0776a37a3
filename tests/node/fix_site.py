"""Real nodes with the operator on them as it is installed, and a PostgreSQL in a pod.

The operator and PostgreSQL run on the first node; migrators go where a test sends them.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from kubernetes import client, config

from local_images import images, postgresql
from local_images.errors import LocalImagesError
from local_kubernetes.errors import LocalKubernetesError
from local_kubernetes.progress import Progress
from local_node.errors import LocalNodeError
from local_node.site import NAMES, Site
from tests.fix_cluster import Objects
from tests.fix_secrets import gather
from tests.node.tenant import Tenant
from tests.operator.fix_operator import Migrations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_images.images import Image
    from local_kubernetes.cluster import Cluster
    from tests.witness import Witness

ROOT = Path(__file__).parents[2]
FIRST, SECOND = NAMES
OPERATOR = "schema-operator"
FIGURE = "figure"
"""A test's property that is printed at the end of the run."""
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
SECURITY = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What Pod Security's ``restricted`` asks of a container, and a root that can't be written to."""

_DATABASES = "databases"
_PASSWORD = "only-for-tests-9f2c"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--budgets", action="store_true", help="demand what a quiet machine has to keep to"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == FIGURE and report.when == "call":
                    terminalreporter.write_line(f"Real node: {value}")


@pytest.fixture(scope="session")
def site(archives: Mapping[Image, Path]) -> Iterator[Site]:
    """A control plane and two nodes that have the images."""
    if os.geteuid() != 0:
        pytest.skip("real nodes need root: for namespaces, mounts and control groups")
    progress = Progress.on_standard_error()
    try:
        started = Site.start(progress)
    except (LocalNodeError, LocalKubernetesError) as error:
        pytest.fail(f"no site could be started: {error}")
    with started:
        with progress.step("bringing the images to the nodes"):
            started.load(archives[images.OPERATOR], [FIRST])
            started.load(archives[images.MIGRATOR])
            try:
                started.load(postgresql.archive(progress, 18), [FIRST])
            except LocalImagesError as error:
                pytest.fail(str(error))
        yield started


@pytest.fixture(scope="session")
def node_api(site: Site) -> Iterator[client.ApiClient]:
    """The official client, as the site's administrator."""
    new_client: Any = config.new_client_from_config
    with new_client(str(cluster_of(site).kubeconfig), persist_config=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgresql_pod(site: Site, node_api: client.ApiClient) -> str:
    """The address of a PostgreSQL that runs as a pod of the first node."""
    cluster = cluster_of(site)
    make_namespace(cluster, _DATABASES)
    objects = Objects(cluster, _DATABASES, node_api)
    objects.apply(_database_pod())
    objects.kubectl("wait", "--for=condition=Ready", "pod/postgresql", "--timeout=60s")
    pod = objects.get("pod", "postgresql")
    assert pod is not None
    return f"postgresql://postgres:{_PASSWORD}@{pod['status']['podIP']}:5432"


@pytest.fixture(scope="session")
def operated(site: Site, node_api: client.ApiClient) -> Objects:
    """The operator, installed by the Kustomize files as they are, on the first node."""
    cluster = cluster_of(site)
    cluster.kubectl("cordon", SECOND)
    cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/kustomize/base"))
    objects = Objects(cluster, OPERATOR, node_api)
    try:
        objects.kubectl("rollout", "status", f"deployment/{OPERATOR}", "--timeout=60s")
    except LocalKubernetesError as error:
        pytest.fail(f"{error}\n{objects.kubectl('describe', 'pods')}\n{_logs(objects)}")
    cluster.kubectl("uncordon", SECOND)
    return objects


@pytest.fixture
def tenant(
    operated: Objects, postgresql_pod: str, node_api: client.ApiClient, witness: Witness
) -> Iterator[Tenant]:
    """A namespace that enforces ``restricted``, and an empty database; nothing applied."""
    name = f"tenant-{uuid.uuid4().hex[:8]}"
    make_namespace(operated.cluster, name)
    with psycopg.connect(f"{postgresql_pod}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    url = f"{postgresql_pod}/{name}"
    witness.secret(url)
    objects = Objects(operated.cluster, name, node_api)
    yield Tenant(Migrations(objects), url)
    for source, text in gather(objects):
        witness.text(source, text)
    for pod in objects.list("pod"):
        witness.text(f"log of {pod['metadata']['name']}", log_of(objects, pod["metadata"]["name"]))
    witness.text("the operator's log", _logs(operated))
    operated.cluster.kubectl("delete", "namespace", name, "--wait=false")


def cluster_of(site: Site) -> Cluster:
    """The site's control plane."""
    assert site.cluster is not None
    return site.cluster


def make_namespace(cluster: Cluster, name: str) -> None:
    """Make a namespace that enforces the strictest of the Pod Security Standards."""
    document = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": RESTRICTED},
    }
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(document))
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=20s")


def log_of(objects: Objects, pod: str) -> str:
    """What a pod wrote; nothing where it never began."""
    try:
        return objects.kubectl("logs", pod, "--all-containers", "--ignore-errors")
    except LocalKubernetesError:
        return ""


def _logs(objects: Objects) -> str:
    pods = objects.list("pod", f"app.kubernetes.io/name={OPERATOR}")
    return "\n".join(log_of(objects, pod["metadata"]["name"]) for pod in pods)


def _database_pod() -> dict[str, Any]:
    container = {
        "name": "postgresql",
        "image": postgresql.name(18),
        "imagePullPolicy": "Never",
        "args": ["-c", "fsync=off", "-c", "max_connections=50"],
        "env": [{"name": "POSTGRES_PASSWORD", "value": _PASSWORD}],
        "securityContext": SECURITY,
        "volumeMounts": [{"name": "data", "mountPath": "/tmp"}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "--host=127.0.0.1", "--username=postgres"]},
            "periodSeconds": 1,
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "postgresql"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": FIRST},
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }
