"""The Job of one attempt: from the spec to a manifest, and nothing else.

Every pod made here passes the Pod Security Standard ``restricted``, has a
read-only root, a numeric user and no token, and nothing in the resource can undo
that. Of the resource's own labels and annotations nothing is copied.
"""

from __future__ import annotations

import math
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from schema_operator import digest, duration, names, parts, run
from schema_operator.kind import Kind

if TYPE_CHECKING:
    from schema_operator import resource
    from schema_operator.options import PodDefaults
    from schema_operator.world import Start, Wanted

USER: Final = 65532
"""The user and group that a migrator runs as, whatever the image says."""

_POLICIES: Final = {
    parts.DatabaseAheadPolicy.BLOCK: "refuse",
    parts.DatabaseAheadPolicy.ACCEPT: "accept",
}

_LEAVE_IN_PEACE: Final = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
"""Asks those who make nodes empty to leave the pod where it is."""

_OF_POD: Final = (
    "service_account_name",
    "node_selector",
    "tolerations",
    "affinity",
    "topology_spread_constraints",
    "priority_class_name",
    "runtime_class_name",
    "host_aliases",
    "dns_config",
)
"""The fields of the template that are the pod's as they are."""

_RESULT_FILE: Final = "/dev/termination-log"


def manifest(
    wanted: Wanted,
    spec: resource.Spec,
    start: Start,
    defaults: PodDefaults,
) -> dict[str, Any]:
    """Return the Job that carries out an attempt.

    The only deadline in it is the pod's: it covers the case that no operator is
    there to stop a run that has outlived its timeout, and leaves the pod room to
    wait for its Secret, its image and a node.

    Args:
        wanted: the resource.
        spec: its spec.
        start: the attempt.
        defaults: what the pod gets where the spec says nothing of it.
    """
    secret = spec.database.url_secret_ref
    template = spec.pod_template
    labels = {
        "app.kubernetes.io/managed-by": names.PROGRAM,
        "app.kubernetes.io/name": "schema-migrator",
        names.LABEL_NAME: wanted.key.name,
        names.LABEL_UID: wanted.uid,
        names.LABEL_DATABASE: digest.of_database(wanted.key.namespace, secret.name, secret.key),
        names.LABEL_ATTEMPT: str(start.attempt),
    }
    timeout = math.ceil(spec.timeout.total_seconds())
    deadline = timeout + math.ceil((run.GRACE + defaults.start_allowance).total_seconds())
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": start.job,
            "namespace": wanted.key.namespace,
            "labels": labels,
            "annotations": {
                names.ANNOTATION_DIGEST: start.digest,
                names.ANNOTATION_GENERATION: str(wanted.generation),
                names.ANNOTATION_ATTEMPT: str(start.attempt),
                names.ANNOTATION_RUN: str(start.kind),
                names.ANNOTATION_SERIES: start.series.astimezone(UTC).isoformat(),
                names.ANNOTATION_FAILURES: str(start.failures),
                names.ANNOTATION_TIMEOUT: str(timeout),
            },
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": wanted.key.name,
                    "uid": wanted.uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {
                    "labels": {**template.metadata.labels, **labels},
                    "annotations": {**_LEAVE_IN_PEACE, **template.metadata.annotations},
                },
                "spec": _pod(spec, start, defaults, deadline),
            },
        },
    }


def _pod(spec: resource.Spec, start: Start, defaults: PodDefaults, deadline: int) -> dict[str, Any]:
    pod: dict[str, Any] = {
        **spec.pod_template.dump(*_OF_POD),
        "restartPolicy": "Never",
        "activeDeadlineSeconds": deadline,
        "terminationGracePeriodSeconds": math.ceil(run.GRACE.total_seconds()),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, start, defaults)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *spec.pod_template.dump("volumes").get("volumes", ()),
        ],
    }
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret.name} for secret in spec.image_pull_secrets]
    return pod


def _container(spec: resource.Spec, start: Start, defaults: PodDefaults) -> dict[str, Any]:
    template = spec.pod_template.dump("resources", "env", "env_from", "volume_mounts")
    sources = {"envFrom": template["envFrom"]} if "envFrom" in template else {}
    return {
        **sources,
        "name": names.CONTAINER,
        "image": spec.image,
        "imagePullPolicy": str(spec.image_pull_policy),
        "args": _arguments(spec, start),
        "env": [*template.get("env", ()), *_environment(spec, start)],
        "terminationMessagePath": _RESULT_FILE,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": template.get("resources")
        or {"requests": dict(defaults.requests), "limits": dict(defaults.limits)},
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            *template.get("volumeMounts", ()),
        ],
    }


def _arguments(spec: resource.Spec, start: Start) -> list[str]:
    if start.kind is not Kind.APPLY:
        return ["plan", spec.target]
    words = ["goto"]
    if spec.allow_downgrade:
        words.append("--allow-downgrade")
    if spec.approval is parts.Approval.REQUIRED:
        words += ["--plan-id", spec.approved_plan or "none"]
    return [*words, spec.target]


def _environment(spec: resource.Spec, start: Start) -> list[dict[str, Any]]:
    secret = spec.database.url_secret_ref
    values = {
        "MIGRATE_TIMEOUT": duration.render(spec.timeout),
        "MIGRATE_LOCK_TIMEOUT": duration.render(spec.lock_timeout),
        "MIGRATE_STATEMENT_TIMEOUT": duration.render(spec.statement_timeout),
        "MIGRATE_ON_DATABASE_AHEAD": _POLICIES[spec.on_database_ahead],
        "MIGRATE_RESULT_FILE": _RESULT_FILE,
        "MIGRATE_RUN_ID": start.job,
        "MIGRATE_IMAGE": spec.image,
    }
    if start.kind is not Kind.APPLY:
        # A plan shows what it would take; here it is refused where the run would be.
        values["MIGRATE_ALLOW_DOWNGRADE"] = str(spec.allow_downgrade).lower()
    if spec.tree is not None:
        values["MIGRATE_TREE"] = spec.tree
    if spec.baseline is not None:
        values["MIGRATE_BASELINE"] = spec.baseline
    if spec.force is not None and start.kind is Kind.APPLY:
        values["MIGRATE_RESOLVE"] = f"{spec.force.incident}={spec.force.revision}"
    reference = {"name": secret.name, "key": secret.key}
    return [
        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": reference}},
        *({"name": name, "value": value} for name, value in values.items()),
        {
            "name": "MIGRATE_POD",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        },
    ]
