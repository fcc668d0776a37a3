"""Everything that an installation consists of is what the API server's schemas say, strictly."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.deploy import schemas
from tests.deploy.fix_helm import OF_A_NAMESPACE
from tests.deploy.manifests import (
    CLUSTER_WIDE,
    POLICY_OF_MIGRATOR,
    POLICY_OF_OPERATOR,
    STANDBYS,
    Document,
    rendered,
)
from tests.deploy.test_helm import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_kubernetes.cluster import Cluster
    from tests.deploy.fix_helm import Helm

GROUPS = (
    "v1",
    "apps/v1",
    "rbac.authorization.k8s.io/v1",
    "networking.k8s.io/v1",
    "policy/v1",
    "apiextensions.k8s.io/v1",
    "monitoring.coreos.com/v1",
)


@pytest.fixture
def check(
    monitored: Cluster, kubeconform: Path, tmp_path: Path
) -> Callable[[list[Document]], list[str]]:
    """Calls kubeconform with the server's schemas, and returns what it finds wrong."""
    folder = tmp_path / "schemas"
    folder.mkdir()
    schemas.write(monitored, folder, *GROUPS)

    def call(documents: list[Document]) -> list[str]:
        ended = subprocess.run(
            [
                *(str(kubeconform), "-strict", "-output=json"),
                f"-schema-location={folder}/{schemas.LOCATION}",
            ],
            input="\n---\n".join(json.dumps(each) for each in documents),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found = json.loads(ended.stdout)["resources"] or []
        assert bool(found) == (ended.returncode != 0), ended
        return [f"{each['kind']} {each['name']}: {each['msg']}" for each in found]

    return call


def test_the_chart_and_the_bases_are(
    helm: Helm,
    cluster: Cluster,
    check: Callable[[list[Document]], list[str]],
    tmp_path: Path,
) -> None:
    assert check(helm.render()) == []
    assert check(helm.render(f"--values={OF_A_NAMESPACE}")) == []
    monitor = {"podMonitor": {"create": True}, "serviceMonitor": {"create": False}}
    assert check(helm.render(**WHOLE)) == check(helm.render(**(WHOLE | monitor))) == []
    components = (POLICY_OF_OPERATOR, POLICY_OF_MIGRATOR, STANDBYS)
    (tmp_path / "all").mkdir()
    assert check(rendered(cluster, tmp_path / "all", CLUSTER_WIDE, components=components)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"replicas": "two"}, "/spec/replicas"),
        ({"replica": 2}, "'replica' not allowed"),
        ({"template": {"spec": {"containers": [{"name": "a", "imag": "b"}]}}}, "'imag' not"),
    ],
    ids=["type", "field", "deep"],
)
def test_what_they_do_not_say_is_found(
    helm: Helm,
    check: Callable[[list[Document]], list[str]],
    change: Document,
    words: str,
) -> None:
    documents = helm.render()
    deployment = next(each for each in documents if each["kind"] == "Deployment")
    deployment["spec"] |= change
    (said,) = check(documents)
    assert words in said
