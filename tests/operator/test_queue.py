"""The queue of keys, and the lines before a database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from schema_operator.names import Key
from schema_operator.queue import Queue
from schema_operator.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Coroutine

A, B, C = (Key("shops", name) for name in "abc")


def run(work: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 5))


def test_a_key_is_in_it_once() -> None:
    async def work() -> None:
        queue = Queue()
        queue.add(A)
        queue.add(A)
        queue.add(B)
        assert len(queue) == 2
        assert [await queue.get(), await queue.get()] == [A, B]
        assert len(queue) == 0

    run(work())


def test_a_key_added_while_a_worker_has_it_comes_back() -> None:
    async def work() -> None:
        queue = Queue()
        queue.add(A)
        assert await queue.get() == A
        queue.add(A)
        queue.add(A)
        assert len(queue) == 0
        queue.done(A)
        assert await queue.get() == A
        queue.done(A)
        assert len(queue) == 0

    run(work())


def test_a_key_that_is_handed_out_has_no_timer_left() -> None:
    async def work() -> None:
        queue = Queue()
        queue.add_after(A, 0.01)
        queue.add_after(B, 0.02)
        queue.add(A)
        assert await queue.get() == A
        queue.done(A)
        assert await queue.get() == B
        assert len(queue) == 0
        queue.close()

    run(work())


def test_urgent_keys_go_first_even_when_they_were_there() -> None:
    async def work() -> None:
        queue = Queue()
        for key in (A, B, C):
            queue.add(key)
        queue.add(C, urgent=True)
        assert [await queue.get() for _ in range(3)] == [C, A, B]
        assert len(queue) == 0

    run(work())


def test_a_worker_waits_for_a_key() -> None:
    async def work() -> None:
        queue = Queue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        queue.add(A)
        assert await waiting == A

    run(work())


def test_of_several_times_the_soonest_counts() -> None:
    async def work() -> None:
        queue = Queue()
        queue.add_after(A, 60)
        queue.add_after(B, 0.02)
        queue.add_after(A, 0.01)
        queue.add_after(A, 30)
        assert [await queue.get(), await queue.get()] == [A, B]
        queue.done(A)
        await asyncio.sleep(0.05)
        assert len(queue) == 0
        queue.close()

    run(work())


def test_a_forgotten_timer_does_not_fire() -> None:
    async def work() -> None:
        queue = Queue()
        queue.add_after(A, 0.01)
        queue.forget(A)
        queue.add_after(B, 0.03)
        assert await queue.get() == B
        assert len(queue) == 0

    run(work())


def test_a_stopped_queue_hands_out_nothing_and_waits_for_what_is_out() -> None:
    async def work() -> None:
        queue = Queue()
        queue.add(A)
        queue.add(B)
        assert await queue.get() == A
        queue.stop()
        idle = asyncio.create_task(queue.idle())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 0.01)
        assert not idle.done()
        queue.done(A)
        await idle

    run(work())


def test_a_database_is_had_by_one_and_waited_for_in_order() -> None:
    slots = Slots()
    assert slots.ahead(A, "db") is None
    slots.reserve("db", A)
    assert slots.ahead(A, "db") is None
    assert slots.ahead(B, "db") == A
    slots.wait(B, "db", queued=False)
    slots.wait(C, "db", queued=False)
    slots.wait(B, "db", queued=False)
    slots.release("db", A)
    assert slots.ahead(B, "db") is None
    assert slots.ahead(C, "db") == B
    assert slots.ahead(A, "db") == B
    assert slots.waiting_for("db") == (B, C)
    assert slots.leave(B) == "db"
    assert slots.ahead(C, "db") is None
    assert slots.leave(B) is None


def test_only_those_queue_for_a_run_whose_database_is_free() -> None:
    slots = Slots()
    slots.wait(A, "one", queued=False)
    slots.wait(B, "two", queued=True)
    slots.wait(C, "three", queued=True)
    assert slots.first_queued() == B
    slots.wait(B, "two", queued=False)
    assert slots.first_queued() == C
    slots.reserve("three", C)
    assert slots.first_queued() is None
    assert slots.starting == 1
