"""The few requests that the operator makes of the API server, and their client.

Bodies are plain dictionaries in both directions. SchemaMigrations are listed and
watched by the handlers' framework on connections of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

from schema_operator import errors, names, wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from schema_operator.names import Key
    from schema_operator.transport import Transport

PAGE: Final = 200
"""How many objects one page of a list holds."""

_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Answers without spec and status, which we have just sent or do not ask for."""

RESOURCES: Final = f"apis/{names.GROUP}/{names.VERSION}|{names.PLURAL}"
JOBS: Final = "apis/batch/v1|jobs"
PODS: Final = "api/v1|pods"
LEASES: Final = "apis/coordination.k8s.io/v1|leases"

_READ: Final = {JOBS: wire.read_job_event, PODS: wire.read_pod_event}


class Api(Protocol):
    """What the operator asks of the API server."""

    async def create_job(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create a Job and return its metadata as they were stored."""

    async def delete_job(self, namespace: str, name: str, uid: str, propagation: str) -> None:
        """Delete the Job with that uid; one that is gone is no error."""

    async def patch_status(
        self, key: Key, resource_version: int, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Replace a resource's whole status, at that version of it, and return its metadata."""

    async def create_event(self, event: Mapping[str, Any]) -> None:
        """Create an Event."""

    async def list_versions(self, kind: str, namespace: str | None) -> tuple[dict[str, int], int]:
        """Return the versions of all our objects of a kind by uid, and the list's version.

        Args:
            kind: `RESOURCES`, `JOBS` or `PODS`.
            namespace: only there; None: everywhere.
        """


class Client:
    """The requests."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._manager = urlencode({"fieldManager": names.PROGRAM})

    async def create_job(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create a Job and return its metadata as they were stored."""
        path = _path(JOBS, manifest["metadata"]["namespace"])
        # Strict, so that a misspelt field of what is passed on is said and not dropped.
        query = f"{self._manager}&fieldValidation=Strict"
        url = f"{path}?{query}"
        return await self._transport.request("POST", "jobs", url, manifest, accept=_METADATA)

    async def delete_job(self, namespace: str, name: str, uid: str, propagation: str) -> None:
        """Delete the Job with that uid; one that is gone, or another of that name, stays as it is."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": propagation,
        }
        try:
            await self._transport.request("DELETE", "jobs", _path(JOBS, namespace, name), body)
        except (errors.GoneError, errors.ConflictError):
            return

    async def patch_status(
        self, key: Key, resource_version: int, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Replace a resource's whole status, at that version of it, and return its metadata.

        A merge would leave in place what somebody else has written there.
        """
        body = [
            {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": str(resource_version),
            },
            {"op": "add", "path": "/status", "value": status},
        ]
        path = _path(RESOURCES, key.namespace, key.name)
        return await self._transport.request(
            "PATCH",
            "schemamigrations/status",
            f"{path}/status?{self._manager}",
            body,
            content_type="application/json-patch+json",
            accept=_METADATA,
        )

    async def create_event(self, event: Mapping[str, Any]) -> None:
        """Create an Event."""
        path = f"/api/v1/namespaces/{quote(event['metadata']['namespace'])}/events"
        await self._transport.request("POST", "events", path, event)

    async def list_versions(self, kind: str, namespace: str | None) -> tuple[dict[str, int], int]:
        """Return the versions of all our objects of a kind by uid, and the list's version."""
        versions: dict[str, int] = {}
        last = 0
        async for page in self.pages(kind, namespace, _METADATA_LIST):
            for item in page.get("items") or ():
                metadata = item["metadata"]
                versions[metadata["uid"]] = int(metadata["resourceVersion"])
            last = int(page["metadata"]["resourceVersion"])
        return versions, last

    async def pages(
        self, kind: str, namespace: str | None, accept: str = "application/json"
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield a list of all our objects of a kind, page by page."""
        query = {**_ours(kind), "limit": str(PAGE)}
        while True:
            path = f"{_path(kind, namespace)}?{urlencode(query)}"
            resource = kind.rpartition("|")[2]
            page = await self._transport.request("GET", resource, path, accept=accept)
            yield page
            following = page["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    async def newest(self, kind: str, namespace: str | None) -> int:
        """Return the version that the API server is at."""
        query = urlencode({**_ours(kind), "limit": "1"})
        path, resource = f"{_path(kind, namespace)}?{query}", kind.rpartition("|")[2]
        page = await self._transport.request("GET", resource, path, accept=_METADATA_LIST)
        return int(page["metadata"]["resourceVersion"])

    async def watch(
        self,
        kind: str,
        namespace: str | None,
        version: str,
        bounds: tuple[int, float],
        began: Callable[[], None],
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events after a version, until the server ends the watch."""
        seconds, silence = bounds
        query = {
            **_ours(kind),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        path = f"{_path(kind, namespace)}?{urlencode(query)}"
        read = _READ[kind]
        lines = self._transport.lines(path, silence=silence, began=began)
        async with contextlib.aclosing(lines) as opened:
            async for line in opened:
                try:
                    event = read(line)
                except ValueError as error:
                    raise errors.UnavailableError(0, "an event is no JSON") from error
                yield event

    # The Lease of the election

    async def get_lease(self, namespace: str, name: str, seconds: float) -> dict[str, Any] | None:
        """Return a Lease; None where there is none."""
        path = _path(LEASES, namespace, name)
        try:
            return await self._transport.request("GET", "leases", path, seconds=seconds)
        except errors.GoneError:
            return None

    async def write_lease(self, lease: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Create a Lease, or replace it at the resourceVersion that it bears."""
        metadata = lease["metadata"]
        exists = "resourceVersion" in metadata
        path = _path(LEASES, metadata["namespace"], metadata["name"] if exists else None)
        method = "PUT" if exists else "POST"
        return await self._transport.request(method, "leases", path, lease, seconds=seconds)

    async def watch_lease(self, namespace: str, name: str, version: str, seconds: float) -> None:
        """Return when a Lease has changed since that version, or after so many seconds.

        The watch ends with its first event, so nothing of it is left open.
        """
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, int(seconds))),
        }
        path = f"{_path(LEASES, namespace)}?{urlencode(query)}"
        try:
            async with (
                asyncio.timeout(seconds),
                contextlib.aclosing(self._transport.lines(path, silence=seconds + 1)) as lines,
            ):
                async for _ in lines:
                    return
        except TimeoutError:
            return


def _ours(kind: str) -> dict[str, str]:
    """Return the query that leaves out what is not ours."""
    return {} if kind == RESOURCES else {"labelSelector": names.LABEL_DATABASE}


def _path(kind: str, namespace: str | None, name: str | None = None) -> str:
    prefix, _, plural = kind.partition("|")
    middle = "" if namespace is None else f"/namespaces/{quote(namespace)}"
    end = "" if name is None else f"/{quote(name)}"
    return f"/{prefix}{middle}/{plural}{end}"
