"""A proxy in front of PostgreSQL that stops at a chosen round trip, or cuts the line."""

from __future__ import annotations

import contextlib
import enum
import re
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tests.postgres_server import Database


class Moment(enum.Enum):
    """Where in a round trip the line stops."""

    BEFORE = "before the server has the request"
    AFTER = "after the server has answered, before the client knows"


class Proxy:
    """Passes everything on, until the request that was chosen.

    A request is what a client sends in one piece: the driver waits for the
    answer to each before it sends the next.

    Args:
        database: what is behind it.
        stop_at: the number of the request to stop at, from 1; None: never.
        moment: on which side of it.
    """

    def __init__(
        self, database: Database, *, stop_at: int | None = None, moment: Moment = Moment.BEFORE
    ) -> None:
        self.requests = 0
        self.stopped = threading.Event()
        self._stop_at = stop_at
        self._moment = moment
        self._cut = threading.Event()
        match = re.fullmatch(r"(.*@)([^:/]+):(\d+)(/.*)", database.url)
        assert match is not None
        self._server = match[2], int(match[3])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{match[1]}127.0.0.1:{self._listener.getsockname()[1]}{match[4]}"
        self._sockets: list[socket.socket] = [self._listener]
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection: both ends see it."""
        self._cut.set()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                return
            self._sockets += [client, server]
            for source, target, is_request in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._pass_on,
                    args=(source, target),
                    kwargs={"is_request": is_request},
                    daemon=True,
                ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, *, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_request:
                    with self._lock:
                        self.requests += 1
                        here = self.requests == self._stop_at
                    if here and self._moment is Moment.BEFORE:
                        self.stopped.set()
                        self._cut.wait()
                        return
                    target.sendall(data)
                elif (
                    self._moment is Moment.AFTER
                    and self._stop_at is not None
                    and self.requests >= self._stop_at
                ):
                    # The answer is here, so the server has done what was asked.
                    self.stopped.set()
                    self._cut.wait()
                    return
                else:
                    target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
