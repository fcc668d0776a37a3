"""Requests and streams over HTTP, against a small server that does what an API server may do."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from schema_operator import errors
from schema_operator.api import JOBS, Client
from schema_operator.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, token: str = "old") -> AsyncIterator[Transport]:
    """A transport to a server that answers everything by one function."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    def configuration(secret: str) -> client.Configuration:
        made = client.Configuration(host=f"http://127.0.0.1:{port}")
        made.api_key = {"BearerToken": f"Bearer {secret}"}
        return made

    async def log_in() -> client.Configuration:
        return configuration("new")

    transport = Transport(configuration(token), log_in=log_in)
    try:
        yield transport
    finally:
        await transport.close()
        await runner.cleanup()


async def lines(transport: Transport, silence: float = 5.0) -> list[bytes]:
    return [line async for line in transport.lines("/watch?watch=true", silence=silence)]


def streaming(*chunks: bytes, stay: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if stay:
            await asyncio.Event().wait()
        return response

    return handler


def test_lines_are_cut_where_they_end_however_they_arrive() -> None:
    long = b'{"a": "' + b"x" * 300_000 + b'"}'

    async def work() -> list[bytes]:
        async with serving(
            streaming(b'{"n', b'": 1}\n{"n": 2}\n', long, b"\n", b"half")
        ) as transport:
            return await lines(transport)

    assert asyncio.run(work()) == [b'{"n": 1}', b'{"n": 2}', long]


def test_a_silent_stream_is_given_up() -> None:
    async def work() -> None:
        async with serving(streaming(b"{}\n", stay=True)) as transport:
            with pytest.raises(errors.UnavailableError, match="broke off"):
                await lines(transport, silence=0.2)

    asyncio.run(work())


def test_a_refused_stream_says_why_and_has_not_begun() -> None:
    async def gone(_: web.Request) -> web.Response:
        return web.json_response({"message": "too old resource version"}, status=410)

    async def work() -> None:
        began: list[None] = []
        async with serving(gone) as transport:
            stream = transport.lines("/watch", silence=5, began=lambda: began.append(None))
            with pytest.raises(errors.ApiError, match="too old") as caught:
                await anext(stream)
        assert caught.value.status == 410
        assert began == []

    asyncio.run(work())


def test_a_refused_token_is_renewed_for_the_next_request() -> None:
    tokens: list[str] = []

    async def picky(request: web.Request) -> web.Response:
        tokens.append(request.headers["Authorization"])
        good = tokens[-1] == "Bearer new"
        return web.json_response({"message": "who?"}, status=200 if good else 401)

    async def work() -> None:
        async with serving(picky) as transport:
            with pytest.raises(errors.DeniedError):
                await transport.request("GET", "jobs", "/jobs")
            await transport.request("GET", "jobs", "/jobs")
            assert await lines(transport) == []

    asyncio.run(work())
    assert tokens == ["Bearer old", "Bearer new", "Bearer new"]


def test_no_server_is_no_answer() -> None:
    async def work() -> None:
        transport = Transport(client.Configuration(host="http://127.0.0.1:1"))
        with pytest.raises(errors.UnavailableError, match="no answer"):
            await transport.request("GET", "jobs", "/jobs")
        with pytest.raises(errors.UnavailableError, match="broke off"):
            await lines(transport)
        await transport.close()

    asyncio.run(work())


def test_a_watch_asks_for_ours_alone_and_reads_each_event() -> None:
    asked: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        return await streaming(b'{"type": "BOOKMARK", "object": {}}\n')(request)

    async def work() -> list[dict[str, Any]]:
        async with serving(handler) as transport:
            events = Client(transport).watch(JOBS, "shops", "7", (60, 5.0), lambda: None)
            return [event async for event in events]

    assert asyncio.run(work()) == [{"type": "BOOKMARK", "object": {}}]
    assert asked == [
        {
            "labelSelector": "migrations.tenant-registry.dev/database",
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "7",
            "timeoutSeconds": "60",
        }
    ]


def test_an_event_that_is_no_json_breaks_the_watch_off() -> None:
    async def work() -> None:
        async with serving(streaming(b'{"type": \n')) as transport:
            events = Client(transport).watch(JOBS, None, "7", (60, 5.0), lambda: None)
            with pytest.raises(errors.UnavailableError, match="no JSON"):
                await anext(events)
            await events.aclose()

    asyncio.run(work())
