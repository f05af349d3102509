"""Things that are asked for one by one in one turn of the event loop, and done together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 500  # things done at once


class Together(Generic[T, R]):
    """Collects what a loop turn asks for.

    Args:
        many: does things together and returns a result for each, in their order; what it raises, each raises.
    """

    def __init__(self, many: Callable[[list[T]], Awaitable[Sequence[R]]]) -> None:
        self._many = many
        self._batch: list[tuple[T, asyncio.Future[R]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None  # Python 3.11 asks the kernel for the running one

    def one(self, thing: T) -> "asyncio.Future[R]":
        """Do one thing with the others of this loop turn; whoever cancels the future cancels only that."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        if not self._batch or len(self._batch) >= MOST:
            self._batch = []
            loop.call_soon(self._start, self._batch)
        future: asyncio.Future[R] = loop.create_future()
        self._batch.append((thing, future))
        return future

    def _start(self, batch: list[tuple[T, "asyncio.Future[R]"]]) -> None:
        if self._batch is batch:
            self._batch = []
        task = asyncio.create_task(self._run(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[tuple[T, "asyncio.Future[R]"]]) -> None:
        try:
            results = await self._many([thing for thing, _ in batch])
        except Exception as error:  # noqa: BLE001 - raised by each of them
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # the one that asked may be gone
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
