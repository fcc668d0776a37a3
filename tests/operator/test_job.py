"""The Job of a run: what it passes to the migrator, and that its pod is restricted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schema_operator import decision, job, names
from schema_operator.options import PodDefaults
from schema_operator.world import Start
from tests.operator.worlds import KEY, NOW, UID, digest_of, spec, wanted, world


def manifest(**changes: Any) -> dict[str, Any]:
    chosen = spec(**changes)
    wish = wanted(chosen)
    action = decision.decide(world(wants=wish)).action
    assert isinstance(action, Start)
    return job.manifest(wish, chosen, action, PodDefaults())


def container(document: dict[str, Any]) -> dict[str, Any]:
    (only,) = document["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def environment(document: dict[str, Any]) -> dict[str, Any]:
    return {
        one["name"]: one.get("value", one.get("valueFrom")) for one in container(document)["env"]
    }


@pytest.mark.parametrize("changes", [{}, {"imagePullSecrets": [{"name": "pull"}], "tree": "shop"}])
def test_the_pod_is_restricted(changes: dict[str, Any]) -> None:
    pod = manifest(**changes)["spec"]["template"]["spec"]
    only = container(manifest(**changes))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(pod)
    assert [set(volume) for volume in pod["volumes"]] == [{"name", "emptyDir"}]
    assert only["resources"]["limits"]["memory"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param({}, {"requests": {"cpu": "1"}, "limits": {}}, id="the operator's own"),
        pytest.param(
            {"resources": {"limits": {"memory": "1Gi"}}},
            {"limits": {"memory": "1Gi"}},
            id="the resource's",
        ),
    ],
)
def test_a_pod_gets_of_its_node_what_the_resource_says_else_the_operator(
    template: dict[str, Any], expected: dict[str, Any]
) -> None:
    chosen = spec(podTemplate=template)
    wish = wanted(chosen)
    action = decision.decide(world(wants=wish)).action
    assert isinstance(action, Start)
    document = job.manifest(wish, chosen, action, PodDefaults(requests={"cpu": "1"}, limits={}))
    assert container(document)["resources"] == expected


def test_one_pod_and_no_deadline_but_its_own() -> None:
    document = manifest(timeout="10m")["spec"]
    assert document["backoffLimit"] == 0
    assert document["completions"] == document["parallelism"] == 1
    assert document["template"]["spec"]["restartPolicy"] == "Never"
    assert document["template"]["spec"]["activeDeadlineSeconds"] == 600 + 30 + 3600
    assert "activeDeadlineSeconds" not in document
    assert "ttlSecondsAfterFinished" not in document


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({}, ["goto", "head"]),
        ({"target": "heads"}, ["goto", "heads"]),
        ({"target": "0007"}, ["goto", "0007"]),
        ({"target": "0007", "allowDowngrade": True}, ["goto", "--allow-downgrade", "0007"]),
        ({"target": "base", "allowDowngrade": True}, ["goto", "--allow-downgrade", "base"]),
    ],
)
def test_the_migrator_is_told_where_to_go(changes: dict[str, Any], arguments: list[str]) -> None:
    only = container(manifest(**changes))
    assert only["args"] == arguments
    assert "command" not in only


def test_the_migrators_environment() -> None:
    found = environment(
        manifest(
            tree="shop:migrations",
            timeout="20m",
            lockTimeout="500ms",
            statementTimeout="1h",
            onDatabaseAhead="Accept",
        )
    )
    assert found == {
        "DATABASE_URL": {"secretKeyRef": {"name": "shop-db", "key": "DATABASE_URL"}},
        "MIGRATE_TREE": "shop:migrations",
        "MIGRATE_TIMEOUT": "20m",
        "MIGRATE_LOCK_TIMEOUT": "500ms",
        "MIGRATE_STATEMENT_TIMEOUT": "1h",
        "MIGRATE_ON_DATABASE_AHEAD": "accept",
        "MIGRATE_RESULT_FILE": "/dev/termination-log",
        "MIGRATE_RUN_ID": manifest(tree="shop:migrations", onDatabaseAhead="Accept")["metadata"][
            "name"
        ],
        "MIGRATE_IMAGE": "registry.example/shop:1",
        "MIGRATE_POD": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
    }


def test_what_is_absent_is_left_to_the_image() -> None:
    assert "MIGRATE_TREE" not in environment(manifest())


def test_labels_and_annotations_tell_what_the_run_is() -> None:
    metadata = manifest()["metadata"]
    assert metadata["labels"][names.LABEL_NAME] == KEY.name
    assert metadata["labels"][names.LABEL_UID] == UID
    assert metadata["annotations"] == {
        names.ANNOTATION_DIGEST: digest_of(),
        names.ANNOTATION_GENERATION: "1",
        names.ANNOTATION_ATTEMPT: "1",
        names.ANNOTATION_RUN: "apply",
        names.ANNOTATION_SERIES: NOW.isoformat(),
        names.ANNOTATION_FAILURES: "0",
        names.ANNOTATION_TIMEOUT: "900",
    }
    labels = manifest()["spec"]["template"]["metadata"]["labels"]
    assert labels == metadata["labels"]
    assert all(len(value) <= 63 for value in labels.values())


def test_the_resource_owns_its_jobs_without_blocking_its_deletion() -> None:
    (owner,) = manifest()["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (UID, True, False)


def test_two_secrets_are_two_databases_and_one_secret_is_one() -> None:
    def label(**reference: str) -> str:
        changed = manifest(database={"urlSecretRef": reference})
        value: str = changed["metadata"]["labels"][names.LABEL_DATABASE]
        return value

    one = label(name="shop-db")
    assert one == label(name="shop-db", key="DATABASE_URL")
    assert one != label(name="shop-db", key="OTHER")
    assert one != label(name="other-db")


def test_the_manifest_is_plain_json() -> None:
    assert json.loads(json.dumps(manifest())) == manifest()


# The template


FIELD = {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}
TEMPLATE = {
    "metadata": {
        "labels": {"team": "shops", names.LABEL_UID: "forged"},
        "annotations": {"sidecar.istio.io/inject": "false"},
    },
    "serviceAccountName": "migrator",
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "spot", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]},
                }
            ]
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "high",
    "runtimeClassName": "gvisor",
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
    "dnsConfig": {"searches": ["shops.example"]},
    "resources": {"requests": {"cpu": 1, "memory": "1Gi"}},
    "env": [
        {"name": "PGSSLMODE", "value": "verify-full"},
        {"name": "CA", "valueFrom": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}},
    ],
    "envFrom": [{"prefix": "SHOP_", "configMapRef": {"name": "shop"}}],
    "volumes": [
        {"name": "ca", "configMap": {"name": "ca"}},
        {"name": "both", "projected": {"sources": [{"downwardAPI": {"items": [FIELD]}}]}},
    ],
    "volumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
}


def test_the_template_reaches_the_pod_as_it_was_written() -> None:
    template = manifest(podTemplate=TEMPLATE)["spec"]["template"]
    pod = template["spec"]
    only = container(manifest(podTemplate=TEMPLATE))
    for name in set(TEMPLATE) - {
        "metadata",
        "resources",
        "env",
        "envFrom",
        "volumes",
        "volumeMounts",
    }:
        assert pod[name] == TEMPLATE[name], name
    assert template["metadata"]["labels"]["team"] == "shops"
    assert template["metadata"]["labels"][names.LABEL_UID] == UID
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    assert pod["volumes"][1:] == TEMPLATE["volumes"]
    assert only["volumeMounts"][1:] == TEMPLATE["volumeMounts"]
    assert only["envFrom"] == TEMPLATE["envFrom"]
    assert only["resources"] == TEMPLATE["resources"]


def test_the_operators_own_variables_win() -> None:
    """Of two variables of one name the last counts."""
    found = [one["name"] for one in container(manifest(podTemplate=TEMPLATE))["env"]]
    assert found[:3] == ["PGSSLMODE", "CA", "DATABASE_URL"]


def test_a_template_loosens_nothing() -> None:
    loose = {
        "securityContext": {"runAsUser": 0},
        "hostNetwork": True,
        "initContainers": [{"name": "more"}],
        "automountServiceAccountToken": True,
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    }
    pod = manifest(podTemplate={**TEMPLATE, **loose})["spec"]["template"]["spec"]
    plain = manifest()["spec"]["template"]["spec"]
    assert pod["securityContext"] == plain["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "initContainers"} & set(pod)
    assert "hostPath" not in json.dumps(pod)


def test_without_a_template_nothing_is_added() -> None:
    pod = manifest()["spec"]["template"]["spec"]
    assert set(pod) == {
        "restartPolicy",
        "activeDeadlineSeconds",
        "terminationGracePeriodSeconds",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "securityContext",
        "containers",
        "volumes",
    }
