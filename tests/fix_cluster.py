"""A Kubernetes for the tests: one a run, shared by all of its workers.

``SCHEMA_OPERATOR_KUBECONFIG`` names a cluster to use instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import json
import os
import sys
import time
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import pytest
from kubernetes import client, config

from local_kubernetes.binaries import kubernetes_version
from local_kubernetes.cluster import EXISTING_VARIABLE, Cluster
from local_kubernetes.launch import Options
from local_kubernetes.processes import Identity
from local_kubernetes.progress import Progress
from tests.fix_secrets import gather
from tests.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.witness import Witness

T = TypeVar("T")

_PROPERTY = "kubernetes"

MIGRATE = Path(sys.executable).with_name("migrate")

IMAGES = {
    "registry.example/tenant-registry-migrations:*": (str(MIGRATE),),
    "local/shell:*": (),  # the pod names the command
    "local/python:*": (sys.executable,),
}


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tally("Kubernetes", _PROPERTY), "kubernetes-tally")


def pytest_runtest_call(item: pytest.Item) -> None:
    """Note on the test's report what it ran on."""
    found = getattr(item, "funcargs", {}).get("cluster")
    if isinstance(found, Cluster):
        item.user_properties.append((_PROPERTY, _version(found)))


@functools.cache
def _version(cluster: Cluster) -> str:
    return cluster.version


def pytest_report_header() -> str:
    existing = os.environ.get(EXISTING_VARIABLE)
    if existing:
        return f"kubernetes: the cluster of {existing}"
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    source = f"from {assets} where it has them" if assets else "built here"
    return f"kubernetes: {kubernetes_version()}, {source}"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    shared = _shared_folder(tmp_path_factory)
    existing = os.environ.get(EXISTING_VARIABLE)
    if existing:
        yield Cluster.existing(Path(existing), shared / "existing")
        return
    with _counted(shared, +1):
        options = Options(
            images=IMAGES,
            node_arguments=("--image-backoff=2",),
            owner=Identity.of(_run_process()),
        )
        started = Cluster.find_or_start(shared / "cluster", options, Progress(sys.__stderr__))
    try:
        yield started
    finally:
        with _counted(shared, -1) as users:
            if users == 0:
                started.stop()


@pytest.fixture
def namespace(cluster: Cluster, api: client.ApiClient, witness: Witness) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", name)
    # Without it the server refuses pods.
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=20s")
    yield name
    for source, text in gather(Objects(cluster, name, api)):
        witness.text(source, text)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


PATHS = {
    "pod": "/api/v1/namespaces/{namespace}/pods",
    "secret": "/api/v1/namespaces/{namespace}/secrets",
    "event": "/api/v1/namespaces/{namespace}/events",
    "node": "/api/v1/nodes",
    "job": "/apis/batch/v1/namespaces/{namespace}/jobs",
    "lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
    "schemamigration": (
        "/apis/migrations.tenant-registry.dev/v1alpha1/namespaces/{namespace}/schemamigrations"
    ),
}


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects of one namespace, as dictionaries."""

    cluster: Cluster
    namespace: str
    api: client.ApiClient

    def apply(self, *documents: dict[str, Any]) -> None:
        """Creates or changes them, as `kubectl apply` does."""
        listing = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl("apply", "--filename=-", stdin=json.dumps(listing))

    def create(self, kind: str, document: dict[str, Any]) -> None:
        """Creates one, without the time that kubectl takes to start."""
        api: Any = self.api  # it publishes no types
        headers = {"Content-Type": "application/json"}
        answer = api.call_api(
            *api.param_serialize(
                "POST",
                self._path(kind),
                header_params=headers,
                body=document,
                auth_settings=["BearerToken"],
            ),
            _request_timeout=10,
        )
        content = answer.read()
        assert answer.status == HTTPStatus.CREATED, content

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object; None if there is none. Quick: asked again and again."""
        return self._request(f"{self._path(kind)}/{name}")

    def list(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Those of a kind, by labels."""
        found = self._request(f"{self._path(kind)}?{urlencode({'labelSelector': selector})}")
        items: list[dict[str, Any]] = (found or {"items": []})["items"]
        return items

    def texts(self, kind: str) -> Iterator[tuple[str, str]]:
        """Those of a kind by name, each as one text."""
        for document in self.list(kind):
            yield document["metadata"]["name"], json.dumps(document)

    def delete(self, kind: str, name: str, *options: str) -> None:
        """Asks for a deletion, and waits for nothing."""
        self.kubectl("delete", kind, name, "--wait=false", *options)

    def pod_of(self, job: str) -> dict[str, Any]:
        """The one pod of a Job, as soon as there is one."""
        return eventually(lambda: self.list("pod", f"job-name={job}"))[0]

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """kubectl in this namespace, as the administrator."""
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def _path(self, kind: str) -> str:
        return PATHS[kind].format(namespace=self.namespace)

    def _request(self, path: str) -> dict[str, Any] | None:
        api: Any = self.api  # it publishes no types
        answer = api.call_api(
            *api.param_serialize("GET", path, auth_settings=["BearerToken"]), _request_timeout=10
        )
        content = answer.read()
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        assert answer.status == HTTPStatus.OK, content
        document: dict[str, Any] = json.loads(content)
        return document


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[client.ApiClient]:
    """The official client, as the administrator."""
    new_client: Any = config.new_client_from_config
    with new_client(str(cluster.kubeconfig), persist_config=False) as opened:
        yield opened


@pytest.fixture
def objects(cluster: Cluster, namespace: str, api: client.ApiClient) -> Objects:
    return Objects(cluster, namespace, api)


def eventually(question: Callable[[], T | None], seconds: float = 20.0) -> T:
    """The first answer that is true, asked again and again."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g}s; the last answer was {answer!r}")
        time.sleep(0.05)


def _run_process() -> int:
    """The process that lives as long as the run: the one that started the workers, if any."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of a run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextlib.contextmanager
def _counted(shared: Path, change: int) -> Iterator[int]:
    """Counts the workers that use the cluster; one at a time gets in here."""
    with (shared / "cluster.users").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        users = int(file.read() or 0) + change
        file.truncate(0)
        file.write(str(users))
        file.flush()
        yield users
