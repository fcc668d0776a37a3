"""Jobs and pods that the tests here run, and what is read of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fix_cluster import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.fix_cluster import Objects


def container(script: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a shell script."""
    return {
        "name": "main",
        "image": "local/shell:1",
        # A kubelet reads $$ as $, and $(NAME) as a variable.
        "command": ["sh", "-c", script.replace("$", "$$")],
        **fields,
    }


def pod(
    name: str,
    *containers: dict[str, Any],
    annotations: Mapping[str, str] | None = None,
    **specification: Any,
) -> dict[str, Any]:
    """A pod of its own."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "spec": {"restartPolicy": "Never", "containers": list(containers), **specification},
    }


def job(
    name: str,
    *containers: dict[str, Any],
    annotations: Mapping[str, str] | None = None,
    **specification: Any,
) -> dict[str, Any]:
    """A Job that makes one such pod."""
    template = pod(name, *containers, annotations=annotations, **specification)
    template["metadata"].pop("name")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
        },
    }


def secret(name: str, **values: str) -> dict[str, Any]:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def from_secret(variable: str, name: str, key: str, **fields: Any) -> dict[str, Any]:
    """A variable that comes from a Secret."""
    reference = {"name": name, "key": key, **fields}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def state(objects: Objects, name: str, kind: str, of: str = "main") -> dict[str, Any]:
    """A container's state, once it is `waiting`, `running` or `terminated`."""

    def question() -> dict[str, Any] | None:
        found = objects.get("pod", name) or {}
        for each in found.get("status", {}).get("containerStatuses", []):
            if each["name"] == of and kind in each["state"]:
                return dict(each["state"][kind])
        return None

    return eventually(question)


def waits_for(objects: Objects, name: str, reasons: Sequence[str]) -> str:
    """The message of a container that waits for one of these reasons."""

    def question() -> str | None:
        waiting = state(objects, name, "waiting")
        return str(waiting.get("message", "")) if waiting["reason"] in reasons else None

    return eventually(question)


def phase(objects: Objects, name: str, wanted: str) -> dict[str, Any]:
    """The pod's status, once it is in that phase."""

    def question() -> dict[str, Any] | None:
        status: dict[str, Any] = (objects.get("pod", name) or {}).get("status", {})
        return status if status.get("phase") == wanted else None

    return eventually(question)
