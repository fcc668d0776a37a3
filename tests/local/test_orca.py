"""Orca's program is found or its want is said; and what lets it speak to an older Docker engine."""

from __future__ import annotations

import http.client
import http.server
import os
import socket
import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

from local_kubernetes.progress import Progress
from local_orca import network, program
from local_orca.errors import BuildError, NotBuiltError
from local_orca.older_engine import OlderEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_what_is_not_built_is_said_with_the_command_that_builds_it(tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match="'python -m local_orca build' builds it"):
        program.locate({"XDG_CACHE_HOME": str(tmp_path)})


def test_a_program_that_is_named_is_taken_and_none_is_built(tmp_path: Path) -> None:
    named = tmp_path / "orca"
    environment = {program.VARIABLE: str(named), "XDG_CACHE_HOME": str(tmp_path)}
    with pytest.raises(NotBuiltError, match=r"names .*orca, which can't be run"):
        program.locate(environment)
    named.touch(mode=0o755)
    assert program.locate(environment) == named
    assert program.build(Progress(), 1, environment) == named


def test_without_cargo_it_says_what_to_install(tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PATH": str(tmp_path)}
    with pytest.raises(BuildError, match="install Rust"):
        program.build(Progress(), 1, environment)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")
def test_a_network_of_ones_own_has_nothing_in_it_and_is_left_again() -> None:
    before = socket.if_nameindex()
    with socket.create_server(("127.0.0.1", 0)) as outside, network.own():
        port = outside.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        with socket.create_server(("127.0.0.1", port)):  # nobody has it in here
            socket.create_connection(("127.0.0.1", port), 5).close()
    assert socket.if_nameindex() == before


class _Engine(http.server.BaseHTTPRequestHandler):
    """Answers with the path that it was asked for, and with the body."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        body = self.path.encode() + b"\n" + sent
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        return self.socket.accept()[0], ("local", 0)


class _Client(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Path]:
    with _Server(str(tmp_path / "engine"), _Engine) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        engine = OlderEngine(tmp_path / "older", tmp_path / "engine", "1.41")
        yield tmp_path / "older"
        engine.close()
        server.shutdown()


def test_an_older_engine_is_asked_in_its_own_version_again_and_again(older: Path) -> None:
    client = _Client(older)
    for name in ("first", "second"):
        client.request("POST", f"/v1.47/containers/{name}/start", body=b'{"a": "v1.47"}')
        answer = client.getresponse().read()
        assert answer == f'/v1.41/containers/{name}/start\n{{"a": "v1.47"}}'.encode()
    client.close()


def test_its_end_ends_what_is_open(tmp_path: Path) -> None:
    with _Server(str(tmp_path / "engine"), _Engine) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        engine = OlderEngine(tmp_path / "older", tmp_path / "engine", "1.41")
        client = _Client(tmp_path / "older")
        client.request("POST", "/v1.47/_ping", body=b"")
        client.getresponse().read()
        engine.close()
        server.shutdown()
    assert client.sock.recv(1) == b""
    client.close()
