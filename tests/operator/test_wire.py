"""What is read of an event, beside the whole of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from schema_operator import names, projection, wire

if TYPE_CHECKING:
    from collections.abc import Callable

METADATA: dict[str, Any] = {
    "name": "shop-1-pod",
    "generateName": "shop-1-",
    "namespace": "shops",
    "uid": "uid-1",
    "resourceVersion": "12",
    "creationTimestamp": "2026-03-01T12:00:00Z",
    "deletionTimestamp": "2026-03-01T12:01:00Z",
    "labels": {names.LABEL_JOB_NAME: "shop-1", names.LABEL_NAME: "shop", "other": "x"},
    "annotations": {
        names.ANNOTATION_DIGEST: "v1:1",
        names.ANNOTATION_ATTEMPT: "2",
        names.ANNOTATION_SERIES: "2026-03-01T11:00:00+00:00",
        names.ANNOTATION_RUN: "verify",
    },
    "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
}
CONDITIONS: list[dict[str, Any]] = [
    {"type": "PodScheduled", "status": "False", "message": "no node", "lastProbeTime": None},
    {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "limit",
        "lastTransitionTime": "2026-03-01T12:00:09Z",
    },
]
JOB: dict[str, Any] = {
    "kind": "Job",
    "metadata": METADATA,
    "spec": {"backoffLimit": 0},
    "status": {"conditions": CONDITIONS, "active": 1},
}
ENDED = {
    "startedAt": "2026-03-01T12:00:01Z",
    "finishedAt": "2026-03-01T12:00:02Z",
    "exitCode": 11,
    "reason": "Error",
    "message": '{"v":1}',
    "containerID": "containerd://1",
}


def pod(state: dict[str, Any]) -> dict[str, Any]:
    status = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "disk",
        "conditions": CONDITIONS,
        "containerStatuses": [
            {"name": "sidecar", "state": None},
            {"name": names.CONTAINER, "imageID": "image@sha256:1", "ready": False, "state": state},
        ],
    }
    return {"metadata": METADATA, "spec": {"nodeName": "node", "volumes": []}, "status": status}


def line(kind: str, document: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode()


@pytest.mark.parametrize(
    "state",
    [
        {"terminated": ENDED},
        {"running": {"startedAt": "2026-03-01T12:00:01Z"}},
        {"waiting": {"reason": "ImagePullBackOff", "message": "no image"}},
        {},
    ],
)
def test_what_is_kept_of_a_pod_is_read(state: dict[str, Any]) -> None:
    document = pod(state)
    event = wire.read_pod_event(line("MODIFIED", document))
    assert event["type"] == "MODIFIED"
    whole = projection.of_pod(document)
    part = projection.of_pod(event["object"])
    assert part == whole
    assert part.resource_version == whole.resource_version


def test_what_is_kept_of_a_job_is_read() -> None:
    event = wire.read_job_event(line("DELETED", JOB))
    assert event["type"] == "DELETED"
    assert projection.of_job(event["object"]) == projection.of_job(JOB)


def test_the_rest_is_passed_over() -> None:
    event = wire.read_job_event(line("ADDED", JOB))
    assert "managedFields" not in event["object"]["metadata"]
    assert "spec" not in event["object"]


READERS = [wire.read_job_event, wire.read_pod_event]


@pytest.mark.parametrize("read", READERS)
def test_what_is_empty_is_read(read: Callable[[bytes], dict[str, Any]]) -> None:
    names_of = {"name": "a", "namespace": "b", "uid": "c", "resourceVersion": "1"}
    nothing = dict.fromkeys(("labels", "annotations", "creationTimestamp"))
    document = {"metadata": {**names_of, **nothing}, "spec": None, "status": None}
    event = read(line("ADDED", document))
    assert projection.of_job(event["object"]) == projection.of_job(document)
    assert projection.of_pod(event["object"]) == projection.of_pod(document)


@pytest.mark.parametrize("read", READERS)
def test_a_failure_and_a_bookmark_are_read(read: Callable[[bytes], dict[str, Any]]) -> None:
    failure = {"metadata": {}, "status": "Failure", "message": "too old", "code": 410}
    assert read(line("ERROR", failure))["object"] == failure
    bookmark = {"metadata": {"resourceVersion": "7", "creationTimestamp": None}, "spec": {}}
    event = read(line("BOOKMARK", bookmark))
    assert event["object"]["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize("read", READERS)
def test_a_field_of_another_type_loses_nothing(read: Callable[[bytes], dict[str, Any]]) -> None:
    document = {"metadata": {**METADATA, "generation": "one"}, "status": {"conditions": {}}}
    assert read(line("ADDED", document)) == {"type": "ADDED", "object": document}


@pytest.mark.parametrize("read", [*READERS, wire.read])
def test_what_is_no_json_is_said(read: Callable[[bytes], Any]) -> None:
    with pytest.raises(ValueError, match="truncated"):
        read(b'{"type": "ADDED", "object": {')


def test_what_is_equal_has_equal_bytes() -> None:
    assert wire.write_sorted({"b": {"d": 1, "c": [None]}, "a": "ä"}) == wire.write_sorted(
        {"a": "ä", "b": {"c": [None], "d": 1}}
    )
