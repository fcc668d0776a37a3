"""What an operator is given to do: resources, all at once or one after another, or long done."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import kopf

from local_benchmark.errors import BenchmarkError
from local_kubernetes.node.client import ApiError, Backoff, Client
from schema_operator import digest, resource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IMAGE: Final = "local/benchmark:1"
REPORT: Final = {
    "v": 1,
    "outcome": "applied",
    "from": "base",
    "to": "0001",
    "target": "0001",
    "dirty": False,
    "pending": 0,
    "applied": ["0001"],
}
MIGRATOR: Final = (
    "/bin/sh",
    "-c",
    f"sleep 0.1; printf '%s' '{json.dumps(REPORT)}' > \"$MIGRATE_RESULT_FILE\"",
)
"""In the migrator's place: what is measured is the operator."""

_GROUP: Final = "migrations.tenant-registry.dev/v1alpha1"
_SECRET: Final = "databases"  # noqa: S105 - a name
_AT_ONCE: Final = 32
_LONGEST_SECONDS: Final = 900.0
_MERGE: Final = "application/merge-patch+json"


class Load:
    """Resources of one namespace.

    Attributes:
        namespace: where.
        path: of its resources.
    """

    def __init__(self, client: Client, namespace: str) -> None:
        self.namespace = namespace
        self._client = client
        self.path = f"/apis/{_GROUP}/namespaces/{namespace}/schemamigrations"

    async def prepare(self, count: int) -> None:
        """Make the namespace, and a Secret with a database for each resource."""
        metadata = {"metadata": {"name": self.namespace}}
        await self._client.request("POST", "/api/v1/namespaces", metadata)
        secret = {
            "metadata": {"name": _SECRET},
            "stringData": {_name(number): "postgresql://nowhere" for number in range(count)},
        }
        namespace = f"/api/v1/namespaces/{self.namespace}"
        await self._client.request("POST", f"{namespace}/secrets", secret)
        # Without it the server refuses pods.
        await self._wait_for(f"{namespace}/serviceaccounts/default")

    async def burst(self, count: int) -> None:
        """Create resources as fast as the API server takes them, and wait until all are Ready."""
        listing = await self._client.request("GET", f"{self.path}?limit=1")
        waiting = asyncio.create_task(self._until_ready(count, _version(listing)))
        await self._each(count, self._create)
        await waiting

    async def one_by_one(self, count: int) -> None:
        """Create resources, each when the one before is Ready."""
        for number in range(count):
            listing = await self._client.request("GET", f"{self.path}?limit=1")
            waiting = asyncio.create_task(self._until_ready(1, _version(listing)))
            await self._create(number)
            await waiting

    async def settled(self, count: int) -> None:
        """Create resources that have been done long ago, for each of the operators."""
        first = await self._create(0)
        await self._settle(first)
        handled = _handled(first)

        async def make(number: int) -> None:
            if number:
                # They differ in the database alone.
                own = {key: text.replace(_name(0), _name(number)) for key, text in handled.items()}
                await self._settle(await self._create(number, {"annotations": own}))

        await self._each(count, make)
        await self._client.request("DELETE", f"{self.path}/{_name(0)}")

    async def _create(self, number: int, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
        document = {
            "apiVersion": _GROUP,
            "kind": "SchemaMigration",
            "metadata": {"name": _name(number), **(metadata or {})},
            "spec": {
                "image": IMAGE,
                "database": {"urlSecretRef": {"name": _SECRET, "key": _name(number)}},
            },
        }
        return await self._client.request("POST", self.path, document)

    async def _settle(self, body: dict[str, Any]) -> None:
        """Write the status that a run would have left."""
        metadata = body["metadata"]
        spec = resource.Spec.model_validate(body["spec"])
        moment = metadata["creationTimestamp"]
        run = {
            "job": f"{metadata['name']}-aaaaaaaaaa",
            "outcome": "applied",
            "from": "base",
            "to": "0001",
            "startTime": moment,
            "completionTime": moment,
            "exitCode": 0,
        }
        condition = {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": moment,
            "reason": "UpToDate",
            "message": "The database is at 0001.",
        }
        status = {
            "observedGeneration": 1,
            "observedDigest": digest.of_run(metadata["uid"], spec, ""),
            "conditions": [condition],
            "version": "0001",
            "dirty": False,
            "targetVersion": "0001",
            "pending": 0,
            "image": IMAGE,
            "attempt": 1,
            "failedAttempts": 0,
            "lastRun": run,
            "history": [run],
            "lastMigrationTime": moment,
        }
        path = f"{self.path}/{metadata['name']}/status"
        await self._client.request("PATCH", path, {"status": status}, content_type=_MERGE)

    async def _until_ready(self, count: int, version: str) -> None:
        ready: set[str] = set()
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                while True:
                    async for _, body in self._client.watch(self.path, {}, version):
                        version = body["metadata"]["resourceVersion"]
                        if _is_ready(body):
                            ready.add(body["metadata"]["name"])
                        if len(ready) == count:
                            return
        except TimeoutError as error:
            raise BenchmarkError(
                f"{len(ready)} of {count} resources were Ready after {_LONGEST_SECONDS:g} s"
            ) from error

    async def _wait_for(self, path: str) -> None:
        backoff = Backoff(0.05, 1.0)
        while True:
            try:
                await self._client.request("GET", path)
            except ApiError as error:
                if not error.not_found:
                    raise
                await backoff.wait()
            else:
                return

    async def _each(self, count: int, action: Callable[[int], Awaitable[object]]) -> None:
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                await action(number)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


def _name(number: int) -> str:
    return f"shop-{number:05d}"


def _version(listing: dict[str, Any]) -> str:
    return str(listing["metadata"]["resourceVersion"])


def _is_ready(body: dict[str, Any]) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _handled(body: dict[str, Any]) -> dict[str, str]:
    """Return the annotation in which kopf remembers that it has seen a resource as it is."""
    storage = kopf.AnnotationsDiffBaseStorage()
    patch = kopf.Patch()
    raw: Any = body
    seen = kopf.Body(raw)
    storage.store(body=seen, patch=patch, essence=storage.build(body=seen))
    annotations: dict[str, str] = dict(patch["metadata"]["annotations"])
    return annotations
