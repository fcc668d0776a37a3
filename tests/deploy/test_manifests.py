"""What is applied by itself, on a server that knows the resources of those that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.deploy.fix_helm import define
from tests.deploy.manifests import CLUSTER_WIDE, DEPLOY

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster

BY_ITSELF = (
    "example",
    "argocd/example.yaml",
    "prometheus/podmonitor.yaml",
    "prometheus/servicemonitor.yaml",
    "prometheus/prometheusrule.yaml",
)


def test_what_is_applied_by_itself_is_accepted(own_cluster: Cluster) -> None:
    define(own_cluster, "argocd", "prometheus")
    own_cluster.kubectl("apply", "--server-side", "-k", str(CLUSTER_WIDE))
    own_cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    own_cluster.kubectl("create", "namespace", "argocd")
    for path in BY_ITSELF:
        file = f"--filename={DEPLOY / path}"
        own_cluster.kubectl("apply", "--server-side", "--validate=strict", file)
        # And again: a server that left something out would have something to change.
        again = own_cluster.kubectl("diff", "--server-side", file)
        assert again == "", path
