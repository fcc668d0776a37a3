"""The endpoint for probes and metrics: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_REQUEST_SECONDS: Final = 5.0
_LONGEST_LINE: Final = 8192


class Health:
    """A small HTTP server: three paths, GET only, one request a connection.

    ``/healthz`` answers as long as the event loop turns; ``/readyz`` answers 200
    once everything that exists has been seen and the operator acts on it, and as
    long as it still hears of what changes.

    Attributes:
        ready: whether the operator acts.
        hears: is asked at each probe whether what is known is up to date.
        port: where it listens, once started.
    """

    def __init__(self, metrics: Callable[[], bytes]) -> None:
        self.ready = False
        self.hears: Callable[[], bool] = lambda: True
        self.port = 0
        self._metrics = metrics
        self._server: asyncio.Server | None = None

    async def start(self, address: str, port: int) -> None:
        """Listen; port 0 takes any that is free.

        Raises:
            OSError: the address can't be had.
        """
        self._server = await asyncio.start_server(self._serve, address, port, limit=_LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                request = await reader.readline()
                while (await reader.readline()).strip():
                    pass
                writer.write(self._answer(request))
                await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
            pass  # whoever asked is gone, or did not speak HTTP
        finally:
            writer.close()

    def _answer(self, request: bytes) -> bytes:
        parts = request.split()
        path = parts[1].partition(b"?")[0] if len(parts) > 1 and parts[0] == b"GET" else b""
        match path:
            case b"/healthz":
                return _response(200, b"ok\n")
            case b"/readyz":
                return self._readiness()
            case b"/metrics":
                return _response(200, self._metrics(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                return _response(404, b"not found\n")

    def _readiness(self) -> bytes:
        if not self.ready:
            return _response(503, b"not yet\n")
        return _response(200, b"ok\n") if self.hears() else _response(503, b"a watch is lost\n")


_PHRASES: Final = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}


def _response(status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
