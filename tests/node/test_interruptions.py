"""What a cluster does to a pod in mid-run: the database stays clean, and no second migrator begins."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from local_node.configuration import LEASE_SECONDS
from local_node.site import EVICTION_SECONDS
from tests.fix_cluster import eventually
from tests.node.fix_site import FIRST, OPERATOR, SECOND
from tests.node.tenant import HELD
from tests.operator.fix_operator import condition

if TYPE_CHECKING:
    from local_node.site import Site
    from tests.fix_cluster import Objects
    from tests.node.tenant import Tenant

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

TREE = {"0001_held.up.sql": HELD}
HUNGRY = """\
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE done ()")
    if op.get_bind().exec_driver_sql("SELECT count(*) FROM held").scalar():
        held = []
        while True:
            held.append(bytearray(1 << 20))


def downgrade():
    op.execute("DROP TABLE done")
"""


def test_a_pod_that_is_evicted_in_mid_run_is_run_again(tenant: Tenant) -> None:
    pod = _begin(tenant)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod["metadata"]["name"], "namespace": tenant.objects.namespace},
    }
    address = (
        f"/api/v1/namespaces/{tenant.objects.namespace}/pods/{pod['metadata']['name']}/eviction"
    )

    tenant.objects.kubectl("create", "--raw", address, "--filename=-", stdin=json.dumps(eviction))
    eventually(lambda: not tenant.working(), 10)
    tenant.let_go()

    status = tenant.until("UpToDate")
    assert (status["version"], status["dirty"]) == ("0001", False)
    assert status["history"][0]["outcome"] == "applied"
    assert _outcomes(tenant) == ["applied"]


def test_a_container_that_outgrew_its_memory_is_run_again(tenant: Tenant) -> None:
    tenant.hold()
    tenant.secret()
    resources = {"requests": {"memory": "128Mi"}, "limits": {"memory": "128Mi"}}
    tenant.apply(files={"0001_hungry.py": HUNGRY}, podTemplate={"resources": resources})

    killed = eventually(lambda: _terminated(tenant, "OOMKilled"), 60)
    tenant.let_go()

    assert killed["exitCode"] == 137
    status = tenant.until("UpToDate")
    assert (status["version"], status["dirty"]) == ("0001", False)
    assert len(tenant.jobs()) > 1


def test_a_new_version_of_the_operator_takes_a_run_over(tenant: Tenant, operated: Objects) -> None:
    pod = _begin(tenant)
    before = _operators(operated)

    operated.kubectl("rollout", "restart", f"deployment/{OPERATOR}")
    operated.kubectl("rollout", "status", f"deployment/{OPERATOR}", "--timeout=90s")
    eventually(lambda: not _operators(operated) & before, 60)
    assert tenant.working() == 1
    tenant.let_go()

    status = tenant.until("UpToDate")
    assert (status["version"], status["attempt"]) == ("0001", 1)
    (job,) = tenant.jobs()
    assert job["metadata"]["name"] == pod["metadata"]["labels"]["job-name"]


def test_a_node_that_stops_answering_gets_no_second_migrator_beside_it(
    tenant: Tenant, site: Site
) -> None:
    pod = _begin(tenant, node=SECOND)
    kubelet = site.kubelet(SECOND)

    kubelet.signal(signal.SIGSTOP)
    try:
        eventually(lambda: _evicted(tenant, pod), LEASE_SECONDS + EVICTION_SECONDS + 30)
        # The pod's end is wanted and not known: whoever counts it as ended starts a second one.
        end = time.monotonic() + 8
        while time.monotonic() < end:
            assert tenant.working() == 1
            assert [one["metadata"]["uid"] for one in tenant.objects.list("pod")] == [
                pod["metadata"]["uid"]
            ]
            ready = condition(tenant.migrations.status("registry"), "Ready")
            assert ready is not None
            assert ready["status"] == "False"
            time.sleep(0.2)
    finally:
        kubelet.signal(signal.SIGCONT)

    eventually(lambda: not tenant.working(), 60)
    tenant.let_go()
    status = tenant.until("UpToDate", seconds=90)
    assert (status["version"], status["dirty"]) == ("0001", False)
    assert _outcomes(tenant) == ["applied"]


def _begin(tenant: Tenant, node: str = FIRST) -> dict[str, Any]:
    """Start a run that waits inside its revision, and return its pod."""
    tenant.hold()
    tenant.secret()
    selector = {"nodeSelector": {"kubernetes.io/hostname": node}}
    tenant.apply(files=TREE, podTemplate=selector)
    eventually(tenant.working, 60)
    return tenant.pod()


def _terminated(tenant: Tenant, reason: str) -> dict[str, Any] | None:
    for pod in tenant.objects.list("pod"):
        for status in pod["status"].get("containerStatuses", ()):
            ended: dict[str, Any] | None = status["state"].get("terminated")
            if ended is not None and ended["reason"] == reason:
                return ended
    return None


def _evicted(tenant: Tenant, pod: dict[str, Any]) -> bool:
    found = tenant.objects.get("pod", pod["metadata"]["name"])
    return found is not None and "deletionTimestamp" in found["metadata"]


def _operators(operated: Objects) -> set[str]:
    pods = operated.list("pod", f"app.kubernetes.io/name={OPERATOR}")
    return {pod["metadata"]["uid"] for pod in pods}


def _outcomes(tenant: Tenant) -> list[str]:
    rows = tenant.query("SELECT outcome FROM alembic_version_history WHERE outcome = 'applied'")
    return [str(outcome) for (outcome,) in rows]
