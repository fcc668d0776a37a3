"""What the node does with a pod, and what it says of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from local_kubernetes.processes import Identity
from tests.fix_cluster import eventually
from tests.local.workload import container, phase, pod, secret, state, waits_for

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects

IGNORES_SIGTERM = "trap '' TERM; echo $$ > {file}; while true; do sleep 0.05; done"


def alive(pid: int) -> bool:
    return Identity.of(pid) is not None


def written_pid(file: Path) -> int:
    return int(eventually(lambda: file.read_text() if file.exists() else None))


def test_a_deadline_ends_a_process_that_runs(objects: Objects) -> None:
    objects.apply(pod("slow", container("sleep 60"), activeDeadlineSeconds=1))

    status = phase(objects, "slow", "Failed")

    assert status["reason"] == "DeadlineExceeded"
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 143


def test_a_deletion_kills_what_ignores_sigterm(objects: Objects, tmp_path: Path) -> None:
    script = IGNORES_SIGTERM.format(file=tmp_path / "pid")
    objects.apply(pod("stubborn", container(script), terminationGracePeriodSeconds=2))
    pid = written_pid(tmp_path / "pid")
    begun = time.monotonic()

    objects.delete("pod", "stubborn")

    eventually(lambda: objects.get("pod", "stubborn") is None)
    assert not alive(pid)
    assert time.monotonic() - begun >= 2


def test_a_second_deletion_shortens_the_grace(objects: Objects, tmp_path: Path) -> None:
    script = IGNORES_SIGTERM.format(file=tmp_path / "pid")
    objects.apply(pod("stubborn", container(script), terminationGracePeriodSeconds=300))
    pid = written_pid(tmp_path / "pid")

    objects.delete("pod", "stubborn")
    eventually(lambda: (objects.get("pod", "stubborn") or {})["metadata"].get("deletionTimestamp"))
    assert alive(pid)
    objects.delete("pod", "stubborn", "--grace-period=1")

    eventually(lambda: objects.get("pod", "stubborn") is None)
    assert not alive(pid)


def test_what_a_process_leaves_behind_ends_with_it(objects: Objects, tmp_path: Path) -> None:
    # One child in its group, one that left the session as a daemon does.
    script = (
        f"sleep 300 & echo $! > {tmp_path}/child;"
        f" setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 300' &"
        f" until [ -s {tmp_path}/daemon ]; do sleep 0.02; done"
    )
    objects.apply(pod("parent", container(script)))

    phase(objects, "parent", "Succeeded")

    assert not alive(written_pid(tmp_path / "child"))
    assert not alive(written_pid(tmp_path / "daemon"))


def test_an_unknown_image_is_waited_for(objects: Objects, cluster: Cluster) -> None:
    image = f"registry.example/{objects.namespace}:1"
    objects.apply(pod("stranger", container("true", image=image)))

    words = waits_for(objects, "stranger", ["ErrImagePull"])
    assert image in words
    words = waits_for(objects, "stranger", ["ImagePullBackOff"])
    assert words.startswith("Back-off pulling image")

    if cluster.ours:
        cluster.add_image(image, ["true"])
        phase(objects, "stranger", "Succeeded")


def test_a_command_that_is_not_there_is_a_start_error(objects: Objects) -> None:
    objects.apply(pod("lost", container("", command=["no-such-program"])))

    ended = phase(objects, "lost", "Failed")["containerStatuses"][0]["state"]["terminated"]

    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "no-such-program" in ended["message"]


def test_init_containers_come_first_and_stop_the_rest_when_they_fail(
    objects: Objects, tmp_path: Path
) -> None:
    first = container(f"echo first >> {tmp_path}/order", name="first")
    then = container(f"echo then >> {tmp_path}/order")
    objects.apply(
        pod("ordered", then, initContainers=[first]),
        pod(
            "broken",
            container(f"touch {tmp_path}/never"),
            initContainers=[container("exit 3", name="first")],
        ),
    )

    phase(objects, "ordered", "Succeeded")
    status = phase(objects, "broken", "Failed")

    assert (tmp_path / "order").read_text() == "first\nthen\n"
    assert not (tmp_path / "never").exists()
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"


def test_a_sidecar_does_not_keep_the_pod(objects: Objects) -> None:
    sidecar = container("exec sleep 300", name="sidecar", restartPolicy="Always")

    objects.apply(
        pod("meshed", container("true"), initContainers=[sidecar], terminationGracePeriodSeconds=5)
    )

    phase(objects, "meshed", "Succeeded")


def test_a_container_is_seen_ended_while_its_neighbour_runs(objects: Objects) -> None:
    objects.apply(pod("pair", container("true"), container("exec sleep 300", name="other")))

    assert state(objects, "pair", "terminated")["exitCode"] == 0
    status = (objects.get("pod", "pair") or {})["status"]

    assert status["phase"] == "Running"
    assert "running" in state(objects, "pair", "running", of="other").keys() | {"running"}


def test_another_restart_policy_is_refused_plainly(objects: Objects) -> None:
    objects.apply(pod("again", container("true"), restartPolicy="OnFailure"))

    status = phase(objects, "again", "Failed")

    assert status["reason"] == "RestartPolicyUnsupported"
    assert "Never" in status["message"]


def test_the_log_stands_in_for_a_message_that_is_missing(objects: Objects) -> None:
    main = container(
        "echo out; echo err >&2; exit 1", terminationMessagePolicy="FallbackToLogsOnError"
    )
    objects.apply(pod("talks", main))

    ended = phase(objects, "talks", "Failed")["containerStatuses"][0]["state"]["terminated"]

    assert ended["message"] == "out\nerr\n"


def test_a_message_is_kept_to_what_a_kubelet_keeps(objects: Objects) -> None:
    result = {"name": "RESULT", "value": "/dev/termination-log"}
    script = 'head -c 5000 /dev/zero | tr "\\0" x > "$RESULT"; printf END >> "$RESULT"'
    objects.apply(pod("long", container(script, env=[result])))

    ended = phase(objects, "long", "Succeeded")["containerStatuses"][0]["state"]["terminated"]

    assert len(ended["message"]) == 4096
    assert ended["message"].endswith("xEND")


@pytest.mark.parametrize(
    ("report", "phase_", "key"),
    [("unknown", "Failed", "terminated"), ("stuck", "Failed", "running")],
)
def test_a_false_report_is_made_when_asked_for(
    objects: Objects, report: str, phase_: str, key: str
) -> None:
    annotations = {"local-kubernetes.dev/report": report}
    objects.apply(pod("odd", container("true"), annotations=annotations))

    found = phase(objects, "odd", phase_)["containerStatuses"][0]["state"]

    assert list(found) == [key]
    if report == "unknown":
        assert found[key]["reason"] == "ContainerStatusUnknown"
        assert found[key]["exitCode"] == 137
        assert "message" not in found[key]


def test_a_pod_vanishes_when_asked_to(objects: Objects) -> None:
    annotations = {"local-kubernetes.dev/report": "lost"}

    objects.apply(pod("gone", container("true"), annotations=annotations))

    eventually(lambda: objects.get("pod", "gone") is None)


def test_the_phase_lags_when_asked_to(objects: Objects) -> None:
    annotations = {"local-kubernetes.dev/phase-delay": "2s"}
    objects.apply(pod("late", container("true"), annotations=annotations))

    state(objects, "late", "terminated")

    assert (objects.get("pod", "late") or {})["status"]["phase"] == "Running"
    phase(objects, "late", "Succeeded")


def test_a_pod_deleted_before_its_start_never_runs(objects: Objects, tmp_path: Path) -> None:
    annotations = {"local-kubernetes.dev/start-delay": "1m"}
    main = container(f"touch {tmp_path}/ran")
    objects.apply(secret("unused", a="b"), pod("early", main, annotations=annotations))
    state(objects, "early", "waiting")

    objects.delete("pod", "early")

    eventually(lambda: objects.get("pod", "early") is None)
    assert not (tmp_path / "ran").exists()
