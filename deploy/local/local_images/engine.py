"""A Docker engine: the one that answers, or one of our own that leaves nothing behind."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from local_images import leftovers
from local_images.errors import EngineError
from local_kubernetes import network as networks
from local_kubernetes.processes import dies_with_parent
from local_postgres.account import Account
from local_postgres.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from local_kubernetes.progress import Progress

_PRIVATELY: Final = 'mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd && exec "$@"'
"""Shims put their sockets there, whatever they are told, and a killed one leaves its own."""

_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


class Engine:
    """A Docker engine that answers.

    As a context manager it is ended at the end, with everything that it
    started, if it is ours; also when this process is killed.

    Attributes:
        address: what ``DOCKER_HOST`` has to be to reach it.
        ours: whether it was started here.
    """

    def __init__(self, address: str, process: _Process | None = None) -> None:
        self.address = address
        self.ours = process is not None
        self._process = process

    @classmethod
    def find_or_start(cls, progress: Progress) -> Engine:
        """Use the engine that answers where Docker's own client looks, else start one.

        Raises:
            EngineError: none answers and none can be started; the text says why.
        """
        found = cls.find()
        if found is not None:
            return found
        with progress.step("starting a Docker engine"):
            return cls.start()

    @classmethod
    def find(cls) -> Engine | None:
        """Return the engine that answers where Docker's own client looks, if one does."""
        address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        engine = cls(address)
        return engine if shutil.which("docker") and engine.answers() else None

    @classmethod
    def start(cls, options: Sequence[str] = (), *, network: bool = False) -> Engine:
        """Start an engine of one's own.

        Args:
            options: of dockerd, in place of those that say which network there is.
            network: containers have a network of their own, and ports of theirs can be published
                on this machine; otherwise they have the machine's, or none.

        Raises:
            EngineError: it can't be started here; the text says why.
            LocalKubernetesError: the network can't be made.
        """
        if os.geteuid() != 0:
            raise EngineError(
                "no Docker engine answers, and only root can start one: name one by DOCKER_HOST"
            )
        missing = [name for name in ("dockerd", "docker", "unshare") if not _which(name)]
        if missing:
            raise EngineError(
                f"no Docker engine answers, and {missing[0]} is not there to start one:"
                " apt-get install docker.io"
            )
        process = _Process.start(options, network=network)
        engine = cls(process.address, process)
        try:
            process.wait_for(engine)
        except BaseException:
            engine.stop()
            raise
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End an engine of ours and delete all that it had; nothing else is touched."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def answers(self) -> bool:
        """Return whether it can be used now."""
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        return self._run(command).returncode == 0

    def docker(
        self,
        *arguments: str | Path,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run Docker's client.

        Args:
            arguments: after the program's name.
            stdin: what it reads.
            environment: what is added to this process's own.

        Returns:
            Its standard output.

        Raises:
            EngineError: it failed; with its own last line.
        """
        command = ["docker", *map(str, arguments)]
        ended = self._run(command, stdin, environment)
        if ended.returncode:
            said = (ended.stderr.strip() or ended.stdout.strip()).decode(errors="replace")
            last = said.splitlines()[-1] if said else f"exit code {ended.returncode}"
            raise EngineError(f"docker {arguments[0]}: {last}")
        return ended.stdout.decode(errors="replace")

    def run(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a new container, which is removed when it has ended.

        Args:
            arguments: of ``docker run``: options, the image, its arguments.
            environment: what is added to this process's own, for ``--env NAME``.

        Returns:
            What it said, and its exit code.
        """
        command = ["docker", "run", "--rm", "--network=host", *map(str, arguments)]
        ended = self._run(command, None, environment)
        return subprocess.CompletedProcess(
            command,
            ended.returncode,
            ended.stdout.decode(errors="replace"),
            ended.stderr.decode(errors="replace"),
        )

    def _run(
        self,
        command: Sequence[str],
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command,
            input=stdin if stdin is not None else b"",
            env={**os.environ, **(environment or {}), "DOCKER_HOST": self.address},
            capture_output=True,
            check=False,
        )


class _Process:
    """dockerd in namespaces of its own, which the kernel empties when its first process ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self._group = f"local-images-{secrets.token_hex(4)}"
        self._link = f"engine{secrets.token_hex(4)}"
        lease = Lease.take(folder / "lease")
        if lease is None:  # a folder that nobody else knows of
            raise AssertionError(folder)
        self._lease = lease
        self._guard: int | None = None
        self._popen: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, options: Sequence[str], *, network: bool) -> Self:
        process = cls(Path(tempfile.mkdtemp(prefix="local-images-engine-")))
        folder = process.folder
        # Removes what is left when this process has ended, whatever ended it.
        process._guard = process._lease.guard(
            [sys.executable, "-m", leftovers.__name__, folder, process._group, process._link],
            account=Account(),
            folder=folder,
        )
        if network:
            process._make_network()
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["sh", "-c", _PRIVATELY, "sh"]
        command += ["dockerd", f"--host={process.address}", leftovers.mark(folder)]
        command += [f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
        command += [f"--cgroup-parent=/{process._group}"]
        bridge = f"--bridge={process._link if network else 'none'}"
        command += options or ["--iptables=false", "--ip-masq=false", bridge]
        with (folder / "log").open("wb") as log:
            process._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": _PATH},
                start_new_session=True,
                preexec_fn=dies_with_parent(),  # noqa: PLW1509 - nothing is loaded in it
            )
        return process

    def _make_network(self) -> None:
        number = networks.free()
        networks.ip("link", "add", self._link, "type", "bridge")
        networks.ip("address", "add", f"{networks.BLOCK}.{number}.1/24", "dev", self._link)
        networks.ip("link", "set", self._link, "up")

    def wait_for(self, engine: Engine) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not engine.answers():
            ended = self._popen is None or self._popen.poll() is not None
            if ended or time.monotonic() > deadline:
                raise EngineError(f"dockerd did not start: {self._last_line()}")
            time.sleep(_POLL_SECONDS)

    def end(self) -> None:
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
        self._lease.release()
        if self._guard is not None:
            os.waitpid(self._guard, 0)

    def _last_line(self) -> str:
        lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"


def _which(name: str) -> str | None:
    return shutil.which(name, path=_PATH)
