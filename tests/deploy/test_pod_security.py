"""Every pod of ours is admitted where the Pod Security Standard `restricted` is enforced."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from local_kubernetes.errors import ClusterError
from tests.deploy.manifests import CLUSTER_WIDE, DEPLOY, NAMESPACED, only, rendered
from tests.deploy.test_helm import WHOLE
from tests.operator.test_job import TEMPLATE, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.deploy.fix_helm import Helm
    from tests.fix_cluster import Objects


@pytest.fixture
def restricted(objects: Objects) -> Iterator[Objects]:
    """A namespace that enforces the standard, with all that a whole template names."""
    objects.kubectl(
        "label",
        "namespace",
        objects.namespace,
        "pod-security.kubernetes.io/enforce=restricted",
        "pod-security.kubernetes.io/enforce-version=latest",
    )
    for account in ("schema-operator", str(TEMPLATE["serviceAccountName"])):
        objects.kubectl("create", "serviceaccount", account)
    metadata = {"name": objects.namespace}
    objects.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": metadata,
            "value": 1000,
        },
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": metadata,
            "handler": "runsc",
        },
    )
    yield objects
    objects.kubectl("delete", "priorityclass,runtimeclass", objects.namespace)


def whole(objects: Objects) -> dict[str, Any]:
    """A template with every field that there is."""
    classes = {"priorityClassName": objects.namespace, "runtimeClassName": objects.namespace}
    assert classes.keys() <= TEMPLATE.keys()
    return {**TEMPLATE, **classes}


def admit(objects: Objects, template: dict[str, Any]) -> None:
    """Asks the server for the pod of a template, without its being stored.

    Raises:
        ClusterError: it is refused.
    """
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "pod"},
        "spec": template["spec"],
    }
    objects.kubectl(
        *("create", "--dry-run=server", "--validate=strict", "--filename=-"),
        stdin=json.dumps(pod),
    )


def migrator(**changes: Any) -> dict[str, Any]:
    template: dict[str, Any] = manifest(**changes)["spec"]["template"]
    return template


@pytest.mark.parametrize("installation", [CLUSTER_WIDE, NAMESPACED], ids=lambda path: path.name)
def test_the_operators_pod_is_admitted(
    restricted: Objects, tmp_path: Path, installation: Path
) -> None:
    documents = rendered(restricted.cluster, tmp_path, installation)
    admit(restricted, only(documents, "Deployment")["spec"]["template"])


def test_the_operators_pod_is_admitted_whatever_the_charts_values_are(
    restricted: Objects, helm: Helm
) -> None:
    """So none of them loosens it: there is no value that the chart takes and this does not set."""
    values = WHOLE | {
        "priorityClassName": restricted.namespace,
        "serviceAccount": {"name": "schema-operator"},
    }
    for documents in (helm.render(), helm.render(**values)):
        admit(restricted, only(documents, "Deployment")["spec"]["template"])


def test_a_migrators_pod_is_admitted(restricted: Objects) -> None:
    admit(restricted, migrator())
    secrets = [{"name": "pull"}]
    admit(restricted, migrator(podTemplate=whole(restricted), imagePullSecrets=secrets))


def _no_seccomp(pod: dict[str, Any]) -> None:
    del pod["securityContext"]["seccompProfile"]


def _root(pod: dict[str, Any]) -> None:
    pod["securityContext"]["runAsNonRoot"] = False


def _capabilities(pod: dict[str, Any]) -> None:
    del pod["containers"][0]["securityContext"]["capabilities"]


def _escalation(pod: dict[str, Any]) -> None:
    del pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"]


def _host(pod: dict[str, Any]) -> None:
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})


@pytest.mark.parametrize(
    "loosen",
    [_no_seccomp, _root, _capabilities, _escalation, _host],
    ids=lambda each: each.__name__,
)
def test_a_looser_pod_is_refused_there(
    restricted: Objects, loosen: Callable[[dict[str, Any]], None]
) -> None:
    """So the namespace does enforce it, and each of these lines is needed."""
    template = copy.deepcopy(migrator(podTemplate=whole(restricted)))
    loosen(template["spec"])
    with pytest.raises(ClusterError, match='violates PodSecurity "restricted:latest"'):
        admit(restricted, template)


def test_the_example_namespaces_enforce_it() -> None:
    for path in ("kustomize/base/namespace.yaml", "example/namespace.yaml"):
        assert "pod-security.kubernetes.io/enforce: restricted" in (DEPLOY / path).read_text()
