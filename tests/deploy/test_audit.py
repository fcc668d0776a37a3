"""The audit says what is known, and never that nothing is when nobody was asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parents[2] / "deploy" / "release" / "audit.py"

KNOWN = {
    "id": "PYSEC-2026-1",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "summary": "made up",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "mako"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1.0"}]},
            ],
        }
    ],
}


class _Advisories(BaseHTTPRequestHandler):
    """Answers as OSV's query does."""

    vulnerable = frozenset[str]()

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = [KNOWN] if asked["package"]["name"] in self.vulnerable else []
        body = json.dumps({"vulns": found} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def advisories() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Advisories) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def _audit(url: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROGRAM, "--osv-url", url],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )


def test_nothing_known_is_said_with_the_number_of_packages(advisories: str, tmp_path: Path) -> None:
    ended = _audit(advisories, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith(" packages, nothing known against them\n")
    assert int(ended.stdout.split()[0]) > 40


def test_what_is_known_fails_with_its_name_and_its_remedy(
    advisories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Advisories, "vulnerable", frozenset({"mako"}))
    ended = _audit(advisories, tmp_path)
    assert ended.returncode == 1
    assert "PYSEC-2026-1, mended in 99.1.0" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1


def test_without_an_answer_nothing_was_audited(tmp_path: Path) -> None:
    ended = _audit("http://127.0.0.1:9/v1/query", tmp_path)
    assert ended.returncode == 3
    assert ended.stderr == "audit: no advisory source answered; nothing was audited\n"
    assert ended.stdout == ""
