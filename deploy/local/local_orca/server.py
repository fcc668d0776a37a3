"""A server of Orca, in a folder of its own, on an engine that is there."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import time
import tomllib
from typing import TYPE_CHECKING, Final, Self

from local_kubernetes.processes import dies_with_parent
from local_orca.errors import ServerError
from local_orca.older_engine import SPOKEN, OlderEngine

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05


class Orca:
    """One server and the command line that speaks to it.

    Its proxy takes port 80 of every address, so it belongs into a network of
    its own: :func:`local_orca.network.own`.

    Attributes:
        folder: the working folder, with ``cluster.toml`` and ``services/``.
    """

    def __init__(self, program: Path, folder: Path, engine: Path, engine_version: str) -> None:
        self.folder = folder / "work"
        self._program = program
        self._home = folder / "home"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._older: OlderEngine | None = None
        self._engine = engine
        self._home.mkdir(mode=0o700, parents=True)
        self.folder.mkdir()
        if _numbers(engine_version) < _numbers(SPOKEN):
            self._engine = folder / "docker.sock"
            self._older = OlderEngine(self._engine, engine, engine_version)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the server; containers run on, they are the engine's."""
        self.stop()
        if self._older is not None:
            self._older.close()

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ServerError: it ended, or does not answer.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "server", "--config", "cluster.toml"],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(),  # noqa: PLW1509 - nothing is loaded in it
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"Orca's server did not start: {self.log()[-300:]}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End the server, kindly first."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self._process.kill()
        self._process.wait()
        self._process = None

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call ``orca`` in the working folder.

        Args:
            arguments: after the program's name.
            check: whether a failure is an error.

        Raises:
            ServerError: it failed; with what it said.
        """
        process = self.begin(*arguments)
        out, err = process.communicate()
        ended = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        if check and ended.returncode:
            raise ServerError(f"orca {arguments[0]}: {ended.stdout}{ended.stderr}")
        return ended

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Call ``orca`` in the working folder, and do not wait for its end.

        Args:
            arguments: after the program's name.
        """
        return subprocess.Popen(
            [self._program, "--api", self._address(), *arguments],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def take(self, source: Path) -> None:
        """Copy a cluster's file, or a project's folder below ``services/``, to where Orca looks.

        Args:
            source: a file or a folder.
        """
        if source.is_dir():
            shutil.copytree(source, self.folder / "services" / source.name, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, self.folder / source.name)

    def log(self) -> str:
        """Return what the server has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _environment(self) -> dict[str, str]:
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "HOME": str(self._home), "DOCKER_HOST": f"unix://{self._engine}"}

    def _port(self) -> int:
        text = (self.folder / "cluster.toml").read_text(encoding="utf-8")
        return int(tomllib.loads(text)["cluster"]["api_port"])

    def _address(self) -> str:
        return f"http://127.0.0.1:{self._port()}"

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=2)
        try:
            connection.request("GET", "/api/v1/health")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
