"""The few requests that the operator makes of the API server, and their client.

Watching is not among them: the handlers' framework does that on a connection of
its own. Bodies are plain dictionaries in both directions; every request has a
time limit, and every failure is one of `errors`, sorted by how to react.
"""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import client

from schema_operator import errors, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schema_operator.names import Key

REQUEST_SECONDS: Final = 15.0
"""The longest that one request takes."""

PAGE: Final = 500
"""How many objects one page of a list holds."""

_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Answers without spec and status, which we have just sent or do not ask for."""

RESOURCES: Final = f"apis/{names.GROUP}/{names.VERSION}|{names.PLURAL}"
JOBS: Final = "apis/batch/v1|jobs"
PODS: Final = "api/v1|pods"
LEASES: Final = "apis/coordination.k8s.io/v1|leases"


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

    async def list_uids(self, kind: str, namespace: str | None) -> tuple[dict[str, str], int]:
        """Return the names of all our objects of a kind by uid, and the list's version.

        Args:
            kind: `RESOURCES`, `JOBS` or `PODS`.
            namespace: only there; None: everywhere.
        """


class Client:
    """The requests, made with the official client's asyncio half."""

    def __init__(
        self,
        configuration: client.Configuration,
        observer: Callable[[str, str, int, float], None] | None = None,
    ) -> None:
        """Make one.

        Args:
            configuration: how to reach the API server.
            observer: is told of each request: verb, resource, status (0: no answer), seconds.
        """
        # Reading the proxies' environment variables and .netrc for every request would take
        # longer than the rest of it.
        configuration.client_session_kwargs = {"trust_env": False}
        self._client = client.ApiClient(configuration)
        self._client.user_agent = names.PROGRAM
        self._observer = observer
        self._manager = urlencode({"fieldManager": names.PROGRAM})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]  # publishes no types

    async def create_job(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create a Job and return its metadata as they were stored."""
        path = _path(JOBS, manifest["metadata"]["namespace"])
        # Strict, so that a misspelt field of what is passed on is said and not dropped.
        query = f"{self._manager}&fieldValidation=Strict"
        url = f"{path}?{query}"
        return await self._request("POST", "jobs", url, manifest, accept=_METADATA)

    async def delete_job(self, namespace: str, name: str, uid: str, propagation: str) -> None:
        """Delete the Job with that uid; one that is gone, or another of that name, stays as it is."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": propagation,
        }
        try:
            await self._request("DELETE", "jobs", _path(JOBS, namespace, name), body)
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
        return await self._request(
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
        await self._request("POST", "events", path, event)

    async def list_uids(self, kind: str, namespace: str | None) -> tuple[dict[str, str], int]:
        """Return the names of all our objects of a kind by uid, and the list's version."""
        query = {"limit": str(PAGE)}
        if kind != RESOURCES:
            query["labelSelector"] = names.LABEL_DATABASE
        uids: dict[str, str] = {}
        while True:
            path = f"{_path(kind, namespace)}?{urlencode(query)}"
            resource = kind.rpartition("|")[2]
            page = await self._request("GET", resource, path, None, accept=_METADATA_LIST)
            for item in page.get("items") or ():
                metadata = item["metadata"]
                uids[metadata["uid"]] = f"{metadata['namespace']}/{metadata['name']}"
            following = page["metadata"].get("continue")
            if not following:
                return uids, int(page["metadata"]["resourceVersion"])
            query["continue"] = following

    # The Lease of the election

    async def get_lease(self, namespace: str, name: str, seconds: float) -> dict[str, Any] | None:
        """Return a Lease; None where there is none."""
        path = _path(LEASES, namespace, name)
        try:
            return await self._request("GET", "leases", path, None, seconds=seconds)
        except errors.GoneError:
            return None

    async def write_lease(self, lease: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Create a Lease, or replace it at the resourceVersion that it bears."""
        metadata = lease["metadata"]
        exists = "resourceVersion" in metadata
        path = _path(LEASES, metadata["namespace"], metadata["name"] if exists else None)
        method = "PUT" if exists else "POST"
        return await self._request(method, "leases", path, lease, seconds=seconds)

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
            async with asyncio.timeout(seconds):
                response = await self._send("GET", path, None, {}, seconds + 1)
                try:
                    if response.status < HTTPStatus.BAD_REQUEST:
                        await response.response.content.readline()
                finally:
                    response.response.close()
        except TimeoutError:
            return
        except (aiohttp.ClientError, OSError) as error:
            raise errors.UnavailableError(0, f"no answer ({type(error).__name__})") from error

    async def _request(  # noqa: PLR0913 - what a request consists of
        self,
        method: str,
        resource: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        seconds: float = REQUEST_SECONDS,
    ) -> dict[str, Any]:
        """Make one request and return the object that came back.

        Raises:
            ApiError: it came to nothing.
        """
        headers = {"Accept": accept, "Content-Type": content_type}
        began = time.monotonic()
        status = 0
        try:
            response = await self._send(method, path, body, headers, seconds)
            content = await response.read()
            status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise errors.UnavailableError(0, f"no answer ({type(error).__name__})") from error
        finally:
            if self._observer is not None:
                self._observer(method, resource, status, time.monotonic() - began)
        document = _document(content)
        if status >= HTTPStatus.BAD_REQUEST:
            raise failure(status, document, response.headers.get("Retry-After"))
        return document

    async def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str], seconds: float
    ) -> Any:
        """Send one request with the client's credentials and return the client's response."""
        headers["User-Agent"] = self._client.user_agent
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        return await self._client.rest_client.request(  # type: ignore[no-untyped-call]  # publishes no types
            method,
            f"{self._client.configuration.host}{path}",
            headers=headers,
            body=body,
            _request_timeout=seconds,
        )


def _path(kind: str, namespace: str | None, name: str | None = None) -> str:
    prefix, _, plural = kind.partition("|")
    middle = "" if namespace is None else f"/namespaces/{quote(namespace)}"
    end = "" if name is None else f"/{quote(name)}"
    return f"/{prefix}{middle}/{plural}{end}"


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {"message": content[:200].decode("utf-8", errors="replace")}
    return document if isinstance(document, dict) else {}


def failure(status: int, document: Mapping[str, Any], retry_after: str | None) -> errors.ApiError:
    """Return the error that an answer means.

    Args:
        status: the HTTP status.
        document: the Status object that came with it.
        retry_after: the header of that name, in seconds.
    """
    message = str(document.get("message") or "without a word")
    causes = (document.get("details") or {}).get("causes") or ()
    if status == HTTPStatus.FORBIDDEN and any(
        cause.get("reason") == "NamespaceTerminating" for cause in causes
    ):
        return errors.NamespaceEndsError(status, message)
    if status == HTTPStatus.CONFLICT and document.get("reason") == "AlreadyExists":
        return errors.AlreadyExistsError(status, message)
    wait = float(retry_after) if retry_after and retry_after.isdigit() else None
    kinds: dict[int, type[errors.ApiError]] = {
        401: errors.DeniedError,
        403: errors.DeniedError,
        404: errors.GoneError,
        409: errors.ConflictError,
        400: errors.RejectedError,
        422: errors.RejectedError,
    }
    return kinds.get(status, errors.UnavailableError)(status, message, wait)
