"""The clock of deployments under test."""

import asyncio
import math

import pytest

from mini_apps.testing.clock import VirtualClock


async def rest(_seconds: float) -> None:
    """Let woken tasks run to where they wait again."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_stands_still_until_it_is_moved_and_then_passes_exactly() -> None:
    clock, done = VirtualClock(1000.0), []

    async def sleeper() -> None:
        await clock.sleep(0.3)
        done.append(clock.time())

    task = asyncio.create_task(sleeper())
    await rest(0)
    await clock.advance(0.1, rest)
    await clock.advance(0.199999, rest)
    assert done == []
    await clock.advance(0.000001, rest)
    assert done == [1000.3]
    assert clock.monotonic() == 0.3
    await task


async def test_sleepers_wake_in_order_each_at_its_time_those_that_come_meanwhile_too() -> None:
    clock, seen = VirtualClock(0.0), []

    async def every(seconds: float, name: str) -> None:
        while True:
            await clock.sleep(seconds)
            seen.append((clock.monotonic(), name))

    tasks = [asyncio.create_task(every(2, "two")), asyncio.create_task(every(3, "three"))]
    await rest(0)
    await clock.advance(6, rest)
    assert seen == [(2, "two"), (3, "three"), (4, "two"), (6, "three"), (6, "two")]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_rounds_that_may_be_late_do_not_stop_time_at_each_turn() -> None:
    clock, seen = VirtualClock(0.0), []

    async def rounds() -> None:
        while True:
            await clock.sleep(0.5, late=math.inf)
            seen.append(clock.monotonic())

    task = asyncio.create_task(rounds())
    await rest(0)
    await clock.advance(3600, rest)
    assert seen == [0.5, 3600]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_time_limit_ends_a_block_when_time_has_passed_and_not_before() -> None:
    clock = VirtualClock()

    async def limited() -> str:
        try:
            async with clock.timeout(5):
                await asyncio.Event().wait()
        except TimeoutError:
            return "over"
        return "never"

    task = asyncio.create_task(limited())
    await rest(0)
    await clock.advance(4.9, rest)
    assert not task.done()
    await clock.advance(0.1, rest)
    assert await task == "over"
    async with clock.timeout(None):
        pass


async def test_waiting_for_an_event_ends_by_either_and_says_why_meanwhile() -> None:
    clock, event = VirtualClock(), asyncio.Event()
    task = asyncio.create_task(clock.wait(event, 7, why="the next try"))
    await rest(0)
    await clock.advance(2, rest)
    assert clock.waiting() == clock.waiting("the next") == ["the next try: in 5 s"]
    event.set()
    assert await task is True
    assert clock.waiting() == []
    other = asyncio.create_task(clock.wait(asyncio.Event(), 1))
    await rest(0)
    await clock.advance(1, rest)
    assert await other is False


async def test_who_is_cancelled_waits_no_more() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(1))
    await rest(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await clock.advance(10, rest)
    assert clock._sleepers == {}


async def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="advance\\(-1\\)"):
        await VirtualClock().advance(-1, rest)
