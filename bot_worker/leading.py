"""Doing something while a lease is held, and stopping when it is not."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from typing import Any

from redis.exceptions import RedisError

from shared.broker import UNREACHABLE
from shared.clock import Clock
from shared.leases import Lease


async def lead(lease: Lease, work: Callable[[], Coroutine[Any, Any, None]], clock: Clock) -> None:
    """Wait for a lease and work while it is held, again and again, until the work ends by itself.

    Args:
        lease: not held yet.
        work: started at each ownership; cancelled when the lease is lost.
        clock: for the rest between two tries to take it.

    Raises:
        Exception: what the work raised.
    """
    while True:
        rest = lease.seconds / 6
        try:
            if await lease.claim() and await while_held(lease, work()):
                return
        except (*UNREACHABLE, RedisError):
            rest = lease.seconds  # a Redis that stood still lets every lease run out: give their owners time
        await clock.sleep(rest, late=math.inf)


async def while_held(lease: Lease, work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` while a held lease stays ours, and release it.

    Returns:
        Whether the work ended by itself; false when it was cancelled because the lease was lost.

    Raises:
        Exception: what the work raised.
    """
    task = asyncio.create_task(work, name="leader")
    keep = asyncio.create_task(lease.keep(), name="lease")
    try:
        await asyncio.wait((task, keep), return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        keep.cancel()
        await asyncio.gather(task, keep, return_exceptions=True)
        await lease.release()
    if task.cancelled():
        return False
    task.result()
    return True


async def pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait so many seconds, or less when `stopping` is set; returns whether it is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
    return stopping.is_set()


def is_cancelled() -> bool:
    """Tell whether the current task is to end, where an author's code raised `CancelledError`.

    Otherwise something it awaited was cancelled, which is a failure like any other.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
