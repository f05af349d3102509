"""Work that is done again and again while a block runs."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Periodic(ABC):
    """Does its work when its block is entered, then every so many seconds, in a task of its own.

    Args:
        seconds: between the end of one time and the begin of the next.
        name: of the task.
    """

    def __init__(self, seconds: float, name: str) -> None:
        self._seconds = seconds
        self._name = name
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Do it once, waiting for its end, and go on."""
        await self._once()
        self._task = asyncio.create_task(self._repeat(), name=self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._once()

    @abstractmethod
    async def _once(self) -> None:
        """Do the work; what it raises ends it for good, so it deals with faults of Redis itself."""
