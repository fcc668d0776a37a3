"""One pod: its containers in order, its deadline, its deletion, what is reported of it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

from local_kubernetes.node import states
from local_kubernetes.node.behaviour import Behaviour, Report
from local_kubernetes.node.client import STRATEGIC_MERGE, ApiError, Backoff
from local_kubernetes.node.container import MESSAGE_BYTES, POD_MESSAGE_BYTES, Container
from local_kubernetes.node.environment import Resolver
from local_kubernetes.node.podstatus import Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from local_kubernetes.node.client import Client
    from local_kubernetes.node.container import Surroundings

_TERMINAL: Final = ("Succeeded", "Failed")
_DEADLINE: Final = "Pod was active on the node longer than the specified deadline"
_UNLOCATED: Final = "The container could not be located when the pod was terminated"


class Pod:
    """Brings one pod from bound to gone.

    Attributes:
        uid: of the pod.
        settled: set when nothing of it runs, and the server knows as well as it can.
    """

    def __init__(
        self, pod: dict[str, Any], node: str, folder: Path, client: Client, around: Surroundings
    ) -> None:
        self.uid: str = pod["metadata"]["uid"]
        self._pod = pod
        self._node = node
        self._folder = folder
        self._client = client
        status = pod.get("status") or {}
        phase = status.get("phase")
        self._final: str = phase if phase in _TERMINAL else ""
        self._started = states.moment(status.get("startTime"))
        self._conditions = Conditions(status.get("conditions") or [])
        self._reason = ""
        self._message = ""
        self._behaviour = Behaviour()
        self.settled = asyncio.Event()
        self._changed = asyncio.Event()
        self._published: dict[str, Any] | None = None
        self._stopping = False
        self._gone = asyncio.Event()
        self._deleted = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None
        initial = self._specification.get("initContainers", [])
        waiting = "PodInitializing" if initial else "ContainerCreating"
        self._initial = self._containers(initial, around, "PodInitializing")
        self._main = self._containers(self._specification["containers"], around, waiting)
        self._sidecars = {each["name"] for each in initial if each.get("restartPolicy") == "Always"}

    async def run(self) -> None:
        """Everything, until the pod is gone from the API or this node ends."""
        if not self._final:
            self._restore()
            publisher = asyncio.create_task(self._publish_changes())
            try:
                await self._live()
            finally:
                publisher.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await publisher
            await self._publish()
        self.settled.set()
        await self._deleted.wait()
        await self._delete()
        # With a finalizer on it the object stays a while; until then it is ours.
        await self._gone.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def update(self, pod: dict[str, Any]) -> None:
        """Looks at a newer version of the object.

        Args:
            pod: the object.
        """
        self._pod = pod
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            self._deleted.set()
            self.stop(float(metadata.get("deletionGracePeriodSeconds") or 0))
        self._arm_deadline()

    def vanish(self) -> None:
        """The object is gone: whoever deleted it did not wait for us."""
        self._gone.set()
        self._deleted.set()
        self.stop(0.0)

    def stop(self, grace_seconds: float) -> None:
        """Ends all containers, and starts no more.

        Args:
            grace_seconds: between SIGTERM and SIGKILL.
        """
        self._stopping = True
        for container in (*self._initial, *self._main):
            container.stop(grace_seconds)

    @property
    def _phase(self) -> str:
        if self._final:
            return self._final
        return "Running" if any(each.began for each in self._main) else "Pending"

    @property
    def _specification(self) -> dict[str, Any]:
        specification: dict[str, Any] = self._pod["spec"]
        return specification

    def _containers(
        self, specifications: Sequence[dict[str, Any]], around: Surroundings, waiting: str
    ) -> list[Container]:
        return [
            Container(each, self._folder / each["name"], around, self._changed.set, waiting)
            for each in specifications
        ]

    def _restore(self) -> None:
        status = self._pod.get("status") or {}
        known = (status.get("containerStatuses") or []) + (
            status.get("initContainerStatuses") or []
        )
        by_name = {each["name"]: each for each in known}
        for container in (*self._initial, *self._main):
            container.restore(by_name.get(container.name))

    async def _live(self) -> None:
        if self._refused():
            return
        for container in self._main:
            container.report = self._behaviour.report
        if self._started is None:
            self._started = states.now()
        self._changed.set()
        self._arm_deadline()
        await self._pause(self._behaviour.start_delay)
        message_bytes = min(MESSAGE_BYTES, POD_MESSAGE_BYTES // len(self._main + self._initial))
        sidecars: list[asyncio.Task[None]] = []
        initialised = True
        for container in self._initial:
            if self._stopping or not initialised:
                break
            if container.name in self._sidecars:
                sidecars.append(asyncio.create_task(self._run(container, message_bytes)))
                await container.started.wait()
            else:
                await self._run(container, message_bytes)
                initialised = container.succeeded
        if initialised and not self._stopping:
            async with asyncio.TaskGroup() as group:
                for container in self._main:
                    group.create_task(self._run(container, message_bytes))
        for container in self._initial:
            container.stop(float(self._specification.get("terminationGracePeriodSeconds", 30)))
        await asyncio.gather(*sidecars)
        await self._end()

    async def _run(self, container: Container, message_bytes: int) -> None:
        if not container.began:
            await container.run(
                lambda: Resolver(self._client, self._pod, self._node), message_bytes
            )

    async def _end(self) -> None:
        """All processes have ended: what is said of it."""
        if self._deadline is not None:
            self._deadline.cancel()
        for container in self._main:
            # A kubelet says so of containers that never started, too.
            if not container.began and all(each.succeeded for each in self._initial):
                container.state = states.Terminated.unknown(_UNLOCATED)
        if self._behaviour.phase_delay:
            self._changed.set()
            await self._pause(self._behaviour.phase_delay)
        truth = self._behaviour.report is Report.TRUE
        ended_well = truth and not self._reason and all(each.succeeded for each in self._main)
        self._final = "Succeeded" if ended_well else "Failed"
        if self._behaviour.report is Report.LOST:
            self._deleted.set()

    def _refused(self) -> bool:
        """Whether the pod asks for what this node can't do; then it says so."""
        metadata = self._pod["metadata"]
        try:
            self._behaviour = Behaviour.read(metadata.get("annotations") or {})
        except ValueError as error:
            self._fail("AnnotationInvalid", f"local-kubernetes.dev: {error}")
            return True
        policy = self._specification.get("restartPolicy", "Always")
        if policy == "Never":
            return False
        words = f"this process node runs pods with restartPolicy Never only, not {policy}"
        owners = metadata.get("ownerReferences") or []
        if any(each.get("controller") and each["kind"] != "Job" for each in owners):
            # A ReplicaSet would replace a failed pod at once, without end.
            for container in (*self._initial, *self._main):
                container.state = states.Waiting("RestartPolicyUnsupported", words)
            self._changed.set()
        else:
            self._fail("RestartPolicyUnsupported", words)
        return True

    def _fail(self, reason: str, message: str) -> None:
        self._final, self._reason, self._message = "Failed", reason, message
        self._changed.set()

    def _arm_deadline(self) -> None:
        seconds = self._specification.get("activeDeadlineSeconds")
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is None or self._started is None or self._final:
            return
        left = seconds - (states.now() - self._started).total_seconds()
        self._deadline = asyncio.get_running_loop().call_later(max(0.0, left), self._expire)

    def _expire(self) -> None:
        if self._stopping or self._final:
            return
        self._reason, self._message = "DeadlineExceeded", _DEADLINE
        self.stop(float(self._specification.get("terminationGracePeriodSeconds", 30)))

    async def _pause(self, seconds: float) -> None:
        """Waits; a deletion does not wait with it."""
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._deleted.wait(), seconds)

    def _status(self) -> dict[str, Any]:
        started = self._started or states.now()
        status: dict[str, Any] = {
            "phase": self._phase,
            "startTime": states.timestamp(started),
            "conditions": self._conditions.documents(self._phase, self._initial, self._main),
            "containerStatuses": [each.document() for each in self._main],
        }
        if self._initial:
            status["initContainerStatuses"] = [each.document() for each in self._initial]
        # A reason that ends a pod is told with its end: until then processes may run.
        if self._reason and self._final:
            status.update(reason=self._reason, message=self._message)
        return status

    def _unpublished(self) -> bool:
        return self._status() != self._published

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._publish()

    async def _publish(self) -> None:
        """Sends the status as it is by now, until it stands or the pod is gone."""
        backoff = Backoff(0.05, 5.0)
        while not self._gone.is_set() and self._unpublished():
            status = self._status()
            body = {"metadata": {"uid": self.uid}, "status": status}
            try:
                await self._client.request(
                    "PATCH", f"{self._path}/status", body, content_type=STRATEGIC_MERGE
                )
            except ApiError as error:
                if error.not_found or error.conflict:
                    self.vanish()
                    return
                print(f"{self._path}: {error}", file=sys.stderr, flush=True)
                await backoff.wait()
            else:
                self._published = status

    async def _delete(self) -> None:
        """Lets the object go: nothing of it runs any more."""
        backoff = Backoff(0.05, 5.0)
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while not self._gone.is_set():
            try:
                await self._client.request("DELETE", self._path, body)
            except ApiError as error:
                if error.not_found or error.conflict:
                    self.vanish()
                    return
                await backoff.wait()
            else:
                return

    @property
    def _path(self) -> str:
        metadata = self._pod["metadata"]
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
