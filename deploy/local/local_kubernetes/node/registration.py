"""The Node object and its Lease: that the node is there, and still is."""

from __future__ import annotations

import asyncio
import dataclasses
import platform
import sys
from typing import TYPE_CHECKING, Any, Final

from local_kubernetes.node import states
from local_kubernetes.node.client import STRATEGIC_MERGE, ApiError, Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_kubernetes.node.client import Client

LEASE_SECONDS: Final = 40
RENEW_SECONDS: Final = 10.0
"""Without renewal the server calls the node not ready after about 50 seconds."""

REGISTER_SECONDS: Final = 30.0
"""A server that starts refuses at first, in several ways."""

STATUS_SECONDS: Final = 240.0

CAPACITY: Final = {"cpu": "1000", "memory": "1000Gi", "ephemeral-storage": "1000Gi", "pods": "5000"}
"""Nothing is measured out here, so that nothing is refused: requests only choose the node."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclasses.dataclass(frozen=True, slots=True)
class Registration:
    """Keeps a node in the API.

    Attributes:
        client: as the node's own user.
        name: the node's.
        taints: put on it when it is created, as ``KEY=VALUE:EFFECT``.
        version: what it says its version is.
    """

    client: Client
    name: str
    taints: Sequence[dict[str, str]]
    version: str

    async def register(self) -> None:
        """Creates the Node, or takes over the one that a killed program left.

        Raises:
            ApiError: refused for longer than a starting server takes.
        """
        loop = asyncio.get_running_loop()
        patience = loop.time() + REGISTER_SECONDS
        backoff = Backoff(0.05, 1.0)
        while True:
            try:
                # The Lease first: its namespace comes last, and who sees the Node finds both.
                await self._renew()
                await self._create()
            except ApiError:
                if loop.time() > patience:
                    raise
                await backoff.wait()
            else:
                return

    async def keep(self) -> None:
        """Renews the Lease, and from time to time the status, for ever."""
        loop = asyncio.get_running_loop()
        reported = loop.time()
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._renew()
                if loop.time() - reported > STATUS_SECONDS:
                    await self._report()
                    reported = loop.time()
            except ApiError as error:
                # Tried again in ten seconds; four of these may be missed.
                print(f"lease of node {self.name}: {error}", file=sys.stderr, flush=True)

    async def leave(self) -> None:
        """Says that the node is not ready any more, and deletes Node and Lease.

        A node has no right to delete its own Node unless somebody gave it that;
        then the Node stays, not ready, for whoever owns the cluster to delete.
        """
        node = f"/api/v1/nodes/{self.name}"
        for method, path in (
            ("PATCH", f"{node}/status"),
            ("DELETE", node),
            ("DELETE", self._lease),
        ):
            body = {"status": self._status(ready=False)} if method == "PATCH" else None
            try:
                await self.client.request(method, path, body, content_type=STRATEGIC_MERGE)
            except ApiError as error:
                if not error.not_found:
                    print(f"{method} {path}: {error}", file=sys.stderr, flush=True)

    @property
    def _lease(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}"

    async def _create(self) -> None:
        node: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {
                    "kubernetes.io/hostname": self.name,
                    "kubernetes.io/os": sys.platform,
                    "kubernetes.io/arch": self._architecture,
                },
            },
            "spec": {"taints": list(self.taints)},
            "status": self._status(),
        }
        try:
            await self.client.request("POST", "/api/v1/nodes", node)
        except ApiError as error:
            if not error.conflict:
                raise
            await self._report()

    async def _report(self) -> None:
        await self.client.request(
            "PATCH",
            f"/api/v1/nodes/{self.name}/status",
            {"status": self._status()},
            content_type=STRATEGIC_MERGE,
        )

    async def _renew(self) -> None:
        moment = states.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        renewal = {"spec": {"renewTime": moment, "holderIdentity": self.name}}
        try:
            await self.client.request("PATCH", self._lease, renewal, content_type=STRATEGIC_MERGE)
        except ApiError as error:
            if not error.not_found:
                raise
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self.name, "namespace": "kube-node-lease"},
                "spec": {**renewal["spec"], "leaseDurationSeconds": LEASE_SECONDS},
            }
            await self.client.request("POST", self._lease.rpartition("/")[0], lease)

    def _status(self, *, ready: bool = True) -> dict[str, Any]:
        moment = states.timestamp(states.now())
        kinds = {"Ready": "True" if ready else "False"} | dict.fromkeys(
            ("MemoryPressure", "DiskPressure", "PIDPressure"), "False"
        )
        return {
            "capacity": CAPACITY,
            "allocatable": CAPACITY,
            "addresses": [{"type": "Hostname", "address": self.name}],
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": "ProcessNode",
                    "message": "a program that runs processes, not a kubelet",
                    "lastHeartbeatTime": moment,
                    "lastTransitionTime": moment,
                }
                for kind, status in kinds.items()
            ],
            "nodeInfo": {
                "architecture": self._architecture,
                "operatingSystem": sys.platform,
                "kubeletVersion": self.version,
                "kubeProxyVersion": "",
                "containerRuntimeVersion": "process://none",
                "kernelVersion": platform.release(),
                "osImage": platform.platform(terse=True),
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        }

    @property
    def _architecture(self) -> str:
        return _ARCHITECTURES.get(platform.machine(), platform.machine())
