"""What a Job and its pod say of a run: rows of objects as the API server sends them."""

# ruff: noqa: FBT003 - a row has no keywords

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from schema_migrator.result import Outcome
from schema_operator import names, projection, run
from schema_operator.run import Ended, Hold, Lost, NotBegun, Running, Waiting
from tests.operator.worlds import NOW, job

STARTED = "2026-03-01T11:59:50Z"
FINISHED = "2026-03-01T11:59:55Z"
REPORT = json.dumps({"v": 1, "outcome": "applied", "to": "0001", "dirty": False})


def pod(state: dict[str, Any] | None, *, node: str = "node-1", **status: Any) -> projection.PodView:
    statuses = [{"name": "sidecar", "state": {"running": {}}}]
    if state is not None:
        statuses.append({"name": "migrate", "state": state, "imageID": "image@sha256:1"})
    return projection.of_pod(
        {
            "metadata": {
                "namespace": "shops",
                "name": "shop-pod",
                "uid": "pod",
                "resourceVersion": "7",
                "creationTimestamp": STARTED,
                "labels": {names.LABEL_JOB_NAME: job().name, names.LABEL_NAME: "shop"},
            },
            "spec": {"nodeName": node},
            "status": {"containerStatuses": statuses, **status},
        }
    )


def terminated(message: str = REPORT, code: int = 0, **changes: Any) -> dict[str, Any]:
    end = {
        "exitCode": code,
        "message": message,
        "startedAt": STARTED,
        "finishedAt": FINISHED,
        "reason": "Completed" if code == 0 else "Error",
    }
    return {"terminated": {**end, **changes}}


def row(name: str, *values: Any) -> Any:
    return pytest.param(*values, id=name.replace(" ", "-"))


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def state_of(view: projection.PodView, **changes: Any) -> run.State:
    return run.observe(job(**changes), [view], NOW).state


@pytest.mark.parametrize("phase", ["Pending", "Running", "Succeeded", "Failed"])
def test_a_report_counts_whatever_the_phase(phase: str) -> None:
    state = state_of(pod(terminated(), phase=phase))
    assert isinstance(state, Ended)
    assert state.result.outcome is Outcome.APPLIED
    assert state.image == "image@sha256:1"


@pytest.mark.parametrize(
    ("state", "why"),
    [
        row("no report", terminated(""), "without a report"),
        row("no report after a kill", terminated("", 137, reason="OOMKilled"), "OOMKilled"),
        row("no JSON", terminated("Traceback"), "unreadable"),
        row("cut short", terminated(REPORT[:-4]), "unreadable"),
        row("another version", terminated('{"v":2,"outcome":"applied"}'), "unreadable"),
        row(
            "only started", terminated('{"v":1,"outcome":"started"}', 137), "before it could report"
        ),
        row("exit code says failed", terminated(REPORT, 10), "something else"),
        row(
            "exit code says done",
            terminated('{"v":1,"outcome":"failed"}', 0),
            "something else",
        ),
        row("done but not where", terminated('{"v":1,"outcome":"applied"}'), "not where"),
        row(
            "a container that the kubelet invented",
            terminated("", 137, reason="ContainerStatusUnknown", startedAt=None, finishedAt=None),
            "lost sight",
        ),
        row(
            "a report of a container that the kubelet lost",
            terminated(REPORT, 137, reason="ContainerStatusUnknown"),
            "lost sight",
        ),
    ],
)
def test_what_is_no_result_is_lost_and_never_a_success(state: dict[str, Any], why: str) -> None:
    seen = state_of(pod(state, phase="Failed"))
    assert isinstance(seen, Lost)
    assert why in seen.why


def test_a_pod_that_failed_while_the_migrator_runs_is_lost() -> None:
    view = pod({"running": {"startedAt": STARTED}}, phase="Failed", reason="NodeLost")
    assert isinstance(state_of(view), Lost)
    assert view.may_run


def test_a_running_migrator_runs() -> None:
    state = state_of(pod({"running": {"startedAt": STARTED}}, phase="Running"))
    assert state == Running(started=NOW - timedelta(seconds=10))


@pytest.mark.parametrize(
    ("state", "hold"),
    [
        row("nothing yet", None, Hold.STARTING),
        row("being created", waits("ContainerCreating"), Hold.STARTING),
        row("initialising", waits("PodInitializing"), Hold.STARTING),
        row("no Secret", waits("CreateContainerConfigError", "secret not found"), Hold.SECRET),
        row("no image", waits("ErrImagePull"), Hold.IMAGE),
        row("no image again", waits("ImagePullBackOff"), Hold.IMAGE),
        row("no such image here", waits("ErrImageNeverPull"), Hold.IMAGE),
        row("no image name", waits("InvalidImageName"), Hold.IMAGE),
    ],
)
def test_a_migrator_that_has_not_started_waits(state: dict[str, Any] | None, hold: Hold) -> None:
    seen = state_of(pod(state, phase="Pending"))
    assert isinstance(seen, Waiting)
    assert seen.hold is hold


def test_a_pod_without_a_node_says_what_the_scheduler_says() -> None:
    unscheduled = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]
    seen = state_of(pod(None, node="", conditions=unscheduled))
    notable = NOW - timedelta(seconds=10) + run.NOTABLE_AFTER
    assert seen == Waiting(hold=Hold.SCHEDULING, words="0/3 nodes", notable=notable)


@pytest.mark.parametrize(
    "view",
    [
        row(
            "evicted before its start",
            pod(waits("ContainerCreating"), phase="Failed", reason="Evicted"),
        ),
        row("an init container failed", pod(waits("PodInitializing"), phase="Failed")),
        row("never got a container", pod(None, phase="Failed", reason="DeadlineExceeded")),
        row("its program is not in the image", pod(terminated("", 128, reason="StartError"))),
    ],
)
def test_a_run_that_surely_never_began(view: projection.PodView) -> None:
    assert isinstance(state_of(view), NotBegun)
    assert not view.may_run


@pytest.mark.parametrize(
    ("view", "kind"),
    [
        row("with its report", pod(terminated()), Ended),
        row("while it ran", pod({"running": {"startedAt": STARTED}}), Lost),
        row("while it waited on a node", pod(waits("ContainerCreating")), Lost),
        row("before it had a node", pod(None, node=""), NotBegun),
    ],
)
def test_a_pod_that_was_deleted(view: projection.PodView, kind: type) -> None:
    gone = dataclasses.replace(view, gone=True)
    assert isinstance(state_of(gone), kind)
    assert not gone.may_run


LATER = NOW + run.NEWS_WITHIN


@pytest.mark.parametrize(
    ("changes", "heard", "kind"),
    [
        row("it was just created", {"created": NOW}, LATER, Waiting),
        row("its end was heard of and its pod's not yet", {"finished": NOW}, NOW, Waiting),
        row("other pods were heard of a while after its end", {"finished": NOW}, LATER, Lost),
        row("no pod was heard of for long", {"finished": NOW - timedelta(hours=1)}, NOW - timedelta(hours=1), Waiting),
        row("no pod was ever heard of", {"finished": NOW - timedelta(hours=1)}, None, Waiting),
        row("it was deleted", {"gone": True}, LATER, Lost),
    ],
)  # fmt: skip
def test_a_job_without_a_pod(changes: dict[str, Any], heard: datetime | None, kind: type) -> None:
    assert isinstance(run.observe(job(**changes), [], LATER, heard).state, kind)


def test_a_job_without_a_pod_for_long_says_where_to_look() -> None:
    state = run.observe(job(created=NOW - timedelta(seconds=31)), [], NOW).state
    assert isinstance(state, Waiting)
    assert state.hold is Hold.SCHEDULING
    assert "see the Job's events" in state.words


@pytest.mark.parametrize(
    ("view", "may_run"),
    [
        row("terminated", pod(terminated(), phase="Running"), False),
        row("terminated unknown", pod(terminated("", 137, reason="ContainerStatusUnknown")), True),
        row("running", pod({"running": {"startedAt": STARTED}}), True),
        row("failed but running", pod({"running": {"startedAt": STARTED}}, phase="Failed"), True),
        row("waiting", pod(waits("ContainerCreating")), True),
        row("failed and never started", pod(waits("ContainerCreating"), phase="Failed"), False),
    ],
)
def test_which_pods_may_still_be_at_work(view: projection.PodView, *, may_run: bool) -> None:
    assert view.may_run is may_run


def test_the_newest_pod_speaks_for_a_job() -> None:
    old = dataclasses.replace(pod(terminated("")), name="old", created=NOW - timedelta(hours=1))
    assert isinstance(run.observe(job(), [pod(terminated()), old], NOW).state, Ended)
