"""Staying after success, for orchestrators that restart whatever ends."""

from __future__ import annotations

import http.server
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class _Answer(http.server.BaseHTTPRequestHandler):
    """Answers ``GET /readyz``: the migration has succeeded, or this would not run."""

    def do_GET(self) -> None:
        found = self.path == "/readyz"
        body = b"ok\n" if found else b"not found\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: probes come every few seconds."""


def hold(listen: tuple[str, int] | None) -> None:
    """Return at SIGTERM or SIGINT.

    Args:
        listen: address and number to answer ``/readyz`` on, None for nowhere.
    """
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    server = None if listen is None else http.server.ThreadingHTTPServer(listen, _Answer)
    if server is not None:
        threading.Thread(target=server.serve_forever, name="readyz", daemon=True).start()
    ended.wait()
    if server is not None:
        server.shutdown()
