"""Between Orca and a Docker engine that is older than the one it was written for.

Orca names version 1.47 of the engine's interface in each request and asks for
no other; an engine before Docker 27 refuses that. What Orca uses is the same in
the versions before, so the number alone is changed on the way.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPOKEN: Final = "1.47"
"""The version that Orca names."""

_CHUNK = 1 << 16


class OlderEngine:
    """A socket that passes everything on, with another version in it.

    Args:
        socket_path: where it listens.
        engine: the engine's own socket.
        version: that the engine knows, as long as the one that Orca names.
    """

    def __init__(self, socket_path: Path, engine: Path, version: str) -> None:
        if len(version) != len(SPOKEN):
            raise ValueError(version)  # lengths in the request's head would be wrong
        self._engine = str(engine)
        self._names = f" /v{SPOKEN}/".encode(), f" /v{version}/".encode()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(socket_path))
        self._listener.listen(64)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def close(self) -> None:
        """End all connections, and take no further one."""
        for each in (self._listener, *self._open.copy()):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads.copy():
            thread.join()
        self._listener.close()

    def _begin(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()]
        thread.start()
        self._threads.append(thread)
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(self._engine)
            except OSError:
                return
            pair = {client, server}
            self._open |= pair
            answers = threading.Thread(target=_pass_on, args=(server, client, None), daemon=True)
            answers.start()
            _pass_on(client, server, self._names)
            answers.join()
            self._open -= pair


def _pass_on(
    source: socket.socket, target: socket.socket, names: tuple[bytes, bytes] | None
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            # A request's line is sent in one piece with its head, and bodies hold no such word.
            target.sendall(data.replace(*names) if names else data)
    # Half of a connection may end while the other still speaks.
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
