"""A pod's conditions, from how its containers stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_kubernetes.node import states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_kubernetes.node.container import Container


class Conditions:
    """The conditions that are a node's to write; ``PodScheduled`` is the scheduler's and stays.

    Remembers since when each has the status that it has.
    """

    def __init__(self, known: Sequence[dict[str, Any]]) -> None:
        self._since = {
            each["type"]: (each["status"], each.get("lastTransitionTime")) for each in known
        }

    def documents(
        self, phase: str, initial: Sequence[Container], main: Sequence[Container]
    ) -> list[dict[str, Any]]:
        """As they are now.

        Args:
            phase: of the pod.
            initial: its init containers.
            main: its containers.
        """
        initialised = all(each.succeeded or each.is_running for each in initial)
        ready = phase == "Running" and all(each.is_running for each in main)
        ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}
        reason = ended.get(phase, "ContainersNotReady")
        return [
            self._document("PodReadyToStartContainers", holds=phase in {"Pending", "Running"}),
            self._document("Initialized", holds=initialised, reason="ContainersNotInitialized"),
            self._document("Ready", holds=ready, reason=reason),
            self._document("ContainersReady", holds=ready, reason=reason),
        ]

    def _document(self, kind: str, *, holds: bool, reason: str = "") -> dict[str, Any]:
        status = "True" if holds else "False"
        since = self._since.get(kind)
        if since is None or since[0] != status:
            since = self._since[kind] = (status, states.timestamp(states.now()))
        return {
            "type": kind,
            "status": status,
            # Taken away by name: a merge keeps what is not mentioned.
            "reason": None if holds or not reason else reason,
            "lastTransitionTime": since[1],
        }
