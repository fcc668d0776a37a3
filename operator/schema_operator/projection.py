"""What is kept of the API server's objects: small frozen values instead of bodies.

Every function here takes an object as the API server sent it and never fails on
one that is merely incomplete: what is missing reads as not known.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from schema_operator import names, wire
from schema_operator.kind import Kind

Body = Mapping[str, Any]
"""An object of the API server, as JSON reads it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResourceView:
    """A SchemaMigration.

    Attributes:
        key: its namespace and name.
        uid: its uid.
        resource_version: orders what was seen of it.
        generation: counts the changes of its spec.
        deleting: whether it is on its way out.
        requested_at: the annotation that asks for another run, or the empty string.
        spec: its spec, as compact JSON.
        packed_status: its status, see `pack`.
    """

    key: names.Key
    uid: str
    resource_version: int
    generation: int
    deleting: bool
    requested_at: str
    spec: bytes
    packed_status: bytes

    @property
    def status(self) -> bytes:
        """Its status, as compact JSON."""
        return zlib.decompress(self.packed_status)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A Job with our labels.

    Attributes:
        namespace: its namespace.
        name: its name.
        uid: its uid.
        resource_version: orders what was seen of it.
        owner: the name of the resource that it was created for, from its label.
        owner_uid: that resource's uid, from its label.
        database: the database's label.
        digest: the digest of its run.
        attempt: which attempt of it.
        generation: the resource's generation when it was created.
        failures: how many attempts of this series had failed before it.
        series: when the series of attempts began.
        timeout: the run's timeout.
        kind: what its run is for.
        created: when it was created.
        finished: when it got the condition Complete or Failed; None while it has neither.
        complete: whether that condition is Complete.
        words: the reason and message of that condition.
        deleting: whether it is on its way out.
        gone: whether it was deleted and is only remembered.
    """

    namespace: str
    name: str
    uid: str
    resource_version: int
    owner: str
    owner_uid: str
    database: str
    digest: str
    attempt: int
    generation: int
    failures: int
    series: datetime
    timeout: timedelta
    created: datetime
    kind: Kind = Kind.APPLY
    finished: datetime | None = None
    complete: bool = False
    words: str = ""
    deleting: bool = False
    gone: bool = False

    @property
    def key(self) -> names.Key:
        """The key of the resource that it belongs to."""
        return names.Key(self.namespace, self.owner)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The container waits.

    Attributes:
        reason: why, in the kubelet's word.
        message: why, in its sentence.
    """

    reason: str = ""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The container runs.

    Attributes:
        started: since when.
    """

    started: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """The container ended.

    Attributes:
        started: when it started; None where the runtime did not say.
        finished: when it ended; None where the runtime did not say.
        exit_code: its exit code.
        reason: why, in the kubelet's word.
        message: its termination message.
    """

    started: datetime | None
    finished: datetime | None
    exit_code: int
    reason: str
    message: str


Container = Waiting | Running | Terminated


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """A pod with our labels.

    Attributes:
        namespace: its namespace.
        name: its name.
        uid: its uid.
        resource_version: orders what was seen of it.
        job: the name of its Job.
        owner: the name of the resource that it runs for, from its label.
        database: the database's label.
        created: when it was created.
        node: the node it is bound to, or the empty string.
        phase: its phase; says little about the container, see `migrate`.
        words: the reason and message of the pod itself.
        unscheduled: why the scheduler found no node, or the empty string.
        migrate: the state of the migrator's container; None where there is none yet.
        image: the image that really runs, with its digest.
        gone: whether it was deleted and is only remembered.
    """

    namespace: str
    name: str
    uid: str
    # Two views that differ in it alone say the same.
    resource_version: int = dataclasses.field(compare=False)
    job: str
    owner: str
    database: str
    created: datetime
    node: str = ""
    phase: str = "Pending"
    words: str = ""
    unscheduled: str = ""
    migrate: Container | None = None
    image: str = ""
    gone: bool = False

    @property
    def key(self) -> names.Key:
        """The key of the resource that it belongs to."""
        return names.Key(self.namespace, self.owner)

    @property
    def may_run(self) -> bool:
        """Whether the migrator may still be at work in it.

        Phase Failed alone proves nothing: after a node was lost the API server
        says Failed while the container may go on there, and the kubelet invents
        ContainerStatusUnknown for containers that it knows nothing of.
        """
        if self.gone:
            return False
        match self.migrate:
            case Terminated(reason=reason):
                return reason == UNKNOWN_TO_KUBELET
            case Running():
                return True
            case Waiting() | None:
                return self.phase not in ENDED_PHASES


UNKNOWN_TO_KUBELET = "ContainerStatusUnknown"
"""A kubelet's word for a container that it has lost sight of, or that never was."""

ENDED_PHASES = frozenset({"Succeeded", "Failed"})


def of_resource(body: Body) -> ResourceView:
    """Return what is kept of a SchemaMigration."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    return ResourceView(
        key=names.Key(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation", 0)),
        deleting="deletionTimestamp" in metadata,
        requested_at=annotations.get(names.ANNOTATION_REQUESTED_AT, ""),
        spec=compact(body.get("spec")),
        packed_status=pack(body.get("status")),
    )


def of_job(body: Body) -> JobView:
    """Return what is kept of a Job."""
    metadata = body["metadata"]
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    conditions = (body.get("status") or {}).get("conditions") or ()
    end = next((one for one in conditions if is_end(one)), None)
    created = _time(metadata.get("creationTimestamp")) or _EPOCH
    return JobView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        owner=labels.get(names.LABEL_NAME, ""),
        owner_uid=labels.get(names.LABEL_UID, ""),
        database=labels.get(names.LABEL_DATABASE, ""),
        digest=annotations.get(names.ANNOTATION_DIGEST, ""),
        attempt=_number(annotations.get(names.ANNOTATION_ATTEMPT)),
        generation=_number(annotations.get(names.ANNOTATION_GENERATION)),
        failures=_number(annotations.get(names.ANNOTATION_FAILURES)),
        series=_time(annotations.get(names.ANNOTATION_SERIES)) or created,
        timeout=timedelta(seconds=_number(annotations.get(names.ANNOTATION_TIMEOUT))),
        created=created,
        kind=_kind(annotations.get(names.ANNOTATION_RUN)),
        finished=None if end is None else _time(end.get("lastTransitionTime")) or created,
        complete=end is not None and end.get("type") == "Complete",
        words="" if end is None else _words(end),
        deleting="deletionTimestamp" in metadata,
    )


def of_pod(body: Body) -> PodView:
    """Return what is kept of a pod."""
    metadata = body["metadata"]
    labels = metadata.get("labels") or {}
    status = body.get("status") or {}
    containers = status.get("containerStatuses") or ()
    migrate = next((one for one in containers if one.get("name") == names.CONTAINER), None)
    return PodView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        job=labels.get(names.LABEL_JOB_NAME, ""),
        owner=labels.get(names.LABEL_NAME, ""),
        database=labels.get(names.LABEL_DATABASE, ""),
        created=_time(metadata.get("creationTimestamp")) or _EPOCH,
        node=(body.get("spec") or {}).get("nodeName") or "",
        phase=status.get("phase") or "Pending",
        words=_words(status),
        unscheduled=_unscheduled(status.get("conditions") or ()),
        migrate=None if migrate is None else _container(migrate.get("state") or {}),
        image="" if migrate is None else _image(migrate),
    )


def _kind(text: str | None) -> Kind:
    try:
        return Kind(text or Kind.APPLY)
    except ValueError:
        return Kind.APPLY


def depends_on(view: ResourceView) -> tuple[str, ...]:
    """Return the names of the resources that a resource depends on."""
    if b'"dependsOn"' not in view.spec:
        return ()
    found = wire.read(view.spec).get("dependsOn") or ()
    return tuple(str(one.get("name", "")) for one in found)


def is_end(condition: Body) -> bool:
    """Return whether a Job's condition says that it has ended."""
    return condition.get("type") in {"Complete", "Failed"} and condition.get("status") == "True"


def _container(state: Body) -> Container:
    if (terminated := state.get("terminated")) is not None:
        return Terminated(
            started=_time(terminated.get("startedAt")),
            finished=_time(terminated.get("finishedAt")),
            exit_code=int(terminated.get("exitCode", 0)),
            reason=terminated.get("reason") or "",
            message=terminated.get("message") or "",
        )
    if (running := state.get("running")) is not None:
        return Running(started=_time(running.get("startedAt")) or _EPOCH)
    waiting = state.get("waiting") or {}
    return Waiting(reason=waiting.get("reason") or "", message=waiting.get("message") or "")


def _image(container: Body) -> str:
    """Return the image that runs, as ``name@sha256:…`` where the runtime says it."""
    image_id = str(container.get("imageID") or "")
    return image_id.removeprefix("docker-pullable://")


def _unscheduled(conditions: Any) -> str:
    for condition in conditions:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return condition.get("message") or condition.get("reason") or "no node was found"
    return ""


def _words(part: Body) -> str:
    return ": ".join(text for text in (part.get("reason"), part.get("message")) if text)


def compact(part: Any) -> bytes:
    """Return a part of an object as compact JSON."""
    return wire.write_sorted(part or {})


def pack(part: Any) -> bytes:
    """Return a part of an object as JSON, compressed.

    Of thousands of resources the statuses are most of what is kept, and they
    are looked at only when something happens to one.
    """
    return zlib.compress(compact(part), 1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time(text: str | None) -> datetime | None:
    """Return the moment that a text says; None where it says none, or the epoch."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or moment <= _EPOCH:
        return None
    return moment


def _number(text: str | None) -> int:
    """Return the number that a text says; 0 where it says none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else 0  # noqa: PLR2004 - longer is no number of ours
