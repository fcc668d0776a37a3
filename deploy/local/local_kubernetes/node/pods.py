"""The pods that are bound to a node: found, followed, each given to a worker."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from local_kubernetes.node.client import ApiError, Backoff
from local_kubernetes.node.pod import Pod

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.node.client import Client
    from local_kubernetes.node.container import Surroundings

_PATH: Final = "/api/v1/pods"
_LAST_WORDS_SECONDS: Final = 5.0


class Pods:
    """One worker a pod."""

    def __init__(self, client: Client, node: str, folder: Path, around: Surroundings) -> None:
        self._client = client
        self._node = node
        self._folder = folder
        self._around = around
        self._query = {"fieldSelector": f"spec.nodeName={node}"}
        self._workers: dict[str, tuple[Pod, asyncio.Task[None]]] = {}

    async def follow(self) -> None:
        """Lists and watches, for ever; a broken watch is resumed, a stale one begins anew."""
        backoff = Backoff(0.05, 5.0)
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                async for kind, pod in self._client.watch(_PATH, self._query, version):
                    backoff.reset()
                    version = pod["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        self._see(pod, deleted=kind == "DELETED")
            except ApiError as error:
                if error.expired or error.status:
                    version = ""
                print(f"pods of node {self._node}: {error}", file=sys.stderr, flush=True)
                await backoff.wait()

    async def stop(self, grace_seconds: float) -> None:
        """Ends all pods and reports how they ended.

        Args:
            grace_seconds: between SIGTERM and SIGKILL.
        """
        for pod, _ in self._workers.values():
            pod.stop(grace_seconds)
        waiting = [asyncio.create_task(pod.settled.wait()) for pod, _ in self._workers.values()]
        if waiting:
            # The server may be gone already, and then nobody learns of it.
            _, late = await asyncio.wait(waiting, timeout=grace_seconds + _LAST_WORDS_SECONDS)
            for each in late:
                each.cancel()
        tasks = [task for _, task in self._workers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _list(self) -> str:
        document = await self._client.request("GET", f"{_PATH}?{urlencode(self._query)}")
        present = {pod["metadata"]["uid"] for pod in document["items"]}
        for uid, (worker, _) in list(self._workers.items()):
            if uid not in present:
                worker.vanish()
        for pod in document["items"]:
            self._see(pod, deleted=False)
        return str(document["metadata"]["resourceVersion"])

    def _see(self, pod: dict[str, Any], *, deleted: bool) -> None:
        uid = pod["metadata"]["uid"]
        known = self._workers.get(uid)
        if known is not None:
            worker = known[0]
        elif deleted:
            return
        else:
            metadata = pod["metadata"]
            folder = self._folder / "pods" / f"{metadata['namespace']}_{metadata['name']}_{uid}"
            worker = Pod(pod, self._node, folder, self._client, self._around)
            task = asyncio.create_task(worker.run(), name=f"pod {uid}")
            task.add_done_callback(lambda ended: self._forget(uid, ended))
            self._workers[uid] = worker, task
        if deleted:
            worker.vanish()
        else:
            worker.update(pod)

    def _forget(self, uid: str, task: asyncio.Task[None]) -> None:
        self._workers.pop(uid, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            print(f"{task.get_name()}: {error!r}", file=sys.stderr, flush=True)
