"""Helm, and the chart as it is rendered, installed and removed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local_kubernetes.cluster import Cluster
from local_kubernetes.launch import Options
from local_kubernetes.processes import Identity
from local_kubernetes.progress import Progress
from local_programs.program import HELM, KUBECONFORM
from tests.deploy.manifests import DEPLOY, Document

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = DEPLOY / "helm" / "schema-operator"
OF_A_NAMESPACE = DEPLOY / "helm" / "namespaced.yaml"
RELEASE = "schema-operator"


class HelmError(Exception):
    """Helm refused, in its words."""


@dataclasses.dataclass(frozen=True)
class Helm:
    """Helm with files of its own.

    Attributes:
        program: where it is.
        home: a folder for what it keeps.
        kubeconfig: of the cluster that it talks to; None: none.
    """

    program: Path
    home: Path
    kubeconfig: Path | None = None

    def __call__(self, *arguments: str, values: Document | None = None) -> str:
        """Run it, and return what it prints.

        Raises:
            HelmError: it refused.
        """
        environment = {f"HELM_{part}_HOME": str(self.home) for part in ("CACHE", "CONFIG", "DATA")}
        environment |= {"HOME": str(self.home)}  # what it has from kubectl keeps a cache there
        if self.kubeconfig is not None:
            environment |= {"KUBECONFIG": str(self.kubeconfig)}
        ended = subprocess.run(
            [str(self.program), *arguments, *(["--values=-"] if values is not None else [])],
            env=environment,
            input=json.dumps(values) if values is not None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if ended.returncode != 0:
            raise HelmError(ended.stderr)
        return ended.stdout

    def render(
        self, *options: str, namespace: str = "schema-operator", **values: Any
    ) -> list[Document]:
        """Return what the chart makes of these values."""
        text = self(
            "template", RELEASE, str(CHART), f"--namespace={namespace}", *options, values=values
        )
        return [each for each in yaml.safe_load_all(text) if each is not None]


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """Helm, without a cluster."""
    return Helm(HELM.locate(Progress(sys.__stderr__)), tmp_path / "helm")


@pytest.fixture
def kubeconform() -> Path:
    """The program that checks manifests."""
    return KUBECONFORM.locate(Progress(sys.__stderr__))


FOREIGN = Path(__file__).with_name("foreign")
"""Definitions of others' resources, written for these tests."""


def define(cluster: Cluster, *names: str) -> Cluster:
    """Tell a cluster of others' resources."""
    for name in names:
        file = f"--filename={FOREIGN / name}.yaml"
        cluster.kubectl("apply", "--server-side", file)
        cluster.kubectl("wait", "--for=condition=Established", file, "--timeout=30s")
    return cluster


@pytest.fixture(scope="session")
def monitored(cluster: Cluster) -> Cluster:
    """The cluster of all tests, which knows the Prometheus operator's resources."""
    return define(cluster, "prometheus")


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster for this test alone, with nothing of the product in it."""
    options = Options(owner=Identity.own())
    with Cluster.start(tmp_path / "cluster", options, Progress(sys.__stderr__)) as started:
        yield started
