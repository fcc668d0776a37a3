"""Who is measured: each operator as a process, with a user of its own at the API server."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_KIBIBYTE: Final = 1024
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Contender:
    """An operator that can be started for one namespace.

    Attributes:
        name: for the table.
        user: its name in the audit log.
        kubeconfig: how it logs in.
        command: from the namespace and the port of its health endpoint to its command line.
        path: of its health endpoint.
    """

    name: str
    user: str
    kubeconfig: Path
    command: Callable[[str, int], tuple[str, ...]]
    path: str

    @contextlib.contextmanager
    def running(self, namespace: str, port: int, log: Path) -> Iterator[Process]:
        """Run it while the block runs.

        Args:
            namespace: the only one that it looks after.
            port: a free one, for its health endpoint.
            log: takes what it says.

        Raises:
            BenchmarkError: it did not become ready.
        """
        began = time.monotonic()
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.command(namespace, port),
                env={"PATH": os.environ["PATH"], "KUBECONFIG": str(self.kubeconfig)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            url = f"http://127.0.0.1:{port}{self.path}"
            while not _answers(url):
                if process.poll() is not None or time.monotonic() - began > _START_SECONDS:
                    lines = log.read_text(errors="replace").splitlines() or ["nothing"]
                    raise BenchmarkError(f"{self.name} did not become ready; it said {lines[-1]}")
                time.sleep(_LOOK_SECONDS)
            yield Process(process.pid, time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ours(user: str, kubeconfig: Path, *arguments: str) -> Contender:
    """Return this project's operator, started with these arguments besides."""
    program = str(Path(sys.executable).with_name("schema-operator"))
    return Contender(
        "schema-operator",
        user,
        kubeconfig,
        lambda namespace, port: (
            *(program, "run", f"--kubeconfig={kubeconfig}", f"--namespace={namespace}"),
            # The other one knows no bound.
            *("--maximum-runs=10000", f"--health-listen=127.0.0.1:{port}", *arguments),
        ),
        "/readyz",
    )


def textbook(user: str, kubeconfig: Path) -> Contender:
    """Return the operator as tutorials write them."""
    program = str(Path(sys.executable).with_name("kopf"))
    return Contender(
        "textbook operator",
        user,
        kubeconfig,
        lambda namespace, port: (
            *(program, "run", "--standalone", f"--namespace={namespace}"),
            f"--liveness=http://127.0.0.1:{port}/healthz",
            *("-m", "local_benchmark.textbook_operator"),
        ),
        "/healthz",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """A running operator.

    Attributes:
        pid: its process.
        start_seconds: from its start until it called itself ready.
    """

    pid: int
    start_seconds: float

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        user, system = fields[11:13]
        return (int(user) + int(system)) / _TICKS

    def peak(self) -> int:
        """Bytes of memory at the peak."""
        return self._status("VmHWM:")

    def memory(self) -> int:
        """Bytes of memory that it has now."""
        return self._status("VmRSS:")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * _KIBIBYTE
        raise BenchmarkError("the kernel does not say how much memory a process has")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except (urllib.error.URLError, OSError):
        return False
