"""What a team does with a SchemaMigration, in containers under a real kubelet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fix_cluster import eventually
from tests.node.fix_site import OPERATOR
from tests.node.tenant import NAME
from tests.operator.fix_operator import condition

if TYPE_CHECKING:
    from tests.fix_cluster import Objects
    from tests.node.tenant import Tenant

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

QUICK = {"limit": 1, "backoff": "1s", "maxBackoff": "1s"}


def test_the_operator_runs_as_its_manifests_say(operated: Objects) -> None:
    (pod,) = operated.list("pod", f"app.kubernetes.io/name={OPERATOR}")
    assert pod["spec"]["serviceAccountName"] == OPERATOR
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    enforced = operated.cluster.kubectl("get", "namespace", OPERATOR, "-ojson")
    assert '"pod-security.kubernetes.io/enforce": "restricted"' in enforced


def test_the_tenant_registry_becomes_ready(tenant: Tenant) -> None:
    tenant.secret()
    tenant.apply()

    tenant.objects.kubectl("wait", "--for=condition=Ready", f"smig/{NAME}", "--timeout=60s")

    status = tenant.until("UpToDate")
    assert (status["version"], status["dirty"], status["pending"]) == ("0001", False, 0)
    assert status["lastRun"]["outcome"] == "applied"
    assert "@sha256:" in status["image"] or status["image"].startswith("sha256:")
    assert tenant.query("SELECT count(*) FROM tenants") == [(0,)]
    said = tenant.objects.kubectl("logs", f"job/{status['lastRun']['job']}")
    assert "the database is at 0001" in said


def test_a_failing_migration_is_rolled_back_and_said(tenant: Tenant) -> None:
    tenant.secret()
    tenant.apply(
        files={
            "0001_good.up.sql": "CREATE TABLE good ();",
            "0002_bad.up.sql": "CREATE TABLE half (); SELECT 2147483647::int4 + 1;",
        },
        retry=QUICK,
    )

    status = tenant.until("MigrationFailed")

    assert (status["version"], status["dirty"], status["targetVersion"]) == ("0001", False, "0002")
    assert (status["lastRun"]["exitCode"], status["lastRun"]["sqlstate"]) == (10, "22003")
    assert "integer out of range" in tenant.message()
    stalled = condition(status, "Stalled")
    assert stalled is not None
    assert stalled["status"] == "True"
    assert tenant.query("SELECT to_regclass('good')::text, to_regclass('half')") == [("good", None)]


def test_a_secret_that_comes_late_starts_the_waiting_pod(tenant: Tenant) -> None:
    tenant.apply()
    tenant.until("SecretNotReady")
    (job,) = tenant.jobs()

    tenant.secret()

    status = tenant.until("UpToDate", seconds=120)
    assert status["attempt"] == 1
    assert [one["metadata"]["uid"] for one in tenant.jobs()] == [job["metadata"]["uid"]]


def test_an_image_that_can_not_be_pulled_is_said_in_the_kubelets_words(tenant: Tenant) -> None:
    tenant.secret()
    tenant.apply(image="127.0.0.1:1/nobody/has-this:1")

    tenant.until("ImageNotReady")

    message = eventually(
        lambda: tenant.message() if "connection refused" in tenant.message() else ""
    )
    assert "127.0.0.1:1/nobody/has-this:1" in message
    tenant.apply()
    assert tenant.until("UpToDate", seconds=120)["version"] == "0001"
