"""Argo CD's health and actions of a SchemaMigration."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from lupa import lua51

from schema_operator.reason import Reason
from tests.end_to_end.fix_registry import NAME
from tests.fix_cluster import eventually
from tests.gates import lua
from tests.gates.resources import documented, in_state, outdated, unseen

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.cluster import Cluster
    from tests.end_to_end.fix_registry import Registry
    from tests.fix_cluster import Objects
    from tests.operator.fix_operator import Migrations

REQUESTED = "migrations.tenant-registry.dev/requestedAt"
PLAN = "sha256:" + "a" * 64

HEALTH = {
    ("True", ""): "Healthy",
    ("False", "Reconciling"): "Progressing",
    ("False", "Stalled"): "Degraded",
    ("False", "–"): "Suspended",  # noqa: RUF001 - the README's dash
}


@pytest.mark.parametrize("script", ['return ("a"):upper()', "return string.upper('a')"])
def test_scripts_have_no_library_for_texts_here_either(script: str) -> None:
    with pytest.raises(lua51.LuaError):
        lua.run(script, {})


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_its_health(reason: Reason) -> None:
    resource = in_state(reason)
    health = lua.run(lua.health_script(), resource)
    assert health["status"] == HEALTH[documented()[reason]]
    assert health["message"] == f"{reason}: {resource['status']['conditions'][0]['message']}"


@pytest.mark.parametrize("reason", Reason)
def test_an_answer_to_an_older_spec_is_progress(reason: Reason) -> None:
    """Else a fix would fail at once with the old failure, and a new version pass with the old."""
    assert lua.run(lua.health_script(), outdated(reason)) == {
        "status": "Progressing",
        "message": "Waiting for the operator to look at the present spec",
    }


@pytest.mark.parametrize(
    "status", [None, {}, {"conditions": []}, {"observedGeneration": 1}], ids=str
)
def test_a_resource_without_an_answer_is_progress(status: Any) -> None:
    resource = unseen() | {"status": status}
    if status is None:
        del resource["status"]
    assert lua.run(lua.health_script(), resource)["status"] == "Progressing"
    assert lua.run(lua.health_script(), unseen())["status"] == "Progressing"


# Actions


def offered(resource: dict[str, Any]) -> set[str]:
    actions = lua.run(lua.discovery_script(), resource)
    assert set(actions) == {"retry", "approve"}
    return {name for name, action in actions.items() if not action["disabled"]}


def awaiting(reason: Reason, shown: str | None, approved: str | None = None) -> dict[str, Any]:
    """A resource that shows a plan and waits for its approval, or was given an outdated one."""
    resource = in_state(reason)
    if shown is not None:
        resource["status"]["plan"] = {"id": shown}
    if approved is not None:
        resource["spec"]["approvedPlan"] = approved
    return resource


@pytest.mark.parametrize("reason", Reason)
def test_a_run_that_nobody_starts_can_be_had(reason: Reason) -> None:
    stalled = documented()[reason][1] == "Stalled"
    assert ("retry" in offered(in_state(reason))) is stalled
    assert offered(outdated(reason)) == set()
    waiting = in_state(reason)
    waiting["status"]["nextAttemptTime"] = "2026-03-01T12:05:00Z"
    assert "retry" in offered(waiting)


def test_a_resource_that_nobody_has_looked_at_offers_nothing() -> None:
    assert offered(unseen()) == set()


@pytest.mark.parametrize(
    ("resource", "can"),
    [
        (awaiting(Reason.AWAITING_APPROVAL, PLAN), True),
        (awaiting(Reason.AWAITING_APPROVAL, PLAN, "sha256:" + "b" * 64), True),
        (awaiting(Reason.PLAN_OUTDATED, PLAN, "sha256:" + "b" * 64), True),
        (awaiting(Reason.PLAN_OUTDATED, PLAN, PLAN), False),
        (awaiting(Reason.AWAITING_APPROVAL, None), False),
        (awaiting(Reason.MIGRATION_FAILED, PLAN), False),
        (awaiting(Reason.UP_TO_DATE, PLAN), False),
    ],
    ids=["first", "other-plan", "outdated", "approved-already", "no-plan", "failed", "done"],
)
def test_a_plan_is_approved_only_while_it_waits_for_that(
    resource: dict[str, Any], *, can: bool
) -> None:
    assert ("approve" in offered(resource)) is can


def test_approving_approves_the_plan_that_is_shown_and_changes_nothing_else() -> None:
    resource = awaiting(Reason.AWAITING_APPROVAL, PLAN)
    after = lua.run(lua.action_script("approve"), resource)
    assert after["spec"] == resource["spec"] | {"approvedPlan": PLAN}
    assert after["status"] == resource["status"]


def ran(migrations: Migrations, runs: int) -> None:
    eventually(lambda: len(migrations.jobs("shop")) == runs)


def test_retrying_asks_by_a_value_that_was_not_there_before(migrations: Migrations) -> None:
    """On a live resource, which has the version that the value is made of."""
    migrations.secret("shop", outcome="failed", message="no")
    migrations.apply("shop", retry={"limit": 0})
    for runs in (2, 3):
        status = migrations.until("shop", "MigrationFailed")
        assert status["attempt"] == 1
        live = migrations.objects.get("schemamigration", "shop")
        assert live is not None
        assert offered(live) == {"retry"}

        after = lua.run(lua.action_script("retry"), live)

        assert after["spec"] == live["spec"]
        patch = {
            "metadata": {"annotations": {REQUESTED: after["metadata"]["annotations"][REQUESTED]}}
        }
        migrations.objects.kubectl(
            "patch", "smig", "shop", "--type=merge", f"--patch={json.dumps(patch)}"
        )
        ran(migrations, runs)


def test_a_live_plan_is_approved_and_runs(registry: Registry) -> None:
    registry.engine.revisions.add("0001", "op.execute('CREATE TABLE one ()')")
    registry.secret()
    registry.apply(approval="Required")
    registry.until("AwaitingApproval")
    live = registry.migrations.objects.get("schemamigration", NAME)
    assert live is not None
    assert lua.run(lua.health_script(), live)["status"] == "Suspended"
    assert offered(live) == {"approve"}

    after = lua.run(lua.action_script("approve"), live)

    registry.patch(approvedPlan=after["spec"]["approvedPlan"])
    assert registry.until("UpToDate")["version"] == "0001"
    done = registry.migrations.objects.get("schemamigration", NAME)
    assert done is not None
    assert lua.run(lua.health_script(), done)["status"] == "Healthy"
    assert offered(done) == set()


def test_a_resource_without_annotations_can_be_retried() -> None:
    resource = in_state(Reason.MIGRATION_FAILED)
    del resource["metadata"]["annotations"]
    resource["metadata"]["resourceVersion"] = "4711"
    after = lua.run(lua.action_script("retry"), resource)
    assert after["metadata"]["annotations"] == {REQUESTED: "argocd-4711"}


# The manifest


def test_argo_cds_configmap_keeps_what_it_held(objects: Objects) -> None:
    held = {"url": "https://argocd.example"}
    objects.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": held}
    )
    objects.kubectl("patch", "configmap", "argocd-cm", f"--patch-file={lua.MANIFEST}")
    found = json.loads(objects.kubectl("get", "configmap", "argocd-cm", "--output=json"))["data"]
    assert found.pop("url") == held["url"]
    assert set(found) == set(lua.data())


def test_the_component_patches_an_installation_of_argo_cd(cluster: Cluster, tmp_path: Path) -> None:
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}}
    (tmp_path / "argocd-cm.yaml").write_text(json.dumps(configmap))
    component = os.path.relpath(lua.MANIFEST.parent, tmp_path)
    kustomization = {"resources": ["argocd-cm.yaml"], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(kustomization))
    built = yaml.safe_load(cluster.kubectl("kustomize", str(tmp_path)))
    assert set(built["data"]) == set(lua.data())
