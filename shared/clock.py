"""Time as the services see it: the machine's, or that of a test, which moves when the test says so.

What belongs to an app's behaviour is measured with it: graces, time limits, the rest before another try, the age of a
login. What keeps a process in touch with others is not: heartbeats, leases, time-outs of sockets, rates.
"""

import asyncio
import contextlib
import time
from contextlib import AbstractAsyncContextManager


class Clock:
    """The machine's time.

    Attributes:
        time: unix seconds.
        monotonic: seconds since some moment, which never go back.
    """

    def __init__(self) -> None:
        self.time = time.time
        self.monotonic = time.monotonic

    def redis_ms(self) -> int:
        """Return unix milliseconds for scripts in Redis; 0 where they are to ask Redis itself."""
        return 0

    async def sleep(self, seconds: float, *, late: float = 0.0) -> None:
        """Sleep.

        Args:
            seconds: how long.
            late: by how many seconds it may be later without anybody noticing.
        """
        del late  # a machine's time passes by itself
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Limit the time of a block, as `asyncio.timeout` does; None sets no limit."""
        return asyncio.timeout(seconds)

    async def wait(self, event: asyncio.Event, seconds: float, *, late: float = 0.0, why: str = "") -> bool:
        """Wait for an event, so many seconds at most; returns whether it is set.

        Args:
            event: to wait for.
            seconds: how long.
            late: by how many seconds giving up may be later without anybody noticing.
            why: what waits, for people.
        """
        del late, why
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        return event.is_set()


MACHINE = Clock()
