"""Requests and streams: HTTP to the API server, and what its answers mean.

Every request has a time limit, and every failure is one of `errors`, sorted by
how to react. A refused login is renewed for the next request.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import yarl
from kubernetes.aio.client import rest

from schema_operator import errors, names, wire
from schema_operator.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from kubernetes.aio import client

REQUEST_SECONDS: Final = 15.0
"""The longest that one request takes."""

CONNECT_SECONDS: Final = 5.0
"""The longest that a connection takes to be made."""

_BROKEN: Final = (TimeoutError, aiohttp.ClientError, OSError)
_LOGIN_LASTS: Final = 5.0
"""Seconds in which a second refusal does not make a second login."""


class Transport:
    """One login, and the connections that it is used on."""

    def __init__(
        self,
        configuration: client.Configuration,
        observer: Callable[[str, str, int, float], None] | None = None,
        log_in: Callable[[], Awaitable[client.Configuration]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make one.

        Args:
            configuration: how to reach the API server.
            observer: is told of each request: verb, resource, status (0: no answer), seconds.
            log_in: returns the same with a token as new as can be, after one was refused.
            clock: is set by each answer.
        """
        self._configuration = configuration
        # Reading the proxies' environment variables and .netrc for every request would take
        # longer than the rest of it.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=rest.RESTClientObject(configuration).ssl_context, limit=0
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": names.PROGRAM},
            trust_env=False,
        )
        self._observer = observer
        self._log_in = log_in
        self._clock = clock or Clock()
        self._logged_in = -_LOGIN_LASTS

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def request(  # noqa: PLR0913 - what a request consists of
        self,
        method: str,
        resource: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
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
            bounds = aiohttp.ClientTimeout(total=seconds)
            async with await self._send(method, path, body, headers, bounds) as response:
                content = await response.read()
            status = response.status
        except _BROKEN as error:
            raise errors.UnavailableError(0, f"no answer ({type(error).__name__})") from error
        finally:
            if self._observer is not None:
                self._observer(method, resource, status, time.monotonic() - began)
        if status >= HTTPStatus.BAD_REQUEST:
            raise await self._failure(status, content, response.headers.get("Retry-After"))
        return document(content)

    async def lines(
        self, path: str, *, silence: float, began: Callable[[], None] | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the lines of an answer that goes on, until the server ends it.

        Args:
            path: what is asked for.
            silence: how many seconds without a byte mean that nobody is there any more.
            began: is called when the server has agreed.

        Raises:
            ApiError: it was refused, or broke off.
        """
        bounds = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        try:
            response = await self._send("GET", path, None, {"Accept": "application/json"}, bounds)
            if response.status >= HTTPStatus.BAD_REQUEST:
                content = await response.read()
                raise await self._failure(response.status, content, None)
            if began is not None:
                began()
            try:
                rest = b""
                async for chunk in response.content.iter_any():
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield line
            finally:
                # Half read, it can't be used for another request.
                response.close()
        except _BROKEN as error:
            raise errors.UnavailableError(0, f"it broke off ({type(error).__name__})") from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Any,
        headers: dict[str, str],
        bounds: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send one request with the client's credentials and return the answer, not yet read."""
        present = self._configuration
        token = await present.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        asked = self._clock.elapsed()
        response = await self._session.request(
            method,
            yarl.URL(f"{present.host}{path}", encoded=True),
            headers=headers,
            data=None if body is None else wire.write(body),
            timeout=bounds,
            proxy=present.proxy,
            proxy_headers=present.proxy_headers,
            server_hostname=present.tls_server_name,
        )
        self._clock.hear(response.headers.get("Date", ""), asked)
        return response

    async def _failure(
        self, status: int, content: bytes, retry_after: str | None
    ) -> errors.ApiError:
        if status == HTTPStatus.UNAUTHORIZED:
            await self._renew()
        return failure(status, document(content), retry_after)

    async def _renew(self) -> None:
        """Take up a new token, once for all that are refused at the same moment."""
        now = time.monotonic()
        if self._log_in is None or now - self._logged_in < _LOGIN_LASTS:
            return
        self._logged_in = now
        try:
            newer = await self._log_in()
        except errors.OptionsError:
            return  # what was refused says so, and is tried again
        present = self._configuration
        present.api_key = newer.api_key
        present.api_key_prefix = newer.api_key_prefix
        present.refresh_api_key_hook = newer.refresh_api_key_hook


def document(content: bytes) -> dict[str, Any]:
    """Return the object that an answer holds; what is none, as the message of one."""
    try:
        read = wire.read(content)
    except ValueError:
        return {"message": content[:200].decode("utf-8", errors="replace")}
    return read if isinstance(read, dict) else {}


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
