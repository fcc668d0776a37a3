"""A proxy in front of the real API server that breaks what passes it.

What a test breaks is the way, never the server: every answer that gets through
is the server's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
import json
import ssl
import threading
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_HOP: Final = {"connection", "host", "keep-alive", "transfer-encoding", "content-length"}
_LONG: Final = 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Passing:
    """A request that passes.

    Attributes:
        method: its method, ``WATCH`` for a GET that watches.
        path: its path, without the query.
    """

    method: str
    path: str

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.method in {"POST", "PUT", "PATCH", "DELETE"}

    def concerns(self, method: str, resource: str) -> bool:
        """Whether it is of this method and about this resource, such as ``jobs``."""
        return self.method == method and resource in self.path.split("/")


class Fault(enum.Enum):
    """What becomes of a request."""

    REFUSED = "connection closed before the server hears of it"
    ANSWER_LOST = "connection closed after the server has done it"
    HANGS = "no answer for as long as the client waits"
    LATE = "the answer comes a second late"
    TWICE = "a watch tells every event twice"
    LAGS = "a watch tells every event a second late"
    SILENT = "a watch stays open and tells nothing"
    CUT = "a watch ends after its first event"
    GONE = "a watch ends with 410 at once"


@dataclasses.dataclass(slots=True)
class Rule:
    """What is broken, and how often.

    Attributes:
        matches: which requests.
        fault: how; a number is an HTTP status that the proxy answers itself.
        times: for how many of them; None: for all, until the rule is taken back.
        hits: how many it was applied to.
        then: called in place of a fault's end, with the request; for killing somebody.
    """

    matches: Callable[[Passing], bool]
    fault: Fault | int
    times: int | None = 1
    hits: int = 0
    then: Callable[[Passing], None] | None = None

    def takes(self, passing: Passing) -> bool:
        """Whether it applies to this one; counts it if so."""
        if (self.times is not None and self.hits >= self.times) or not self.matches(passing):
            return False
        self.hits += 1
        return True


class Breaker:
    """The proxy, in a thread of its own.

    Attributes:
        rules: what is broken; the first that applies does.
        passed: what has passed so far.
    """

    def __init__(self, server: str, authority: bytes) -> None:
        self.rules: list[Rule] = []
        self.passed: list[Passing] = []
        self.url = ""
        self._server = server
        self._tls = ssl.create_default_context(cadata=authority.decode())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._refuses = False
        self._open: set[asyncio.Transport] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator[Breaker]:
        """Let requests pass while the block runs."""
        self._thread.start()
        runner = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(runner), self._loop).result(20)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def break_(
        self,
        matches: Callable[[Passing], bool],
        fault: Fault | int,
        times: int | None = 1,
        then: Callable[[Passing], None] | None = None,
    ) -> Rule:
        """Break what matches from now on."""
        rule = Rule(matches, fault, times, then=then)
        self.rules.append(rule)
        return rule

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Let nothing pass while the block runs: every connection is closed, the open ones too."""
        self._refuses = True
        self.drop()
        try:
            yield
        finally:
            self._refuses = False

    def drop(self) -> None:
        """Close every connection that is open now."""

        async def drop() -> None:
            for transport in list(self._open):
                transport.abort()

        asyncio.run_coroutine_threadsafe(drop(), self._loop).result(10)

    async def _start(self) -> web.AppRunner:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        application = web.Application(client_max_size=8 << 20)
        application.router.add_route("*", "/{path:.*}", self._handle)
        # A request whose client has gone is over here, too.
        runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=0.5, handler_cancellation=True
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return runner

    async def _stop(self, runner: web.AppRunner) -> None:
        self._refuses = True
        await runner.cleanup()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is None:
            return web.Response()
        self._open.add(request.transport)
        try:
            return await self._pass(request)
        finally:
            self._open.discard(request.transport)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        watches = request.query.get("watch") in {"1", "true"}
        passing = Passing("WATCH" if watches else request.method, request.path)
        if self._refuses:
            return self._close(request)
        self.passed.append(passing)
        rule = next((one for one in self.rules if one.takes(passing)), None)
        fault = None if rule is None else rule.fault
        if isinstance(fault, int):
            return _refusal(fault)
        if fault is Fault.REFUSED:
            return self._end(request, rule, passing)
        if fault is Fault.HANGS:
            await asyncio.sleep(_LONG)
        if fault is Fault.LATE:
            await asyncio.sleep(1.0)
        if watches:
            return await self._watch(request, fault)
        return await self._forward(request, rule, passing)

    def _end(self, request: web.Request, rule: Rule | None, passing: Passing) -> web.Response:
        if rule is not None and rule.then is not None:
            rule.then(passing)
        return self._close(request)

    def _close(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _forward(
        self, request: web.Request, rule: Rule | None, passing: Passing
    ) -> web.StreamResponse:
        async with self._ask(request) as answer:
            body = await answer.read()
            if rule is not None and rule.fault is Fault.ANSWER_LOST:
                return self._end(request, rule, passing)
            return web.Response(status=answer.status, body=body, headers=_headers(answer))

    async def _watch(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        if fault is Fault.GONE:
            await response.write(json.dumps(_TOO_OLD).encode() + b"\n")
            return response
        async with self._ask(request) as answer:
            with contextlib.suppress(ConnectionError):
                await self._lines(answer, response, fault)
        return response

    async def _lines(
        self, answer: aiohttp.ClientResponse, response: web.StreamResponse, fault: Fault | None
    ) -> None:
        pending = b""
        async for chunk in answer.content.iter_any():
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if fault is Fault.SILENT:
                    continue
                if fault is Fault.LAGS:
                    await asyncio.sleep(1.0)
                await response.write(line + b"\n")
                if fault is Fault.TWICE:
                    await response.write(line + b"\n")
                if fault is Fault.CUT:
                    return

    @contextlib.asynccontextmanager
    async def _ask(self, request: web.Request) -> Any:
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _HOP
        }
        async with self._client.request(
            request.method,
            f"{self._server}{request.path_qs}",
            headers=headers,
            data=await request.read() or None,
            allow_redirects=False,
        ) as answer:
            yield answer


_TOO_OLD: Final = {
    "type": "ERROR",
    "object": {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version",
        "reason": "Expired",
        "code": 410,
    },
}


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}


def _refusal(code: int) -> web.Response:
    """An answer as the API server words its own."""
    reasons = {401: "Unauthorized", 409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "broken on purpose",
        "reason": reasons.get(code, "ServiceUnavailable"),
        "code": code,
    }
    headers = {"Retry-After": "1"} if code in {429, 503} else {}
    return web.json_response(document, status=code, headers=headers)


def in_front_of(kubeconfig: Path) -> Breaker:
    """Return a proxy in front of the server of a kubeconfig, not running yet."""
    import base64

    import yaml

    document = yaml.safe_load(kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    data = cluster.get("certificate-authority-data")
    path = cluster.get("certificate-authority")
    authority = base64.b64decode(data) if data else (kubeconfig.parent / path).read_bytes()
    return Breaker(cluster["server"], authority)
