"""The clock of a deployment under test: it stands still, and passes when the test says so.

Sleepers are woken in the order in which they are due, each at its own time, and what follows from that comes to rest
before time goes on. Some do not mind to be late: the rounds of the services, which look whether there is something to
do. Each of those is woken but once on the way to the next who does mind, and once when that is reached.
"""

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shared import trace
from shared.clock import Clock

Passed = Callable[[float], Awaitable[None]]

SECOND: Final = 1_000_000  # time is counted in whole microseconds, so that 0.1 and 0.2 are 0.3


@dataclass(frozen=True, slots=True)
class Sleeper:
    """Somebody who waits for time to pass.

    Attributes:
        due: when, in microseconds since the start.
        latest: when at the latest; infinite for who does not mind.
        why: what waits, for people.
        trace: the update or message it belongs to; empty where it is about none.
        wake: called once then.
    """

    due: int
    latest: float
    why: str
    trace: str
    wake: Callable[[], None]


class VirtualClock(Clock):
    """A clock that stands still between two calls of `advance`.

    Args:
        now: unix seconds at the start; the machine's when not given.
    """

    def __init__(self, now: float | None = None) -> None:
        super().__init__()
        self._started = math.floor(time.time()) if now is None else now
        self._passed = 0
        self._numbers = itertools.count()
        self._sleepers: dict[int, Sleeper] = {}
        self.monotonic = lambda: self._passed / SECOND
        self.time = lambda: self._started + self._passed / SECOND

    def now(self) -> datetime:
        """Return the time as a date in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def redis_ms(self) -> int:
        """Return unix milliseconds for scripts in Redis."""
        return round(self.time() * 1000)

    def waiting(self, why: str = "") -> list[str]:
        """List what waits for time to pass and says so, soonest first.

        Args:
            why: what it says begins with.
        """
        told = sorted((one.due, one.why) for one in self._sleepers.values() if one.why and one.why.startswith(why))
        return [f"{text}: in {(due - self._passed) / SECOND:g} s" for due, text in told]

    def held_up(self) -> set[str]:
        """Return the updates and messages whose hooks and handlers wait for time to pass."""
        return {one.trace for one in self._sleepers.values() if one.trace}

    # What the services and the app call.

    async def sleep(self, seconds: float, *, late: float = 0.0) -> None:
        """Sleep until so much time has passed."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        with self._sleeper(seconds, late, "", woken.set):
            await woken.wait()

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Limit the time of a block."""
        return asyncio.timeout(None) if seconds is None else self._limited(seconds, 0.0, "")

    async def wait(self, event: asyncio.Event, seconds: float, *, late: float = 0.0, why: str = "") -> bool:
        """Wait for an event while so much time has not passed."""
        with contextlib.suppress(TimeoutError):
            async with self._limited(seconds, late, why):
                await event.wait()
        return event.is_set()

    @contextlib.asynccontextmanager
    async def _limited(self, seconds: float, late: float, why: str) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None if seconds > 0 else 0) as limit:
            with self._sleeper(seconds, late, why, lambda: limit.reschedule(loop.time())):
                yield

    @contextlib.contextmanager
    def _sleeper(self, seconds: float, late: float, why: str, wake: Callable[[], None]) -> Iterator[None]:
        due, number = self._passed + round(seconds * SECOND), next(self._numbers)
        self._sleepers[number] = Sleeper(due, due + late * SECOND, why, trace.current(), wake)
        try:
            yield
        finally:
            self._sleepers.pop(number, None)

    # What the test calls.

    async def advance(self, seconds: float, passed: Passed) -> None:
        """Let time pass.

        Args:
            seconds: how many.
            passed: called after each step with the seconds it took, to let what follows come to rest.

        Raises:
            ValueError: they are negative.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: advance({seconds:g})")
        target = self._passed + round(seconds * SECOND)
        while True:
            stop = min(target, *(one.latest for one in self._sleepers.values()), math.inf)
            for due in sorted({one.due for one in self._sleepers.values() if one.due < stop}):
                await self._step(due, passed)
            await self._step(int(stop), passed)
            if stop >= target:
                return

    async def _step(self, to: int, passed: Passed) -> None:
        """Go to a time, wake who is due, and let what follows come to rest."""
        seconds, self._passed = max(0, to - self._passed) / SECOND, max(to, self._passed)
        due = sorted((one.due, number) for number, one in self._sleepers.items() if one.due <= self._passed)
        for _, number in due:
            self._sleepers.pop(number).wake()
        if due or seconds:
            await passed(seconds)
