"""What many clients of a node ask for within a short window, done together."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from prometheus_client import Histogram

from mini_apps import AppError

T = TypeVar("T")
R = TypeVar("R")

MOST = 1_000  # of one batch
MOST_WAITING = 10_000  # then the newest is refused

sizes = Histogram("pixel_board_batch", "Pixels that were painted together", buckets=(1, 4, 16, 64, 256, MOST))


class Batches(Generic[T, R]):
    """Collects things for a window, then does them together; who comes alone, after a pause, waits for nothing.

    Args:
        many: does things together and returns a result for each, in their order; what it raises, each raises.
        window: seconds from one batch to the next.
    """

    def __init__(self, many: Callable[[list[T]], Awaitable[Sequence[R]]], window: float) -> None:
        self._many = many
        self._window = window
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None

    async def one(self, thing: T) -> R:
        """Do one thing together with what others ask for.

        Raises:
            AppError: too many wait.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise AppError("Too many paint at once; try again", code="busy")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((thing, future))
        if self._task is None:
            # A batch is of many clients, so it is logged and traced as nobody's.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())
        return await future

    async def _run(self) -> None:
        """Work until nobody waits; the pause after the last batch is what the next one is collected in."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._do(batch)
                if len(self._waiting) < MOST:
                    await asyncio.sleep(self._window)
        finally:
            self._task = None
            for _, future in self._waiting:
                future.cancel()  # only when the process ends

    async def _do(self, batch: list[tuple[T, "asyncio.Future[R]"]]) -> None:
        sizes.observe(len(batch))
        try:
            results = await self._many([thing for thing, _ in batch])
        except Exception as error:  # noqa: BLE001 - raised by each of them
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
