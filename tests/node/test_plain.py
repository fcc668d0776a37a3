"""The migrator without the operator, as a Job and as an init container: the examples as they ship."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from local_images import images
from local_images.engine import Engine
from local_kubernetes.errors import LocalKubernetesError
from tests.fix_cluster import Objects, eventually
from tests.node.fix_site import ROOT, cluster_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kubernetes import client

    from local_images.images import Image
    from local_node.site import Site
    from tests.witness import Witness

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

NAMESPACE = "tenant-registry"
EXAMPLES = ROOT / "deploy" / "plain"
APPLICATION = "registry.example/application:1.0.0"
_DOCKERFILE = f"""\
FROM {images.MIGRATOR.name}
ENTRYPOINT ["python", "-m", "http.server", "8080", "--directory", "/opt"]
CMD []
"""


@pytest.fixture(scope="module")
def application(
    site: Site, archives: Mapping[Image, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Some application, on all nodes."""
    folder = tmp_path_factory.mktemp("application")
    (folder / "Dockerfile").write_text(_DOCKERFILE)
    with Engine.find() or Engine.start() as engine:
        images.load(engine, archives[images.MIGRATOR])
        engine.docker("build", f"--tag={APPLICATION}", folder, environment={"DOCKER_BUILDKIT": "0"})
        images.save(engine, folder / "application.tar", APPLICATION)
    site.load(folder / "application.tar")


@pytest.fixture
def url(postgresql_pod: str, witness: Witness) -> str:
    """An empty database."""
    name = f"plain-{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"{postgresql_pod}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    witness.secret(f"{postgresql_pod}/{name}")
    return f"{postgresql_pod}/{name}"


@pytest.fixture
def objects(site: Site, node_api: client.ApiClient, url: str) -> Iterator[Objects]:
    """The namespace of the example, which enforces ``restricted``, with a Secret that is right."""
    cluster = cluster_of(site)
    cluster.kubectl("apply", f"--filename={ROOT / 'deploy/example/namespace.yaml'}")
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", f"-n{NAMESPACE}")
    found = Objects(cluster, NAMESPACE, node_api)
    secret = json.loads(
        cluster.kubectl(
            "create",
            "--dry-run=client",
            "-ojson",
            f"--filename={ROOT / 'deploy/example/secret.yaml'}",
        )
    )
    secret["stringData"] = {"DATABASE_URL": url}
    found.apply(secret)
    yield found
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")


def test_the_job_migrates_and_completes(objects: Objects, url: str) -> None:
    objects.kubectl("replace", "--force", f"--filename={EXAMPLES / 'job.yaml'}")

    _wait(objects, "Complete", "job/tenant-registry-migrate")

    assert _position(url) == [("0001",)]
    pod = objects.pod_of("tenant-registry-migrate")
    result = json.loads(pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"])
    assert (result["outcome"], result["to"]) == ("applied", "0001")


def test_the_job_gives_up_at_once_where_a_retry_can_not_help(objects: Objects, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")

    objects.kubectl("replace", "--force", f"--filename={EXAMPLES / 'job.yaml'}")

    _wait(objects, "Failed", "job/tenant-registry-migrate")
    assert len(objects.list("pod", "job-name=tenant-registry-migrate")) == 1
    assert _position(url) == [("9999",)]


def test_the_application_starts_on_the_schema_that_its_init_container_made(
    objects: Objects, url: str, application: None
) -> None:
    objects.kubectl("apply", f"--filename={EXAMPLES / 'deployment.yaml'}")

    try:
        objects.kubectl("rollout", "status", "deployment/application", "--timeout=50s")
    except LocalKubernetesError as error:
        pytest.fail(f"{error}\n{objects.kubectl('describe', 'pods')}")

    assert _position(url) == [("0001",)]
    pods = objects.list("pod", "app.kubernetes.io/name=application")
    logs = [objects.kubectl("logs", pod["metadata"]["name"], "--container=migrate") for pod in pods]
    assert len(logs) == 2
    assert sum("applied 1 revision; the database is at 0001" in log for log in logs) == 1
    assert sum("nothing to do: the database is at 0001" in log for log in logs) == 1


def _wait(objects: Objects, condition: str, name: str) -> None:
    objects.kubectl("wait", f"--for=condition={condition}", name, "--timeout=50s")


def _position(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return eventually(
            lambda: connection.execute("SELECT version_num FROM alembic_version").fetchall()
        )
