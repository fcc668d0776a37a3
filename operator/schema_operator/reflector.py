"""Keeping up with all objects of one kind: a list, and then a watch for ever.

Jobs and pods bring ten events a run, so what an event costs decides what a burst
costs. kopf, which watches the resources themselves, keeps a task and a worker for
each object and builds much of what nobody here asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from schema_operator import errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Container

log = logging.getLogger(__name__)

LASTS_SECONDS: Final = (240, 300)
"""How long a watch is asked to go on: not all end at the same moment."""

SILENCE_SECONDS: Final = 90.0
"""Without a byte for so long a watch is dead: the server sends a bookmark each minute."""

LOST_SECONDS: Final = 10.0
"""How long a watch may be away before what is known counts as out of date."""

_BACKOFF_SECONDS: Final = (0.1, 30.0)
_TOO_SOON_SECONDS: Final = 1.0


class WatchApi(Protocol):
    """What a reflector asks of the API server."""

    def pages(self, kind: str, namespace: str | None) -> AsyncGenerator[dict[str, Any]]:
        """Yield a list of all our objects of a kind, page by page."""

    async def newest(self, kind: str, namespace: str | None) -> int:
        """Return the version that the API server is at."""

    def watch(
        self,
        kind: str,
        namespace: str | None,
        version: str,
        bounds: tuple[int, float],
        began: Callable[[], None],
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events after a version.

        Args:
            kind: as above.
            namespace: as above.
            version: the resourceVersion to go on from.
            bounds: after how many seconds it ends, and how many without a byte mean its death.
            began: is called when the server has agreed.
        """


class Reflector:
    """Tells of everything that happens to the objects of one kind.

    Attributes:
        listed: set once all that existed at the start has been told of.
    """

    def __init__(  # noqa: PLR0913 - what is followed, and who is told
        self,
        api: WatchApi,
        kind: str,
        namespace: str | None,
        *,
        take: Callable[[str, dict[str, Any]], None],
        compare: Callable[[str, str | None, Container[str], int], int],
        heard: Callable[[str, str | None], None],
    ) -> None:
        """Make one.

        Args:
            api: the API server.
            kind: as `api` names it.
            namespace: only there; None: everywhere.
            take: is told of each event: ADDED, MODIFIED or DELETED, and the object.
            compare: is given the uids of all that exist, as of a version, after each list: of
                what went unseen no event tells.
            heard: is told of the kind and the namespace whenever the server has told anything, be it
                that nothing has happened.
        """
        self.listed = asyncio.Event()
        self._api = api
        self._kind = kind
        self._namespace = namespace
        self._take = take
        self._compare = compare
        self._heard = heard
        self._version: str | None = None
        self._newest = 0
        self._broke_off = False
        self._lost: float | None = None
        self._failures = 0

    @property
    def alive(self) -> bool:
        """Whether what is known is up to date: the watch is open, or was a moment ago."""
        if not self.listed.is_set():
            return False
        return self._lost is None or self._now() - self._lost < LOST_SECONDS

    async def run(self) -> NoReturn:
        """List and watch, again and again.

        Raises:
            RestoredError: the server is at an older version than before.
        """
        while True:
            began = self._now()
            try:
                if self._version is None:
                    await self._list()
                elif self._broke_off:
                    self._compare_versions(await self._api.newest(self._kind, self._namespace))
                self._broke_off = False
                await self._watch()
                # One that ends at once, again and again, is as bad as one that can't be had.
                failed = self._now() - began < _TOO_SOON_SECONDS
            except errors.ApiError as error:
                failed = error.status != HTTPStatus.GONE or self._failures > 0
                self._broke_off |= error.status == 0
                # The server does not remember so far back, or has not come so far.
                if error.status in {HTTPStatus.GONE, HTTPStatus.GATEWAY_TIMEOUT}:
                    self._version = None
                log.warning(
                    "the watch broke off",
                    extra={"kind": self._kind.rpartition("|")[2], "error": str(error)},
                )
            finally:
                self._mark_lost()
            if failed:
                self._failures += 1
                await asyncio.sleep(self._wait())

    async def _list(self) -> None:
        uids: set[str] = set()
        version = "0"
        async for page in self._api.pages(self._kind, self._namespace):
            version = page["metadata"]["resourceVersion"]
            for item in page.get("items") or ():
                uids.add(item["metadata"]["uid"])
                self._tell("ADDED", item)
            await asyncio.sleep(0)  # a long list lets others have a turn
        self._compare_versions(int(version))
        self._compare(self._kind, self._namespace, uids, int(version))
        self._remember(version)
        self._heard(self._kind, self._namespace)
        self.listed.set()

    async def _watch(self) -> None:
        assert self._version is not None  # noqa: S101 - a list came first
        bounds = (random.randint(*LASTS_SECONDS), SILENCE_SECONDS)  # noqa: S311 - spreads requests, guards nothing
        events = self._api.watch(
            self._kind, self._namespace, self._version, bounds, self._mark_alive
        )
        async with contextlib.aclosing(events) as opened:
            async for event in opened:
                self._follow(event)

    def _follow(self, event: dict[str, Any]) -> None:
        kind, body = event["type"], event["object"]
        if kind == "ERROR":
            message = str(body.get("message") or "without a word")
            raise errors.UnavailableError(int(body.get("code") or 0), message)
        self._failures = 0
        if kind != "BOOKMARK":
            self._tell(kind, body)
        self._remember(body["metadata"]["resourceVersion"])
        self._heard(self._kind, self._namespace)

    def _compare_versions(self, version: int) -> None:
        """Find out whether the server has gone back in time: a watch from its future hears nothing.

        Raises:
            RestoredError: it has.
        """
        if version < self._newest:
            raise errors.RestoredError(
                f"the API server is at version {version} and was at {self._newest} before:"
                " its store was restored"
            )

    def _remember(self, version: str) -> None:
        self._version = version
        self._newest = int(version)

    def _tell(self, kind: str, body: dict[str, Any]) -> None:
        try:
            self._take(kind, body)
        except Exception:
            # One object that nobody understands must not hide all others.
            log.exception("an event could not be taken up", extra={"kind": self._kind})

    def _mark_alive(self) -> None:
        self._lost = None

    def _mark_lost(self) -> None:
        if self._lost is None:
            self._lost = self._now()

    def _wait(self) -> float:
        first, longest = _BACKOFF_SECONDS
        return min(longest, first * 2.0 ** min(self._failures, 20)) * random.uniform(0.5, 1.0)  # noqa: S311 - as above

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
