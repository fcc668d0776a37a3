"""One container, from waiting for what it needs to its last words."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import uuid
from typing import TYPE_CHECKING, Any, Final

from local_kubernetes.images import image_id
from local_kubernetes.node import states
from local_kubernetes.node.behaviour import Report
from local_kubernetes.node.client import ApiError, Backoff
from local_kubernetes.node.environment import UnresolvedError, expand
from local_kubernetes.node.files import Files
from local_kubernetes.node.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_kubernetes.images import Table
    from local_kubernetes.node.environment import Resolver
    from local_kubernetes.node.process import Sessions

SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MESSAGE_BYTES: Final = 4096
"""What a kubelet keeps of a container's termination message."""

POD_MESSAGE_BYTES: Final = 12 * 1024
"""What it keeps of all of a pod's together."""

MINIMUM_GRACE_SECONDS: Final = 2.0
"""However little time is asked for, a kubelet gives a container this much."""

_QUICK_RETRIES: Final = 8
_IMAGE_WORD_SECONDS: Final = 1.0
_LOCATE_MESSAGE: Final = (
    "The container could not be located when the pod was deleted.  The container used to be Running"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node gives to all of its containers.

    Attributes:
        images: what an image stands for.
        sessions: who is told of sessions.
        retry_seconds: how long after a missing Secret is looked for again.
        image_backoff_seconds: how long after an unknown image is looked up again, at first.
    """

    images: Table
    sessions: Sessions
    retry_seconds: float
    image_backoff_seconds: float


class Container:
    """Runs once: pods with another restart policy are refused before they come here.

    Attributes:
        name: in the pod.
        state: how it stands.
        started: set when it is running or will never be.
        report: what is told of its end; the truth unless a test asked otherwise.
    """

    def __init__(
        self,
        specification: dict[str, Any],
        folder: Path,
        surroundings: Surroundings,
        changed: Callable[[], None],
        waiting: str,
    ) -> None:
        self.name: str = specification["name"]
        self.state: states.State = states.Waiting(waiting)
        self.started = asyncio.Event()
        self.report = Report.TRUE
        self._specification = specification
        self._files = Files(folder)
        self._surroundings = surroundings
        self._changed = changed
        self._id = ""
        self._process: Process | None = None
        self._stop = asyncio.Event()
        self._killer: asyncio.TimerHandle | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it ended with 0."""
        return isinstance(self.state, states.Terminated) and self.state.exit_code == 0

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return isinstance(self.state, states.Running)

    @property
    def began(self) -> bool:
        """Whether it ever ran, or was tried to."""
        return not isinstance(self.state, states.Waiting)

    def document(self) -> dict[str, Any]:
        """Its entry in the pod's status."""
        state = self._told()
        running = isinstance(state, states.Running)
        known = bool(self._id)
        return {
            "name": self.name,
            "image": self._specification["image"],
            "imageID": image_id(self._specification["image"]) if known else "",
            "containerID": self._id,
            "ready": running,
            "started": running,
            "restartCount": 0,
            "state": state.document(),
        }

    def restore(self, status: dict[str, Any] | None) -> None:
        """Takes up what an earlier life of this node left.

        Args:
            status: its entry in the pod's status.
        """
        ended = ((status or {}).get("state") or {}).get("terminated")
        if ended is not None:
            self._id = (status or {}).get("containerID", "")
            self.state = states.Terminated.read(ended)
        elif self._files.mark.exists():
            self._id = self._files.mark.read_text(encoding="utf-8")
            self.state = states.Terminated.unknown(_LOCATE_MESSAGE)
        if self.began:
            self.started.set()

    async def run(self, resolver: Callable[[], Resolver], message_bytes: int) -> None:
        """Waits for image and environment, runs the command, keeps how it ended.

        Args:
            resolver: makes a fresh one for each attempt.
            message_bytes: the most that is kept of the termination message.
        """
        try:
            prepared = await self._prepare(resolver)
            if prepared is None:
                return
            await self._execute(*prepared, message_bytes)
        except OSError as error:  # this node's own files: a full disk
            self._set(states.Terminated(states.START_ERROR_EXIT_CODE, "StartError", str(error)))
        finally:
            self.started.set()

    def stop(self, grace_seconds: float) -> None:
        """Ends it: SIGTERM now, SIGKILL later; a shorter grace replaces a longer one.

        Args:
            grace_seconds: the time between the two.
        """
        first = not self._stop.is_set()
        self._stop.set()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(grace_seconds, MINIMUM_GRACE_SECONDS)
        if self._killer is None or deadline < self._killer.when():
            if self._killer is not None:
                self._killer.cancel()
            self._killer = loop.call_at(deadline, self._signal, signal.SIGKILL)
        if first:
            self._signal(signal.SIGTERM)

    def _told(self) -> states.State:
        """Its state, or what stands in for the truth."""
        if isinstance(self.state, states.Terminated):
            match self.report:
                case Report.TRUE:
                    pass
                case Report.UNKNOWN:
                    return states.Terminated.unknown()
                case Report.STUCK | Report.LOST:
                    return states.Running(self.state.started or states.now())
        return self.state

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.signal(number)

    def _set(self, state: states.State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    async def _prepare(
        self, resolver: Callable[[], Resolver]
    ) -> tuple[tuple[str, ...], dict[str, str]] | None:
        """Command and environment; None if it is stopped before they are there."""
        entry_point = await self._pull()
        if entry_point is None:
            return None
        self._files.create()
        given = {
            "PATH": SEARCH_PATH,
            "HOME": str(self._files.home),
            "TMPDIR": str(self._files.temporary),
        }
        quick = Backoff(0.02, 0.5)
        silent = _QUICK_RETRIES
        while not self._stop.is_set():
            try:
                environment = await resolver().resolve(self._specification, given)
                command = self._command(entry_point, environment)
                if command:
                    return command, self._with_own_files(environment)
                self._set(states.Waiting("CreateContainerError", "no command specified"))
            except UnresolvedError as error:
                self._set(states.Waiting("CreateContainerConfigError", str(error)))
            except ApiError as error:
                # A node may read a Secret only once the server has seen the pod bound to it.
                if silent > 0:
                    silent -= 1
                    await self._pause(quick.step())
                    continue
                self._set(states.Waiting("CreateContainerConfigError", str(error)))
            await self._pause(self._surroundings.retry_seconds)
        return None

    async def _pull(self) -> tuple[str, ...] | None:
        image = self._specification["image"]
        backoff = Backoff(self._surroundings.image_backoff_seconds, 300.0)
        while not self._stop.is_set():
            entry_point = self._surroundings.images.entry_point(image)
            if entry_point is not None:
                return entry_point
            if self._specification.get("imagePullPolicy") == "Never":
                words = f'Container image "{image}" is not present with pull policy of Never'
                self._set(states.Waiting("ErrImageNeverPull", words))
                await self._pause(backoff.step())
                continue
            words = f'failed to pull and unpack image "{image}": not found'
            delay = backoff.step()
            self._set(states.Waiting("ErrImagePull", words))
            await self._pause(min(_IMAGE_WORD_SECONDS, delay))
            words = f'Back-off pulling image "{image}": ErrImagePull: {words}'
            self._set(states.Waiting("ImagePullBackOff", words))
            await self._pause(max(0.0, delay - _IMAGE_WORD_SECONDS))
        return None

    def _command(
        self, entry_point: tuple[str, ...], environment: dict[str, str]
    ) -> tuple[str, ...]:
        command = self._specification.get("command") or entry_point
        words = [*command, *self._specification.get("args", [])]
        return tuple(
            self._files.instead_of(expand(word, environment), self._specification) for word in words
        )

    def _with_own_files(self, environment: dict[str, str]) -> dict[str, str]:
        return {
            name: self._files.instead_of(value, self._specification)
            for name, value in environment.items()
        }

    async def _execute(
        self, command: tuple[str, ...], environment: dict[str, str], message_bytes: int
    ) -> None:
        self._id = f"process://{uuid.uuid4().hex}"
        self._files.mark.write_text(self._id, encoding="utf-8")
        started = states.now()
        try:
            self._process = Process.start(
                command,
                environment,
                self._files.folder,
                self._files.log,
                self._surroundings.sessions,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._set(
                states.Terminated(
                    states.START_ERROR_EXIT_CODE,
                    "StartError",
                    f'failed to start the process: exec: "{command[0]}": {reason}',
                    started=started,
                    finished=states.now(),
                    container_id=self._id,
                )
            )
            return
        self._set(states.Running(started))
        self.started.set()
        code = await self._process.wait()
        if self._killer is not None:
            self._killer.cancel()
        number = max(0, -code)
        exit_code = 128 + number if number else code
        self._set(
            states.Terminated(
                exit_code,
                "Error" if exit_code else "Completed",
                self._files.last_words(self._specification, exit_code, message_bytes),
                signal=number,
                started=started,
                finished=states.now(),
                container_id=self._id,
            )
        )

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
