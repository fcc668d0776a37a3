"""How long a migration takes on a real node, beside the same Job without an operator.

Both are asked for in turns, so that whatever else the machine does meets both. The budget is a
ratio; ``--budgets`` demands it, for a machine that does nothing else.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from local_images import images
from tests.fix_cluster import Objects
from tests.node.fix_site import FIGURE, make_namespace
from tests.operator.fix_operator import Migrations, condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubernetes import client

    from tests.witness import Witness

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

ROUNDS = 7
BUDGET = 0.4
_POLL_SECONDS = 0.01
_BOUND_SECONDS = 60.0
_OF_CONTROLLER = ("controller-uid", "job-name")


def test_ready_is_said_long_before_a_job_would_be_complete(
    operated: Objects,
    postgresql_pod: str,
    node_api: client.ApiClient,
    witness: Witness,
    request: pytest.FixtureRequest,
) -> None:
    name = f"speed-{uuid.uuid4().hex[:8]}"
    make_namespace(operated.cluster, name)
    objects = Objects(operated.cluster, name, node_api)
    with_operator, without = [], []
    for number in range(ROUNDS + 1):  # the first pays for what is loaded once
        for kind in ("operated", "plain"):
            witness.secret(_database(objects, postgresql_pod, f"{kind}-{number}"))
        with_operator.append(_operated(objects, f"operated-{number}"))
        without.append(_plain(objects, f"operated-{number}", f"plain-{number}"))
    operated.cluster.kubectl("delete", "namespace", name, "--wait=false")

    ready, complete = statistics.median(with_operator[1:]), statistics.median(without[1:])
    figure = (
        f"apply to Ready {ready:.2f} s ({min(with_operator[1:]):.2f} to"
        f" {max(with_operator[1:]):.2f}), the same Job to Complete {complete:.2f} s"
        f" ({min(without[1:]):.2f} to {max(without[1:]):.2f}): {ready / complete:.2f} of it,"
        f" budget {BUDGET}; medians of {ROUNDS}"
    )
    request.node.user_properties.append((FIGURE, figure))
    assert ready < complete
    if request.config.getoption("budgets"):
        assert ready <= BUDGET * complete


def _database(objects: Objects, postgresql_pod: str, name: str) -> str:
    database = f"{objects.namespace}-{name}"
    with psycopg.connect(f"{postgresql_pod}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"'.encode())
    url = f"{postgresql_pod}/{database}"
    objects.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {"DATABASE_URL": url},
        }
    )
    return url


def _operated(objects: Objects, name: str) -> float:
    migrations = Migrations(objects)

    def is_ready() -> bool:
        ready = condition(migrations.status(name), "Ready")
        return ready is not None and ready["status"] == "True"

    document = {
        "apiVersion": "migrations.tenant-registry.dev/v1alpha1",
        "kind": "SchemaMigration",
        "metadata": {"name": name},
        "spec": {"image": images.MIGRATOR.name, "database": {"urlSecretRef": {"name": name}}},
    }
    return _time(objects, document, is_ready)


def _plain(objects: Objects, model: str, name: str) -> float:
    """The Job that the operator made for the model, for another database, by nobody's hand."""
    (made,) = Migrations(objects).jobs(model)
    template = made["spec"]["template"]
    labels = template["metadata"]["labels"]
    template["metadata"]["labels"] = {
        key: value
        for key, value in labels.items()
        if not key.startswith("migrations.") and not key.endswith(_OF_CONTROLLER)
    }
    secret = template["spec"]["containers"][0]["env"]
    for variable in secret:
        if variable["name"] == "DATABASE_URL":
            variable["valueFrom"]["secretKeyRef"]["name"] = name
    document = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    }

    def is_complete() -> bool:
        job = objects.get("job", name)
        return job is not None and any(
            one["type"] == "Complete" and one["status"] == "True"
            for one in job["status"].get("conditions", ())
        )

    return _time(objects, document, is_complete)


def _time(objects: Objects, document: dict[str, Any], reached: Callable[[], bool]) -> float:
    """Create an object; return the seconds until something can be read."""
    kind = document["kind"].lower()
    began = time.monotonic()
    objects.create(kind, document)
    while not reached():
        assert time.monotonic() - began < _BOUND_SECONDS, json.dumps(
            objects.get(kind, document["metadata"]["name"])
        )
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began
