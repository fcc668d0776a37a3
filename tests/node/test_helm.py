"""The chart on real nodes: it comes up, stands by, gives way to a drain one at a time, and goes."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from local_kubernetes.errors import ClusterError
from local_kubernetes.progress import Progress
from local_programs.program import HELM
from tests.deploy.fix_helm import CHART, OF_A_NAMESPACE, RELEASE, Helm
from tests.fix_cluster import Objects, eventually
from tests.node.fix_site import FIRST, make_namespace

if TYPE_CHECKING:
    from pathlib import Path

    from kubernetes import client

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]

NAMESPACE = "charted"


def test_a_release_stands_by_and_is_drained_one_at_a_time(
    operated: Objects, node_api: client.ApiClient, tmp_path: Path
) -> None:
    cluster = operated.cluster
    make_namespace(cluster, NAMESPACE)
    objects = Objects(cluster, NAMESPACE, node_api)
    helm = Helm(HELM.locate(Progress(sys.__stderr__)), tmp_path, cluster.kubeconfig)
    place = (f"--namespace={NAMESPACE}", "--wait")

    # As the image is on the first node alone.
    values = {"replicas": 2, "nodeSelector": {"kubernetes.io/hostname": FIRST}}
    arguments = ("install", RELEASE, str(CHART), f"--values={OF_A_NAMESPACE}", *place)
    helm(*arguments, "--timeout=50s", values=values)

    holder = str(eventually(lambda: leader(objects)))
    (standby,) = pods(objects) - {holder}
    eventually(lambda: budget(objects) == 1)
    evict(objects, holder)
    with pytest.raises(ClusterError, match="violate the pod's disruption budget"):
        evict(objects, standby)
    assert eventually(lambda: leader(objects) not in {"", holder} and leader(objects)) == standby
    eventually(lambda: budget(objects) == 1, 60)
    evict(objects, standby)

    helm("uninstall", RELEASE, *place)
    eventually(lambda: not pods(objects), 60)


def leader(objects: Objects) -> str:
    """The pod that holds the Lease."""
    lease = objects.get("lease", RELEASE) or {"spec": {}}
    return next(
        (name for name in pods(objects) if name in str(lease["spec"].get("holderIdentity"))), ""
    )


def pods(objects: Objects) -> set[str]:
    """The operator's pods that are not on their way out."""
    found = objects.list("pod", f"app.kubernetes.io/name={RELEASE}")
    return {
        each["metadata"]["name"] for each in found if "deletionTimestamp" not in each["metadata"]
    }


def budget(objects: Objects) -> int:
    """How many may be disrupted now."""
    found: dict[str, Any] = json.loads(objects.kubectl("get", "pdb", RELEASE, "--output=json"))
    return int(found.get("status", {}).get("disruptionsAllowed", 0))


def evict(objects: Objects, pod: str) -> None:
    """Ask for an eviction, as `kubectl drain` does.

    Raises:
        ClusterError: the budget does not allow it.
    """
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": objects.namespace},
    }
    path = f"/api/v1/namespaces/{objects.namespace}/pods/{pod}/eviction"
    objects.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction))
