"""A Job from its creation to its end, on a real control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fix_cluster import eventually

if TYPE_CHECKING:
    from tests.fix_cluster import Objects


def job(name: str, script: str, **pod: Any) -> dict[str, Any]:
    """A Job of one container that runs a shell script; `pod` and `container` add to it."""
    container = {
        "name": "main",
        "image": "local/shell:1",
        "command": ["sh", "-c", script],
        **pod.pop("container", {}),
    }
    annotations = pod.pop("annotations", {})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"annotations": annotations},
                "spec": {"restartPolicy": "Never", "containers": [container], **pod},
            },
        },
    }


def terminated(objects: Objects, name: str) -> dict[str, Any]:
    """How the Job's one container ended, once it has."""

    def state() -> dict[str, Any] | None:
        for pod in objects.list("pods", f"job-name={name}"):
            for each in pod["status"].get("containerStatuses", []):
                if "terminated" in each["state"]:
                    return dict(each["state"]["terminated"])
        return None

    return eventually(state)


def test_a_job_comes_to_complete(objects: Objects) -> None:
    objects.apply(job("works", "echo well > /dev/null"))

    objects.kubectl("wait", "--for=condition=Complete", "job/works", "--timeout=20s")

    (pod,) = objects.list("pods", "job-name=works")
    assert pod["status"]["phase"] == "Succeeded"
    assert terminated(objects, "works")["reason"] == "Completed"


def test_an_exit_code_and_the_last_words_are_reported(objects: Objects) -> None:
    container = {"env": [{"name": "RESULT", "value": "/dev/termination-log"}]}

    objects.apply(job("fails", 'printf "it broke" > "$RESULT"; exit 10', container=container))

    objects.kubectl("wait", "--for=condition=Failed", "job/fails", "--timeout=20s")
    state = terminated(objects, "fails")
    assert (state["exitCode"], state["reason"], state["message"]) == (10, "Error", "it broke")
