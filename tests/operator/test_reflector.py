"""Following Jobs and pods: lists, watches, and every way in which these end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from schema_operator import api, errors, reflector

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Container

Script = list[Any]
"""What one watch brings: events; an error to raise; None to stay open for ever."""


def made(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": made(name, version)}


EXPIRED = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}


@dataclasses.dataclass
class Server:
    """An API server that plays a script: each list is its pages, or an error."""

    lists: list[Any]
    watches: list[Script]
    asked: list[str] = dataclasses.field(default_factory=list)
    version: int = 1000

    async def newest(self, kind: str, namespace: str | None) -> int:
        assert (kind, namespace) == (api.JOBS, "shops")
        self.asked.append("newest")
        return self.version

    async def pages(self, kind: str, namespace: str | None) -> AsyncGenerator[dict[str, Any]]:
        assert (kind, namespace) == (api.JOBS, "shops")
        self.asked.append("list")
        answer = self.lists.pop(0)
        if isinstance(answer, errors.ApiError):
            raise answer
        for items in answer:
            yield {"metadata": {"resourceVersion": "10"}, "items": items}

    async def watch(
        self,
        kind: str,
        namespace: str | None,
        version: str,
        bounds: tuple[int, float],
        began: Callable[[], None],
    ) -> AsyncGenerator[dict[str, Any]]:
        assert (kind, namespace) == (api.JOBS, "shops")
        assert bounds[1] == reflector.SILENCE_SECONDS
        self.asked.append(f"watch {version}")
        script = self.watches.pop(0) if self.watches else [None]
        if not (script and isinstance(script[0], errors.ApiError)):
            began()
        for one in script:
            if one is None:
                await asyncio.Event().wait()
                return
            if isinstance(one, errors.ApiError):
                raise one
            yield one


@dataclasses.dataclass
class Followed:
    """A reflector at a server, and what it told."""

    server: Server
    told: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    compared: list[tuple[set[str], int]] = dataclasses.field(default_factory=list)
    heard: int = 0

    def __post_init__(self) -> None:
        self.reflector = reflector.Reflector(
            self.server,
            api.JOBS,
            "shops",
            take=self.take,
            compare=self.compare,
            heard=self.hear,
        )

    def take(self, kind: str, body: dict[str, Any]) -> None:
        if body["metadata"]["name"] == "poison":
            raise KeyError("spec")
        self.told.append((kind, body["metadata"]["name"]))

    def hear(self, kind: str, namespace: str | None) -> None:
        assert (kind, namespace) == (api.JOBS, "shops")
        self.heard += 1

    def compare(self, _: str, __: str | None, uids: Container[str], version: int) -> int:
        assert isinstance(uids, set)
        self.compared.append((uids, version))
        return 0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "_BACKOFF_SECONDS", (0.0, 0.0))


def follow(
    server: Server, until: Callable[[Followed], bool], then: Callable[[Followed], object] = id
) -> Followed:
    """Run a reflector until something is true of it."""

    async def work() -> Followed:
        followed = Followed(server)
        running = asyncio.create_task(followed.reflector.run())
        async with asyncio.timeout(10):
            while not until(followed):
                assert not running.done(), running.exception()
                await asyncio.sleep(0)
        then(followed)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return followed

    return asyncio.run(work())


def test_all_pages_are_told_and_then_all_that_happens() -> None:
    server = Server(
        [[[made("a", 1)], [made("b", 2)]]],
        [[event("MODIFIED", "a", 11), event("DELETED", "b", 12), None]],
    )
    followed = follow(server, lambda one: len(one.told) == 4)
    assert followed.told == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert followed.compared == [({"uid-a", "uid-b"}, 10)]
    assert server.asked == ["list", "watch 10"]


def test_a_watch_that_ends_goes_on_where_it_was() -> None:
    server = Server(
        [[[]]],
        [[event("ADDED", "a", 11)], [event("BOOKMARK", "", 40)], [event("ADDED", "b", 41), None]],
    )
    followed = follow(server, lambda one: len(one.told) == 2)
    assert server.asked == ["list", "watch 10", "watch 11", "watch 40"]
    assert followed.heard == 4  # the list, and that nothing had happened, too
    assert followed.told == [("ADDED", "a"), ("ADDED", "b")]


@pytest.mark.parametrize(
    "expired", [EXPIRED, errors.UnavailableError(410, "too old")], ids=["in the stream", "at once"]
)
def test_what_the_server_has_forgotten_is_listed_again_and_compared(expired: Any) -> None:
    server = Server([[[made("a", 1)]], [[made("b", 9)]]], [[expired]])
    followed = follow(
        server,
        lambda one: len(one.compared) == 2,
    )
    assert server.asked[:3] == ["list", "watch 10", "list"]
    assert followed.compared == [({"uid-a"}, 10), ({"uid-b"}, 10)]


@pytest.mark.parametrize("status", [0, 401, 403, 429, 500])
def test_a_refused_or_broken_watch_is_begun_anew_without_a_list(status: int) -> None:
    error = errors.UnavailableError(status, "no")
    server = Server([[[]]], [[error], [event("ADDED", "a", 11), error], [None]])
    follow(server, lambda _: server.asked[-1:] == ["watch 11"])
    assert [one for one in server.asked if one != "newest"] == [
        "list",
        "watch 10",
        "watch 10",
        "watch 11",
    ]


def test_a_list_that_fails_is_asked_for_again() -> None:
    server = Server([errors.UnavailableError(503, "busy"), [[made("a", 1)]]], [[None]])
    followed = follow(server, lambda one: one.reflector.listed.is_set())
    assert followed.told == [("ADDED", "a")]


def test_one_object_that_nobody_understands_hides_no_other() -> None:
    server = Server(
        [[[made("poison", 1), made("a", 2)]]],
        [[event("MODIFIED", "poison", 11), event("MODIFIED", "a", 12), None]],
    )
    followed = follow(server, lambda one: len(one.told) == 2)
    assert followed.told == [("ADDED", "a"), ("MODIFIED", "a")]


def test_watches_that_end_at_once_are_waited_between(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(reflector, "_BACKOFF_SECONDS", (1.0, 30.0))
    monkeypatch.setattr(asyncio, "sleep", noted)
    server = Server([[[]]], [[], [], [], [event("ADDED", "a", 11), None]])
    follow(server, lambda one: bool(one.told))
    longest = [seconds for seconds in waits if seconds]
    assert len(longest) == 3
    assert 0.5 <= longest[0] <= 2.0
    assert longest[2] >= 2.0


# Readiness


def test_it_is_alive_while_its_watch_is_open() -> None:
    seen: list[bool] = []
    server = Server([[[]]], [[event("ADDED", "a", 11), None]])
    followed = follow(
        server, lambda one: bool(one.told), lambda one: seen.append(one.reflector.alive)
    )
    assert seen == [True]
    assert followed.server.asked == ["list", "watch 10"]


def test_it_is_not_alive_before_its_first_list() -> None:
    seen: list[bool] = []
    server = Server([errors.UnavailableError(503, "busy")] * 3 + [[[]]], [])
    follow(server, lambda _: len(server.asked) == 3, lambda one: seen.append(one.reflector.alive))
    assert seen == [False]


@pytest.mark.parametrize(("seconds", "alive"), [(0.0, False), (60.0, True)])
def test_a_watch_that_is_away_for_long_is_not_alive(
    monkeypatch: pytest.MonkeyPatch, seconds: float, *, alive: bool
) -> None:
    monkeypatch.setattr(reflector, "LOST_SECONDS", seconds)
    seen: list[bool] = []
    refused: Script = [errors.UnavailableError(403, "no")]
    server = Server([[[]]], [[event("ADDED", "a", 11)], *([refused] * 1000)])
    follow(server, lambda _: len(server.asked) > 4, lambda one: seen.append(one.reflector.alive))
    assert seen == [alive]


def test_a_list_that_is_older_than_what_was_seen_ends_it() -> None:
    server = Server(
        [[[made("a", 1)]], [[made("a", 1)]]],
        [[event("MODIFIED", "a", 11), errors.UnavailableError(410, "expired")]],
    )

    with pytest.raises(errors.RestoredError, match="its store was restored"):
        asyncio.run(Followed(server).reflector.run())


def test_a_server_that_has_not_come_so_far_is_asked_for_a_list() -> None:
    server = Server(
        [[[made("a", 1)]], [[made("a", 1)]]],
        [[errors.UnavailableError(504, "Too large resource version")], [None]],
    )
    followed = follow(server, lambda one: one.server.asked.count("list") == 2)
    assert followed.server.asked[:3] == ["list", "watch 10", "list"]


def test_a_server_that_is_back_from_a_copy_ends_it_before_the_next_watch() -> None:
    """A watch from a version that is still to come would be opened, and say nothing."""
    broken = errors.UnavailableError(0, "it broke off")
    server = Server([[[]]], [[event("ADDED", "a", 11), broken]], version=9)

    with pytest.raises(errors.RestoredError, match="is at version 9 and was at 11"):
        asyncio.run(Followed(server).reflector.run())
