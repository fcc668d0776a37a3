"""A Job from its creation to its end, on a real control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fix_cluster import eventually
from tests.local.workload import container, job, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_cluster import Objects


def test_a_job_comes_to_complete(objects: Objects) -> None:
    objects.apply(job("works", container("true")))

    objects.kubectl("wait", "--for=condition=Complete", "job/works", "--timeout=20s")

    pod = objects.pod_of("works")
    assert pod["status"]["phase"] == "Succeeded"
    assert state(objects, pod["metadata"]["name"], "terminated")["reason"] == "Completed"
    kept = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
    assert kept["PodScheduled"] == "True"


def test_an_exit_code_and_the_last_words_are_reported(objects: Objects) -> None:
    result = {"name": "RESULT", "value": "/dev/termination-log"}
    main = container('printf "it broke" > "$RESULT"; exit 10', env=[result])

    objects.apply(job("fails", main))

    objects.kubectl("wait", "--for=condition=Failed", "job/fails", "--timeout=20s")
    ended = state(objects, objects.pod_of("fails")["metadata"]["name"], "terminated")
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (10, "Error", "it broke")


def test_foreground_deletion_of_the_owner_waits_for_the_process(
    objects: Objects, tmp_path: Path
) -> None:
    script = f"trap 'echo ended > {tmp_path}/end; exit 0' TERM; while true; do sleep 0.05; done"
    objects.apply(job("long", container(script)))
    name = objects.pod_of("long")["metadata"]["name"]
    state(objects, name, "running")

    objects.delete("job", "long", "--cascade=foreground")

    eventually(lambda: objects.get("job", "long") is None)
    assert (tmp_path / "end").exists()
    assert objects.get("pod", name) is None
