"""The node's conversation with the API server, in plain dictionaries.

The generated models are strict: an object of a newer server fails to decode.
A node must pass on what it does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

REQUEST_SECONDS: Final = 10.0
WATCH_SECONDS: Final = 240
"""The server ends a watch after so long; it is then begun anew where it stopped."""

STRATEGIC_MERGE: Final = "application/strategic-merge-patch+json"

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_GONE: Final = 410
_FIRST_ERROR: Final = 400


class ApiError(Exception):
    """The API server refused, or did not answer.

    Attributes:
        status: of HTTP; 0 when there was no answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def not_found(self) -> bool:
        """Whether there is no such object."""
        return self.status == _NOT_FOUND

    @property
    def conflict(self) -> bool:
        """Whether it exists already, or is another one than meant."""
        return self.status == _CONFLICT

    @property
    def expired(self) -> bool:
        """Whether a watch can't be resumed there and must begin with a list."""
        return self.status == _GONE


class Client:
    """Requests as one user."""

    def __init__(self, api: kubernetes_client.ApiClient) -> None:
        self._api = api
        self._host = str(api.configuration.host).rstrip("/")

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, kubeconfig: Path, temporary: Path) -> AsyncIterator[Client]:
        """Logs in, and out at the end.

        Args:
            kubeconfig: with a client certificate.
            temporary: where the certificate may be unpacked.
        """
        configuration = kubernetes_client.Configuration()
        load: Any = kubernetes_config.load_kube_config  # it publishes no types
        await load(
            str(kubeconfig),
            client_configuration=configuration,
            persist_config=False,
            temp_file_path=str(temporary),
        )
        # Looking for a proxy on each request takes longer than the request.
        configuration.client_session_kwargs = {"trust_env": False}
        async with kubernetes_client.ApiClient(configuration) as api:
            yield cls(api)

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """One request.

        Args:
            method: of HTTP.
            path: with its query.
            body: becomes JSON.
            content_type: of the body.

        Returns:
            The object that was answered.

        Raises:
            ApiError: refused, or no answer in time.
        """
        try:
            answer: Any = await self._api.call_api(
                method,
                self._host + path,
                {"Content-Type": content_type, "Accept": "application/json"},
                body,
                _request_timeout=REQUEST_SECONDS,
            )
            content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError) as error:
            raise ApiError(0, f"no answer: {error!r}") from error
        if answer.status >= _FIRST_ERROR:
            raise ApiError(answer.status, _message(content))
        document: dict[str, Any] = json.loads(content)
        return document

    async def watch(
        self, path: str, query: Mapping[str, str], version: str
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The events after a version, until the server ends the stream.

        Args:
            path: of the collection.
            query: its selectors.
            version: the resourceVersion to go on from.

        Yields:
            Kind (ADDED, MODIFIED, DELETED, BOOKMARK) and object.

        Raises:
            ApiError: refused, or broken.
        """
        parameters = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS + 30)
        try:
            answer: Any = await self._api.call_api(
                "GET",
                f"{self._host}{path}?{urlencode(parameters)}",
                {"Accept": "application/json"},
                _request_timeout=timeout,
            )
            if answer.status >= _FIRST_ERROR:
                raise ApiError(answer.status, _message(await answer.read()))
            try:
                async for line in answer.response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise ApiError(status.get("code", 0), status.get("message", ""))
                    yield event["type"], event["object"]
            finally:
                answer.response.close()
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError) as error:
            raise ApiError(0, f"the watch broke: {error!r}") from error
        except ValueError as error:  # half a line: the server went away in the middle of it
            raise ApiError(0, "the watch ended within an event") from error


class Backoff:
    """Waits longer each time."""

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first = self._next = first_seconds
        self._longest = longest_seconds

    def step(self) -> float:
        """The next delay, in seconds."""
        delay = self._next
        self._next = min(self._longest, self._next * 2)
        return delay

    async def wait(self) -> None:
        """Waits for it."""
        await asyncio.sleep(self.step())

    def reset(self) -> None:
        """Begins anew, after something went well."""
        self._next = self._first


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode(errors="replace")
