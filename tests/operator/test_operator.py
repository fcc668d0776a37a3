"""The operator's behaviour on a real API server, with a process in the migrator's place."""

from __future__ import annotations

import itertools
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.fix_cluster import Objects, eventually
from tests.operator.fix_operator import (
    Migrations,
    Operator,
    condition,
    migration,
    operating,
    pause,
)

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.cluster import Cluster

NAME = "migrations.tenant-registry.dev/name"
REQUEST = "migrations.tenant-registry.dev/requestedAt"
FAST = {"backoff": "100ms", "maxBackoff": "1s"}


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    names = (name for name in after if after[name] != before.get(name, 0))
    return {name: after[name] - before.get(name, 0) for name in names}


# The main job


def test_a_resource_becomes_ready_with_three_writes_and_no_read(
    migrations: Migrations, operator: Operator
) -> None:
    before = operator.requests()
    migrations.secret("shop", outcome="applied", applied=["0001"])
    migrations.apply("shop")
    status = migrations.until("shop", "UpToDate")
    assert difference(before, operator.requests()) == {
        "create jobs 201": 1,
        "patch schemamigrations/status 200": 2,
    }
    ready = condition(status, "Ready")
    assert ready is not None
    assert ready["status"] == "True"
    assert ready["message"] == "The database is at 0001."
    assert [one["type"] for one in status["conditions"]] == ["Ready"]
    assert (status["version"], status["dirty"], status["pending"]) == ("0001", False, 0)
    assert status["lastRun"]["outcome"] == "applied"
    assert status["lastMigrationTime"] == status["lastRun"]["completionTime"]
    assert status["image"]


def test_nothing_of_the_operators_is_left_on_the_resource(migrations: Migrations) -> None:
    migrations.secret("shop")
    migrations.apply("shop")
    migrations.until("shop", "UpToDate")
    found = migrations.objects.get("schemamigration", "shop")
    assert found is not None
    assert "finalizers" not in found["metadata"]
    ours = "kubectl.kubernetes.io/last-applied-configuration"
    assert set(found["metadata"]["annotations"]) <= {ours}


def test_a_restart_writes_nothing_and_runs_nothing(
    migrations: Migrations, operator: Operator
) -> None:
    plans: dict[str, dict[str, Any]] = {
        "done": {},
        "dirty": {"outcome": "dirty", "dirty": True, "incident": "i-1", "message": "half"},
        "waits": {"outcome": "unreachable", "message": "no route"},
    }
    for name, plan in plans.items():
        migrations.secret(name, **plan)
        migrations.apply(name, retry={"backoff": "1h", "maxBackoff": "1h"})
    migrations.apply("sleeps", suspend=True)
    migrations.until("done", "UpToDate")
    migrations.until("dirty", "Dirty")
    migrations.until("waits", "DatabaseUnreachable")
    migrations.until("sleeps", "Suspended")
    before = migrations.objects.list("schemamigration")
    assert operator.stop() == 0
    operator.start()
    pause(1)
    assert operator.writes() == 0
    assert [
        one["metadata"]["resourceVersion"] for one in migrations.objects.list("schemamigration")
    ] == [one["metadata"]["resourceVersion"] for one in before]


def test_a_restart_without_any_job_left_writes_nothing(
    migrations: Migrations, operator: Operator
) -> None:
    migrations.secret("shop")
    migrations.apply("shop")
    migrations.until("shop", "UpToDate")
    assert operator.stop() == 0
    migrations.objects.kubectl("delete", "jobs", "--all")
    operator.start()
    pause(1)
    assert operator.writes() == 0
    assert migrations.jobs("shop") == []


def test_an_operator_killed_in_mid_run_takes_the_run_up_again(
    migrations: Migrations, operator: Operator
) -> None:
    migrations.secret("shop", sleep=4)
    migrations.apply("shop")
    eventually(lambda: migrations.jobs("shop"))
    operator.stop(signal.SIGKILL)
    operator.start()
    migrations.until("shop", "UpToDate")
    assert len(migrations.jobs("shop")) == 1


def test_a_run_that_ended_while_no_operator_was_there_is_reported(
    migrations: Migrations, operator: Operator
) -> None:
    migrations.secret("shop", sleep=1)
    migrations.apply("shop")
    eventually(lambda: migrations.jobs("shop"))
    operator.stop(signal.SIGKILL)
    eventually(lambda: migrations.jobs("shop")[0]["status"].get("succeeded"))
    operator.start()
    migrations.until("shop", "UpToDate")
    assert operator.writes() == 1
    assert len(migrations.jobs("shop")) == 1


def test_two_operators_at_once_are_harmless(
    installed: Cluster, namespace: str, migrations: Migrations, tmp_path: Path
) -> None:
    counter = tmp_path / "runs"
    with operating(installed, namespace, tmp_path / "second.log"):
        for number in range(5):
            migrations.secret(f"shop-{number}", counter=str(counter), sleep=0.2)
            migrations.apply(f"shop-{number}")
        for number in range(5):
            migrations.until(f"shop-{number}", "UpToDate")
            assert len(migrations.jobs(f"shop-{number}")) == 1


# What keeps a run from starting


def test_a_missing_secret_is_waited_for_and_uses_up_no_attempt(migrations: Migrations) -> None:
    migrations.apply("shop")
    status = migrations.until("shop", "SecretNotReady")
    message = status["conditions"][0]["message"]
    assert "secret" in message
    assert "not found" in message
    migrations.secret("shop")
    status = migrations.until("shop", "UpToDate", 40)
    assert (status["attempt"], status["failedAttempts"]) == (1, 0)
    assert len(migrations.jobs("shop")) == 1


def test_a_missing_image_is_said_and_a_corrected_one_replaces_it(migrations: Migrations) -> None:
    migrations.secret("shop")
    migrations.apply("shop", image="registry.example/no-such-image:1")
    migrations.until("shop", "ImageNotReady")
    migrations.patch("shop", image="local/pretender:1")
    status = migrations.until("shop", "UpToDate")
    assert status["failedAttempts"] == 0


def test_a_suspended_resource_starts_nothing_until_it_is_let_go(migrations: Migrations) -> None:
    migrations.secret("shop")
    migrations.apply("shop", suspend=True)
    status = migrations.until("shop", "Suspended")
    assert [one["type"] for one in status["conditions"]] == ["Ready"]
    assert migrations.jobs("shop") == []
    migrations.patch("shop", suspend=False)
    migrations.until("shop", "UpToDate")


def test_what_the_api_server_refuses_is_said_in_its_words(migrations: Migrations) -> None:
    migrations.apply("shop", database={"urlSecretRef": {"name": "shop", "key": ".."}})
    status = migrations.until("shop", "SpecInvalid")
    assert condition(status, "Stalled") is not None
    assert "secretKeyRef.key" in status["conditions"][0]["message"]


def test_a_field_that_is_misspelt_in_what_is_passed_on_is_said(migrations: Migrations) -> None:
    migrations.secret("shop")
    migrations.apply("shop", podTemplate={"affinity": {"nodeAfinity": {}}})
    status = migrations.until("shop", "SpecInvalid")
    assert "nodeAfinity" in status["conditions"][0]["message"]
    migrations.patch("shop", podTemplate={"affinity": None})
    migrations.until("shop", "UpToDate")


def test_a_quota_is_waited_for(migrations: Migrations) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }
    migrations.objects.apply(quota)
    seen = ("wait", "--for=jsonpath={.status.hard}", "resourcequota/none", "--timeout=20s")
    migrations.objects.kubectl(*seen)
    migrations.secret("shop")
    migrations.apply("shop")
    status = migrations.until("shop", "Pending")
    assert "exceeded quota" in status["conditions"][0]["message"]
    migrations.objects.delete("resourcequota", "none")
    status = migrations.until("shop", "UpToDate")
    assert status["attempt"] == 1


# How runs end


@pytest.mark.parametrize(
    ("reason", "kind", "plan"),
    [
        ("DatabaseAheadAccepted", None, {"outcome": "ahead_accepted", "to": "0009"}),
        (
            "Retrying",
            "Reconciling",
            {"outcome": "failed", "message": "0002: no", "sqlstate": "42701"},
        ),
        ("Retrying", "Reconciling", {"outcome": "timeout"}),
        ("LockNotAvailable", "Reconciling", {"outcome": "locked", "blockedBy": "pid 7"}),
        ("DatabaseUnreachable", "Reconciling", {"outcome": "unreachable"}),
        ("Verifying", "Reconciling", {"raw": '{"v":1,"outcome":"started"}', "exit": 137}),
        ("Verifying", "Reconciling", {"raw": "", "exit": 0}),
        ("Dirty", "Stalled", {"outcome": "dirty", "dirty": True, "incident": "i-1"}),
        ("ConfigurationInvalid", "Stalled", {"outcome": "invalid", "message": "no rights"}),
        (
            "DowngradeNotAllowed",
            "Stalled",
            {"outcome": "refused", "refusal": "downgrade_not_allowed"},
        ),
        ("TargetUnknown", "Stalled", {"outcome": "refused", "refusal": "target_unknown"}),
        ("DatabaseAhead", "Stalled", {"outcome": "refused", "refusal": "database_ahead"}),
        ("HistoryEdited", "Stalled", {"outcome": "refused", "refusal": "history_edited"}),
    ],
)
def test_each_end_has_its_reason(
    migrations: Migrations, reason: str, kind: str | None, plan: dict[str, Any]
) -> None:
    migrations.secret("shop", **plan)
    migrations.apply("shop", retry={"backoff": "1h", "maxBackoff": "1h"})
    status = migrations.until("shop", reason)
    kinds = [one["type"] for one in status["conditions"]]
    assert kinds == ["Ready", kind] if kind else ["Ready"]
    assert plan.get("message", "") in status["conditions"][0]["message"]
    if kind == "Stalled":
        eventually(lambda: any(one["reason"] == reason for one in migrations.objects.list("event")))


def test_a_failed_run_is_tried_again_until_it_works(migrations: Migrations, tmp_path: Path) -> None:
    steps = [{"outcome": "failed"}, {"raw": "", "exit": 1}, {"outcome": "locked"}, {}]
    migrations.secret("shop", counter=str(tmp_path / "runs"), steps=steps)
    migrations.apply("shop", retry=FAST)
    status = migrations.until("shop", "UpToDate", 60)
    assert (status["attempt"], status["failedAttempts"]) == (4, 2)
    assert [one["outcome"] for one in status["history"]] == [
        "applied",
        "locked",
        "unknown",
        "failed",
    ]


def test_retries_end_at_the_limit_and_go_on_when_it_is_raised(
    migrations: Migrations, tmp_path: Path
) -> None:
    steps = [{"outcome": "failed", "message": "0002: no"}] * 3 + [{}]
    migrations.secret("shop", counter=str(tmp_path / "runs"), steps=steps)
    migrations.apply("shop", retry={"limit": 1, **FAST})
    status = migrations.until("shop", "MigrationFailed", 60)
    assert status["failedAttempts"] == 2
    assert condition(status, "Stalled") is not None
    migrations.patch("shop", retry={"limit": 5})
    status = migrations.until("shop", "UpToDate", 60)
    assert status["attempt"] == 4


def test_a_failed_run_costs_three_writes_and_giving_up_one_more(
    migrations: Migrations, operator: Operator
) -> None:
    before = operator.requests()
    migrations.secret("shop", outcome="failed", message="0002: no")
    migrations.apply("shop", retry={"limit": 2, **FAST})
    migrations.until("shop", "MigrationFailed", 60)
    eventually(lambda: operator.requests().get("create events 201"))
    assert difference(before, operator.requests()) == {
        "create jobs 201": 3,
        "patch schemamigrations/status 200": 6,
        "create events 201": 1,
    }


def test_a_request_runs_again(migrations: Migrations) -> None:
    migrations.secret("shop", outcome="dirty", dirty=True, incident="i-1")
    migrations.apply("shop")
    assert migrations.until("shop", "Dirty")["incident"] == "i-1"
    migrations.secret("shop")
    migrations.objects.kubectl("annotate", "smig", "shop", f"{REQUEST}=now")
    status = migrations.until("shop", "UpToDate")
    assert status["dirty"] is False
    assert "incident" not in status
    assert len(migrations.jobs("shop")) == 2


# Changes in mid-run


def test_a_changed_spec_lets_the_run_end_and_is_decided_after_it(
    migrations: Migrations,
) -> None:
    migrations.secret("shop", sleep=4)
    migrations.apply("shop")
    migrations.until("shop", "Migrating")
    eventually(lambda: migrations.objects.list("pod"))
    migrations.patch("shop", target="0001")
    status = migrations.until("shop", "Migrating")
    assert status["generation"] == 2
    eventually(lambda: len(migrations.jobs("shop")) == 2)
    status = migrations.until("shop", "UpToDate")
    assert [one["outcome"] for one in status["history"]] == ["applied", "applied"]


def test_a_change_that_decides_no_run_costs_one_write(
    migrations: Migrations, operator: Operator
) -> None:
    migrations.secret("shop")
    migrations.apply("shop")
    migrations.until("shop", "UpToDate")
    before = operator.requests()
    migrations.patch("shop", timeout="1h")
    migrations.until("shop", "UpToDate")
    assert difference(before, operator.requests()) == {"patch schemamigrations/status 200": 1}


def test_a_resource_made_again_waits_until_the_old_pod_is_gone(
    migrations: Migrations, tmp_path: Path
) -> None:
    migrations.secret("shop", sleep=30)
    migrations.apply("shop")
    old = eventually(lambda: _running_pods(migrations.objects))
    migrations.objects.delete("smig", "shop")
    migrations.secret("shop")
    migrations.apply("shop")
    migrations.until("shop", "UpToDate")
    new = migrations.objects.list("pod", f"{NAME}=shop")
    assert {pod["metadata"]["uid"] for pod in new}.isdisjoint(old)


def test_an_orphaned_run_blocks_the_next_one_until_it_ends(migrations: Migrations) -> None:
    migrations.secret("shop", sleep=5)
    migrations.apply("shop")
    eventually(lambda: _running_pods(migrations.objects))
    migrations.objects.delete("smig", "shop", "--cascade=orphan")
    migrations.secret("shop")
    eventually(lambda: migrations.objects.get("schemamigration", "shop") is None)
    migrations.apply("shop")
    status = migrations.until("shop", "Pending")
    assert "may still be at work" in status["conditions"][0]["message"]
    migrations.until("shop", "UpToDate")


def _running_pods(objects: Objects) -> list[str]:
    return [
        pod["metadata"]["uid"]
        for pod in objects.list("pod", f"{NAME}=shop")
        if pod["status"].get("phase") == "Running"
    ]


def test_a_deleted_job_is_replaced(migrations: Migrations) -> None:
    migrations.secret("shop", sleep=30)
    migrations.apply("shop")
    eventually(lambda: _running_pods(migrations.objects))
    (job,) = migrations.jobs("shop")
    migrations.secret("shop")
    migrations.objects.delete("job", job["metadata"]["name"])
    status = migrations.until("shop", "UpToDate")
    assert status["attempt"] == 2


# Bounds


def test_two_resources_of_one_database_take_turns(migrations: Migrations) -> None:
    migrations.secret("shared", sleep=1)
    for name in ("one", "two", "three"):
        migrations.apply(name, database={"urlSecretRef": {"name": "shared"}})
    for name in ("one", "two", "three"):
        migrations.until(name, "UpToDate")
    runs = sorted(
        (one["startTime"], one["completionTime"])
        for name in ("one", "two", "three")
        for one in migrations.status(name)["history"]
    )
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(runs))


def test_no_more_runs_than_allowed_are_at_work(
    installed: Cluster, namespace: str, objects: Objects, tmp_path: Path
) -> None:
    migrations = Migrations(objects)
    names = [f"shop-{number}" for number in range(6)]
    log = tmp_path / "bounded.log"
    with operating(installed, namespace, log, "--maximum-runs=2"):
        for name in names:
            migrations.secret(name, sleep=1)
        objects.apply(*(migration(name) for name in names))
        most = 0
        while any(migrations.reason(name) != "UpToDate" for name in names):
            jobs = objects.list("job")
            most = max(most, sum(1 for job in jobs if not job["status"].get("conditions")))
        assert most <= 4  # two at work, and two whose end the Job controller has not written yet
        runs = [migrations.status(name)["lastRun"] for name in names]
        starts = [run["startTime"] for run in runs]
        assert max(starts.count(start) for start in starts) <= 2


def test_finished_jobs_beyond_the_limit_go_and_the_newest_stays(
    migrations: Migrations, operator: Operator
) -> None:
    migrations.secret("shop")
    migrations.apply("shop", historyLimit=1)
    seen = {migrations.until("shop", "UpToDate")["lastRun"]["job"]}
    for number in range(2):
        migrations.objects.kubectl("annotate", "--overwrite", "smig", "shop", f"{REQUEST}={number}")
        seen.add(_next_run(migrations, seen))
    assert len(seen) == 3
    eventually(lambda: len(migrations.jobs("shop")) == 1)
    status = migrations.until("shop", "UpToDate")
    assert [one["job"] for one in status["history"]] == [
        job["metadata"]["name"] for job in migrations.jobs("shop")
    ]
    assert operator.requests()["delete jobs 200"] == 2


def _next_run(migrations: Migrations, seen: set[str]) -> str:
    """The Job of a run that is not among those seen, once it is up to date."""

    def found() -> str | None:
        job: str = migrations.until("shop", "UpToDate")["lastRun"]["job"]
        return None if job in seen else job

    return eventually(found)


def test_a_status_that_somebody_else_wrote_is_put_right(migrations: Migrations) -> None:
    migrations.secret("shop")
    migrations.apply("shop")
    right = migrations.until("shop", "UpToDate")
    forged = {
        "status": {
            "incident": "forged",
            "conditions": [
                *right["conditions"],
                {**right["conditions"][0], "type": "Stalled", "reason": "Dirty"},
            ],
        }
    }
    patch = json.dumps(forged)
    migrations.objects.kubectl(
        "patch", "smig", "shop", "--subresource=status", "--type=merge", f"-p={patch}"
    )
    eventually(lambda: "incident" not in migrations.status("shop"))
    assert migrations.status("shop")["conditions"] == right["conditions"]


# What is told


def test_health_metrics_and_log(migrations: Migrations, operator: Operator) -> None:
    migrations.secret("shop", outcome="dirty", dirty=True, incident="i-1", to="0001")
    migrations.apply("shop")
    migrations.until("shop", "Dirty")
    assert operator.http("/healthz") == operator.http("/readyz") == "ok\n"
    metrics = operator.http("/metrics")
    labels = f'name="shop",namespace="{migrations.objects.namespace}"'
    assert f"schema_migration_ready{{{labels}}} 0.0" in metrics
    assert f"schema_migration_dirty{{{labels}}} 1.0" in metrics
    assert 'schema_migration_runs_total{outcome="dirty"} 1.0' in metrics
    key = f"{migrations.objects.namespace}/shop"
    assert {line["key"] for line in operator.lines("run started")} == {key}


def test_no_secret_is_told_to_anybody(migrations: Migrations, operator: Operator) -> None:
    migrations.secret("shop", raw="hunter2", exit=1, password="hunter2")
    migrations.apply("shop", retry={"backoff": "1h", "maxBackoff": "1h"})
    migrations.until("shop", "Verifying")
    assert "hunter2" not in json.dumps(migrations.objects.get("schemamigration", "shop"))
    assert "hunter2" not in json.dumps(migrations.jobs("shop"))
    assert "hunter2" not in operator.log.read_text()
    assert "hunter2" not in operator.http("/metrics")
