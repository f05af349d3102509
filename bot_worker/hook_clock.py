"""How long hooks may run: the clock of a lane, which cuts off what takes too long and tells of what cannot be cut."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from bot_worker import metrics
from shared.clock import Clock
from shared.log import get_logger

TICK: Final = 1.0  # seconds between two looks, at most; a tenth of the time limit where that is less
SHORTEST_TICK: Final = 0.02
STACK_LINES: Final = 25

About = Callable[[], dict[str, Any]]


class HookTimeout(Exception):
    """The hook ran too long and was cut off."""


@dataclass(slots=True)
class Running:
    """One hook that runs.

    Attributes:
        limit: seconds it may take.
        until: when it is to be cut off next, by the monotonic clock.
        about: tells which update it is about.
        cuts: how often it was cut off.
    """

    limit: float
    until: float
    about: About
    cuts: int = 0


class HookClock:
    """Watches the hooks of one lane.

    A hook that swallows its cancellation is told of and cut off again each time its limit has passed once more. Its
    task goes on to wait for it: what comes after it in the same chat must not overtake it.

    Args:
        app: name, for logs and metrics.
        limit: seconds a hook usually may run, 0 for any time.
        clock: to measure it with.
    """

    def __init__(self, app: str, limit: float, clock: Clock) -> None:
        self._app = app
        self._limit = limit
        self._clock = clock
        self._running: dict[asyncio.Task[Any], Running] = {}
        self._stuck = 0
        self._loop = asyncio.get_running_loop()  # Python 3.11 asks the kernel for it
        self._log = get_logger(app)

    async def timed(self, step: Awaitable[str], limit: float, about: About) -> str:
        """Await a step in the running task.

        Args:
            step: the hook.
            limit: seconds; 0 for any time.
            about: tells which update it is about.

        Raises:
            HookTimeout: it was cut off.
        """
        task = asyncio.current_task(self._loop)
        if not limit or task is None:
            return await step
        before = task.cancelling()
        running = self._running[task] = Running(limit, self._clock.monotonic() + limit, about)
        try:
            return await step
        except asyncio.CancelledError as error:
            if not running.cuts or task.cancelling() - running.cuts > before:
                raise  # it is the lane that ends
            raise HookTimeout(f"the hook ran longer than {limit:g} s and was cut off") from error
        finally:
            del self._running[task]
            for _ in range(running.cuts):
                task.uncancel()
            if running.cuts > 1:
                self._count_stuck(-1)

    async def run(self) -> None:
        """Watch until cancelled."""
        tick = max(SHORTEST_TICK, min(TICK, self._limit / 10)) if self._limit else TICK
        try:
            while True:
                await self._clock.sleep(tick, late=math.inf)
                now = self._clock.monotonic()
                for task, running in list(self._running.items()):
                    if now >= running.until:
                        self._cut(task, running, now)
        finally:
            self._count_stuck(-self._stuck)

    def _cut(self, task: asyncio.Task[Any], running: Running, now: float) -> None:
        running.cuts += 1
        running.until = now + running.limit
        if running.cuts == 2:  # it had another whole time to end
            self._count_stuck(1)
            self._log.error(
                "a hook ignores that it was cut off; its chat waits for it", where=_place(task), **running.about()
            )
        task.cancel()

    def _count_stuck(self, change: int) -> None:
        self._stuck += change
        metrics.stuck.labels(self._app).inc(change)


def _place(task: asyncio.Task[Any]) -> str:
    """Tell where a task waits: the innermost functions with their lines."""
    places = []
    step: Any = task.get_coro()
    while (frame := getattr(step, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        step = step.cr_await
    return " > ".join(places[-STACK_LINES:])
