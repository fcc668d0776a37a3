"""The process that owns a cluster's others, and outlives the command that started it.

It starts them in order, ties them to its own life, and ends them when it is
told to, when one of the control plane ends by itself, or when the process that
the cluster was started for has gone: a test run that is killed leaves nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from local_kubernetes import server
from local_kubernetes.control_plane import Component
from local_kubernetes.folders import Folder, State
from local_kubernetes.processes import Identity, dies_with_parent

NODE_GRACE_SECONDS: Final = 10.0
"""The node ends its pods and removes its Node; then it is killed."""

_READINESS_SECONDS: Final = 0.05
"""How often the API server is asked whether it serves yet."""

_LOOK_SECONDS: Final = 5.0
"""How often it looks around without a signal; children and owners wake it anyway."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What a supervisor is told, through a file.

    Attributes:
        server: the address of the API server.
        components: what to start, in order; the first that needs the server
            waits for it, and so do those after it.
        owner: the process that the cluster lives for; None: until it is told.
    """

    server: str
    components: list[Component]
    owner: Identity | None

    def write(self, path: Path) -> None:
        """Writes it.

        Args:
            path: the file.
        """
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Reads it.

        Args:
            path: the file.
        """
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        owner = document["owner"]
        return cls(
            document["server"],
            [Component.read(each) for each in document["components"]],
            None if owner is None else Identity.read(owner),
        )


class Supervisor:
    """Runs a plan."""

    def __init__(self, folder: Folder, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False
        # A signal's handler alone does not end a wait, a readable pipe does.
        self._woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self) -> int:
        """Starts, waits, ends.

        Returns:
            The exit code: 1 if a component ended by itself.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it reaches the pipe
        owner = self._plan.owner
        handle: int | None = None
        if owner is not None:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(owner.pid)
            if handle is None or not owner.alive():
                return 0
        failed = None
        self._write_state()
        try:
            for component in self._plan.components:
                if component.needs_server:
                    failed = self._wait_for_server(handle)
                if failed or self._stopping:
                    break
                self._start(component)
            self._write_state()
            while not (failed or self._stopping):
                failed = self._ended()
                self._pause(handle, _LOOK_SECONDS)
        finally:
            self._end()
        # Nobody waits for the folder any more: it goes with its owner.
        if handle is not None and not failed:
            shutil.rmtree(self._folder.path, ignore_errors=True)
        if failed:
            print(f"{failed} ended by itself; see its log", file=sys.stderr, flush=True)
        return 1 if failed else 0

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _pause(self, owner: int | None, seconds: float) -> None:
        """Waits a moment; a signal, a child's or the owner's end cut it short."""
        watched = [self._woken] if owner is None else [self._woken, owner]
        ready = select.select(watched, [], [], seconds)[0]
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
        if owner in ready:
            self._stopping = True

    def _start(self, component: Component) -> None:
        with (self._folder.logs / f"{component.name}.log").open("ab") as log:
            self._running[component.name] = subprocess.Popen(
                component.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder.path,
                preexec_fn=dies_with_parent(),  # noqa: PLW1509 - one thread, nothing loaded in it
            )
        self._write_state()

    def _write_state(self) -> None:
        components = {name: Identity.of(each.pid) for name, each in self._running.items()}
        alive = {name: each for name, each in components.items() if each is not None}
        self._folder.write_state(State(self._plan.server, Identity.own(), alive))

    def _wait_for_server(self, owner: int | None) -> str | None:
        authority = self._folder.certificates / "ca.crt"
        while not self._stopping and not server.is_ready(self._plan.server, authority):
            if (failed := self._ended()) is not None:
                return failed
            self._pause(owner, _READINESS_SECONDS)
        return None

    def _ended(self) -> str | None:
        """The first component that ended by itself.

        A node may come and go: it is what tests kill.
        """
        for name, process in self._running.items():
            if process.poll() is not None and not name.startswith("node-"):
                return name
        return None

    def _end(self) -> None:
        """Ends the nodes in order, and the rest at once: its data goes too."""
        nodes = [each for name, each in self._running.items() if name.startswith("node-")]
        for process in nodes:
            process.terminate()
        deadline = time.monotonic() + NODE_GRACE_SECONDS
        for process in nodes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self._running.values():
            process.kill()
            process.wait()


def main(arguments: list[str]) -> int:
    """Leaves the caller's session, then supervises.

    Args:
        arguments: the cluster's folder.

    Returns:
        The exit code.
    """
    # The caller waits for the first process only; the second has no parent that
    # could forget to collect it.
    if os.fork():
        os._exit(0)
    os.setsid()
    folder = Folder(Path(arguments[0]))
    return Supervisor(folder, Plan.read(folder.plan)).run()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
