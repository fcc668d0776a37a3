"""JSON of the API server, and how little of an event is read.

An event has seven kilobytes, most of them bookkeeping of the server's own, and some
twenty fields are asked for. What is named here becomes dictionaries; the rest is
passed over without being built, in a third of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class _Metadata(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: int
    creationTimestamp: str | None
    deletionTimestamp: str | None
    labels: dict[str, str] | None
    annotations: dict[str, str] | None


class _Condition(TypedDict, total=False):
    type: str
    status: str
    reason: str | None
    message: str | None
    lastTransitionTime: str | None


class _ContainerStatus(TypedDict, total=False):
    name: str
    imageID: str | None
    state: dict[str, dict[str, Any] | None] | None


class _Failure(TypedDict, total=False):
    """What an event of the type ERROR holds besides."""

    code: int | None
    message: str | None


class _JobStatus(TypedDict, total=False):
    conditions: list[_Condition] | None


class _Job(_Failure, total=False):
    metadata: _Metadata
    # That of an ERROR is a word.
    status: _JobStatus | str | None


class _PodSpec(TypedDict, total=False):
    nodeName: str | None


class _PodStatus(_JobStatus, total=False):
    containerStatuses: list[_ContainerStatus] | None
    phase: str | None
    reason: str | None
    message: str | None


class _Pod(_Failure, total=False):
    metadata: _Metadata
    spec: _PodSpec | None
    status: _PodStatus | str | None


class _JobEvent(TypedDict):
    type: str
    object: _Job


class _PodEvent(TypedDict):
    type: str
    object: _Pod


def read(content: bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: it is none.
    """
    return _decode(content)


def read_job_event(line: bytes) -> dict[str, Any]:
    """Return an event of a Job, at least with what `projection.of_job` asks for.

    Raises:
        ValueError: it is no JSON.
    """
    return _event(_decode_job_event, line)


def read_pod_event(line: bytes) -> dict[str, Any]:
    """Return an event of a pod, at least with what `projection.of_pod` asks for.

    Raises:
        ValueError: it is no JSON.
    """
    return _event(_decode_pod_event, line)


def write(document: Any) -> bytes:
    """Return a document as compact JSON."""
    return _encode(document)


def write_sorted(document: Any) -> bytes:
    """Return a document as compact JSON, its keys in order: what is equal has equal bytes."""
    return _encode_sorted(document)


def _event(decode: Callable[[bytes], Any], line: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = decode(line)
    except msgspec.ValidationError:
        # JSON it is. A server of another age may write a field as something else; nothing gets
        # lost for that.
        found = read(line)
    return found


_decode: Final = msgspec.json.Decoder().decode
_decode_job_event: Final = msgspec.json.Decoder(_JobEvent).decode
_decode_pod_event: Final = msgspec.json.Decoder(_PodEvent).decode
_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted", enc_hook=dict).encode
