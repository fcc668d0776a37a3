"""What kstatus makes of a custom resource, after its documentation and independently of its code.

https://pkg.go.dev/sigs.k8s.io/cli-utils/pkg/kstatus. Flux decides by it, and so do other tools that
wait for whatever was applied.
"""

from __future__ import annotations

import enum
from typing import Any


class Gate(enum.StrEnum):
    """The statuses that kstatus knows of a resource that exists."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"
    UNKNOWN = "Unknown"


_ABNORMAL = {"Reconciling": Gate.IN_PROGRESS, "Stalled": Gate.FAILED}


def compute(resource: dict[str, Any]) -> Gate:
    """The gate of a resource, as it stands on the API server."""
    try:
        return _compute(resource)
    except (AttributeError, KeyError, TypeError):
        return Gate.UNKNOWN  # a status or condition that has not the documented form


def _compute(resource: dict[str, Any]) -> Gate:
    metadata = resource["metadata"]
    if metadata.get("deletionTimestamp"):
        return Gate.TERMINATING
    status = resource.get("status", {})
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation", observed):
        return Gate.IN_PROGRESS
    conditions = status.get("conditions", [])
    # The first that is true decides, in the order of the list: hence never both at once.
    for condition in conditions:
        if condition["type"] in _ABNORMAL and condition["status"] == "True":
            return _ABNORMAL[condition["type"]]
    for condition in conditions:
        if condition["type"] == "Ready":
            return Gate.CURRENT if condition["status"] == "True" else Gate.IN_PROGRESS
    return Gate.CURRENT  # nothing says that it would ever have a status
