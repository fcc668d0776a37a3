"""Comparing what is known with what exists.

At the start nothing may be decided before everything that exists has been seen.
Later it finds what went while nobody watched, for a watch that begins again does
not tell of deletions, and whether the watch of the resources, which is not ours,
still tells of anything.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, Final

from schema_operator import api, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from datetime import datetime, timedelta

    from schema_operator.cache import Cache, Store
    from schema_operator.names import Key

log = logging.getLogger(__name__)

_SEEN_WITHIN: Final = 5.0
"""Seconds until a list that was not seen in full is asked for again: something in it has gone."""

_LOOK_EVERY: Final = 0.02

_KINDS: Final = (api.RESOURCES, api.JOBS, api.PODS)


class Resync:
    """Lists metadata and nothing else.

    Attributes:
        behind: whether resources were newer than what the watch had told, when last compared.
    """

    def __init__(
        self,
        client: api.Api,
        cache: Cache,
        namespaces: tuple[str, ...],
        touched: Callable[[Key, str | None], None],
        clock: Callable[[], datetime],
    ) -> None:
        """Make one.

        Args:
            client: the API server.
            cache: what is known.
            namespaces: only these; empty: all.
            touched: is told of each resource that something vanished of, and of its database.
            clock: returns the present moment.
        """
        self.behind = False
        self._client = client
        self._cache = cache
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._touched = touched
        self._clock = clock

    async def seen(self) -> None:
        """Return once every resource that exists has been seen; Jobs and pods are told in full."""
        for namespace in self._namespaces:
            while not await self._seen(namespace):
                pass

    async def for_ever(self, every: timedelta) -> None:
        """Take out what has gone, again and again, at about that interval."""
        while True:
            await asyncio.sleep(every.total_seconds() * random.uniform(0.8, 1.2))  # noqa: S311 - spreads requests, guards nothing
            try:
                await self.prune()
                self.behind = not all([await self._seen(one) for one in self._namespaces])
            except errors.ApiError as error:
                log.warning("what exists could not be listed", extra={"error": str(error)})

    async def prune(self) -> int:
        """Take out what does not exist any more and return how many objects that were.

        Raises:
            ApiError: what exists could not be listed.
        """
        pruned = 0
        for kind in _KINDS:
            for namespace in self._namespaces:
                versions, version = await self._client.list_versions(kind, namespace)
                pruned += self.compare(kind, namespace, versions, version)
        return pruned

    def compare(self, kind: str, namespace: str | None, uids: Container[str], version: int) -> int:
        """Take out what is not in a list, and return how many objects that were.

        Args:
            kind: of which kind the list is.
            namespace: where it is of; None: everywhere.
            uids: of all that exist.
            version: the list's; what is newer is not its matter.
        """
        gone = list(self._gone(kind, namespace, uids, version))
        for name, uid in gone:
            self._drop(kind, name, uid)
        if gone:
            log.info("took out objects that had gone unseen", extra={"objects": len(gone)})
        return len(gone)

    def _store(self, kind: str) -> Store[Any]:
        stores: dict[str, Store[Any]] = {
            api.RESOURCES: self._cache.resources,
            api.JOBS: self._cache.jobs,
            api.PODS: self._cache.pods,
        }
        return stores[kind]

    async def _seen(self, namespace: str | None) -> bool:
        """Return whether the watch has told of all that a list holds, at once or soon after."""
        try:
            missing, _ = await self._client.list_versions(api.RESOURCES, namespace)
        except errors.ApiError as error:
            log.warning("what exists could not be listed", extra={"error": str(error)})
            await asyncio.sleep(_SEEN_WITHIN)
            return False
        loop = asyncio.get_running_loop()
        until = loop.time() + _SEEN_WITHIN + len(missing) / 500
        while True:
            for _, view in self._cache.resources.names():
                if missing.get(view.uid, view.resource_version + 1) <= view.resource_version:
                    del missing[view.uid]
            if not missing:
                return True
            if loop.time() >= until:
                return False
            # Looking takes the longer, the more there are.
            await asyncio.sleep(_LOOK_EVERY + len(missing) / 20_000)

    def _gone(
        self, kind: str, namespace: str | None, uids: Container[str], version: int
    ) -> Iterator[tuple[tuple[str, str], str]]:
        for name, view in self._store(kind).names():
            if namespace is not None and name[0] != namespace:
                continue
            if getattr(view, "gone", False) or view.uid in uids or view.resource_version > version:
                continue
            yield name, view.uid

    def _drop(self, kind: str, name: tuple[str, str], uid: str) -> None:
        view = self._store(kind).get(name)
        if view is None or view.uid != uid:
            return
        match kind:
            case api.RESOURCES:
                self._cache.drop_resource(view.key, uid)
            case api.JOBS:
                self._cache.drop_job(name, uid)
            case _:
                self._cache.drop_pod(name, uid, None, self._clock())
        self._touched(view.key, getattr(view, "database", None))
