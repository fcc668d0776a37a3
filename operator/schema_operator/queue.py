"""A queue of keys: each at most once in it, each with at most one worker at a time.

A key that is added while a worker has it comes back when the worker is done, so
nothing that happens meanwhile is missed, and ten events in a row are one turn.
"""

from __future__ import annotations

import asyncio
import collections
import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schema_operator.names import Key


class Queue:
    """Keys that want a worker.

    Urgent keys go first: a run that ended is reported before a new one starts.
    All methods are to be called from one event loop.
    """

    def __init__(self) -> None:
        self._urgent: collections.deque[Key] = collections.deque()
        self._ordinary: collections.deque[Key] = collections.deque()
        self._waiting: dict[Key, bool] = {}
        self._active: set[Key] = set()
        self._again: dict[Key, bool] = {}
        self._timers: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._ready = asyncio.Event()
        self._given_back = asyncio.Event()
        self._stopped = False

    def __len__(self) -> int:
        """How many keys wait for a worker, timers left out."""
        return len(self._waiting)

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Let a worker have the key, soon."""
        if key in self._active:
            self._again[key] = urgent or self._again.get(key, False)
            return
        if key in self._waiting:
            if urgent and not self._waiting[key]:
                self._waiting[key] = True
                self._urgent.append(key)  # its ordinary place is passed over
            return
        self._waiting[key] = urgent
        (self._urgent if urgent else self._ordinary).append(key)
        self._ready.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Let a worker have the key after a while; of several times the soonest counts."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, 0.0)
        if self._due.get(key, due) < due:
            return
        self._due[key] = due
        heapq.heappush(self._timers, (due, key))
        self._arm(loop)

    def forget(self, key: Key) -> None:
        """Drop the key's timer."""
        self._due.pop(key, None)

    def stop(self) -> None:
        """Hand out no more keys."""
        self._stopped = True

    async def idle(self) -> None:
        """Return when no worker has a key."""
        while self._active:
            self._given_back.clear()
            await self._given_back.wait()

    async def get(self) -> Key:
        """Return the next key, which is the caller's until it calls `done`; its timer is dropped.

        Whoever has a key looks at all there is and sets a new timer where one is needed.
        """
        while True:
            for line, urgent in ((self._urgent, True), (self._ordinary, False)):
                while line and not self._stopped:
                    key = line.popleft()
                    if self._waiting.get(key) is urgent:
                        del self._waiting[key]
                        self._active.add(key)
                        self.forget(key)
                        return key
            self._ready.clear()
            await self._ready.wait()

    def done(self, key: Key) -> None:
        """Give a key back."""
        self._active.discard(key)
        self._given_back.set()
        if key in self._again:
            self.add(key, urgent=self._again.pop(key))

    def close(self) -> None:
        """Drop all timers."""
        if self._handle is not None:
            self._handle.cancel()
        self._due.clear()
        self._timers.clear()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        while self._timers and self._due.get(self._timers[0][1]) != self._timers[0][0]:
            heapq.heappop(self._timers)  # superseded or forgotten
        if self._timers:
            self._handle = loop.call_at(self._timers[0][0], self._fire)

    def _fire(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._timers and self._timers[0][0] <= now:
            due, key = heapq.heappop(self._timers)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        self._handle = None
        self._arm(loop)
