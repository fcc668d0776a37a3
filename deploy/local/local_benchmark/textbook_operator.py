"""An operator for the same resource as tutorials write them: what ours is measured beside.

kopf's handlers for creation, change and a Job's field; the synchronous official
client, called from threads; a Job for each resource, and status by merge
patches. It is kept as plain as it is on purpose, and is for measuring alone: it
does not retry, does not guard a database, and believes a Job's condition.

    kopf run -n NAMESPACE -m local_benchmark.textbook_operator
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from typing import Any

import kopf
from kubernetes import client, config

GROUP, VERSION, PLURAL = "migrations.tenant-registry.dev", "v1alpha1", "schemamigrations"
LABEL = f"{GROUP}/textbook"

Body = Any
"""An object of the API server; the client publishes no types."""


@kopf.on.startup()
def log_in(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Read the kubeconfig of the environment."""
    del settings
    load: Any = config.load_kube_config
    load(os.environ["KUBECONFIG"])


@kopf.on.create(GROUP, VERSION, PLURAL)
@kopf.on.update(GROUP, VERSION, PLURAL, field="spec")
def migrate(body: Body, spec: Body, meta: Body, **_: Any) -> None:
    """Create the Job, and say so."""
    namespace, name = meta["namespace"], meta["name"]
    mark = hashlib.sha256(json.dumps([meta["uid"], dict(spec)], sort_keys=True).encode())
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{name}-{mark.hexdigest()[:10]}",
            "namespace": namespace,
            "labels": {LABEL: name},
        },
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [_container(spec)]}},
        },
    }
    kopf.adopt(job, owner=body)
    batch: Any = client.BatchV1Api()
    batch.create_namespaced_job(namespace, job)
    _say(
        namespace,
        name,
        meta["generation"],
        ready="False",
        reason="Migrating",
        message="The migration is under way.",
    )


@kopf.on.field("batch", "v1", "jobs", field="status.conditions", labels={LABEL: kopf.PRESENT})
def report(new: Body, meta: Body, **_: Any) -> None:
    """Say in the resource's status how its Job ended."""
    ends = {one["type"] for one in new or () if one["status"] == "True"}
    namespace, name = meta["namespace"], meta["labels"][LABEL]
    if not ends & {"Complete", "Failed"}:
        return
    core: Any = client.CoreV1Api()
    pods = core.list_namespaced_pod(namespace, label_selector=f"job-name={meta['name']}").items
    message = pods[0].status.container_statuses[0].state.terminated.message or "{}"
    result = json.loads(message)
    objects: Any = client.CustomObjectsApi()
    owner = objects.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)
    done = "Complete" in ends
    _say(
        namespace,
        name,
        owner["metadata"]["generation"],
        ready="True" if done else "False",
        reason="UpToDate" if done else "MigrationFailed",
        message=f"The database is at {result.get('to')}.",
        version=result.get("to"),
        dirty=bool(result.get("dirty")),
    )


def _container(spec: Body) -> Body:
    secret = spec["database"]["urlSecretRef"]
    return {
        "name": "migrate",
        "image": spec["image"],
        "args": ["up"],
        "env": [
            {
                "name": "DATABASE_URL",
                "valueFrom": {"secretKeyRef": {"name": secret["name"], "key": secret["key"]}},
            },
            {"name": "MIGRATE_RESULT_FILE", "value": "/dev/termination-log"},
        ],
    }


def _say(  # noqa: PLR0913 - what a condition consists of
    namespace: str,
    name: str,
    generation: int,
    *,
    ready: str,
    reason: str,
    message: str,
    **more: Any,
) -> None:
    condition = {
        "type": "Ready",
        "status": ready,
        "observedGeneration": generation,
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": reason,
        "message": message,
    }
    status = {"observedGeneration": generation, "conditions": [condition], **more}
    objects: Any = client.CustomObjectsApi()
    objects.patch_namespaced_custom_object_status(
        GROUP, VERSION, namespace, PLURAL, name, {"status": status}
    )
