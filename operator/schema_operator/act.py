"""Carrying out a step: requests to the API server, and what came of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from schema_operator import errors, job, moment, names, projection, resource

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from schema_operator.api import Api
    from schema_operator.options import PodDefaults
    from schema_operator.world import Start, Wanted


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A Job was taken, or was there already as `adopted`.

    Attributes:
        view: the Job; None where it was there already and will be seen soon.
    """

    view: projection.JobView | None


async def start(
    api: Api,
    wanted: Wanted,
    begin: Start,
    defaults: PodDefaults,
) -> Created:
    """Create the Job of an attempt.

    Raises:
        ApiError: it was not taken.
    """
    assert isinstance(wanted.spec, resource.Spec)  # noqa: S101 - nothing is started without one
    manifest = job.manifest(wanted, wanted.spec, begin, defaults)
    try:
        return Created(view=projection.of_job(await api.create_job(manifest)))
    except errors.AlreadyExistsError:
        return Created(view=None)


async def stop(api: Api, view: projection.JobView) -> None:
    """End a run: its Job goes when its pod is gone, so that its report can still be read.

    Raises:
        ApiError: it could not be asked for.
    """
    await api.delete_job(view.namespace, view.name, view.uid, "Foreground")


async def discard(api: Api, surplus: Sequence[projection.JobView]) -> None:
    """Delete finished Jobs that are reported and not kept.

    Raises:
        ApiError: one could not be deleted.
    """
    for view in surplus:
        await api.delete_job(view.namespace, view.name, view.uid, "Background")


async def write(
    api: Api, view: projection.ResourceView, status: dict[str, Any]
) -> projection.ResourceView:
    """Replace a resource's status and return the resource as it is now.

    Raises:
        ApiError: it was not taken.
    """
    answer = await api.patch_status(view.key, view.resource_version, status)
    return dataclasses.replace(
        view,
        resource_version=int(answer["metadata"]["resourceVersion"]),
        packed_status=projection.pack(status),
    )


async def announce(
    api: Api, view: projection.ResourceView, reason: str, message: str, now: dt.datetime
) -> None:
    """Post a Warning about a resource that has just become Stalled.

    Raises:
        ApiError: it was not taken.
    """
    stamp = moment.stamp(now)
    await api.create_event(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "generateName": f"{view.key.name}-",
                "namespace": view.key.namespace,
            },
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "namespace": view.key.namespace,
                "name": view.key.name,
                "uid": view.uid,
                "resourceVersion": str(view.resource_version),
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "source": {"component": names.PROGRAM},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
    )
