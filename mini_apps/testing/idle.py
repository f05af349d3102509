"""Noticing when an event loop has nothing to do but to wait."""

import asyncio
import contextlib
import selectors
from collections.abc import Iterator
from typing import Any


class IdleWatch:
    """Watches one loop through what the loop waits with.

    Args:
        loop: of the test.

    Attributes:
        events: sockets that had something for the loop so far.
        ignored: numbers of sockets that do not count.
        users: blocks that it is watched in.

    Raises:
        TypeError: the loop is not one of asyncio's own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        selector = getattr(loop, "_selector", None)
        if not isinstance(selector, selectors.BaseSelector):
            raise TypeError(
                f"a deployment under test needs asyncio's own event loop, and this is {type(loop).__name__}: "
                "leave uvloop's policy out of the tests"
            )
        self._loop = loop
        self._selector: Any = selector
        self.users = 0
        self._wait = selector.select
        self._waiting: list[asyncio.Future[None]] = []
        self.events = 0
        self.ignored: set[int] = set()

    def start(self) -> None:
        """Begin to watch."""
        self._selector.select = self._select

    def stop(self) -> None:
        """Watch no more; who still waits goes on."""
        self._selector.select = self._wait
        self._wake()

    @contextlib.contextmanager
    def without(self, fileno: int) -> Iterator[None]:
        """Do not count what a socket has for the loop, while the block runs."""
        self.ignored.add(fileno)
        try:
            yield
        finally:
            self.ignored.discard(fileno)

    async def idle(self) -> None:
        """Wait until the loop has nothing to do but to wait."""
        waiting = self._loop.create_future()
        self._waiting.append(waiting)
        await waiting

    def _select(self, timeout: float | None = None) -> Any:
        found = self._wait(0 if self._waiting else timeout)
        for key, _ in found:
            if key.fd not in self.ignored:
                self.events += 1
        if not found and timeout != 0:
            self._wake()
        return found

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


_watches: dict[asyncio.AbstractEventLoop, IdleWatch] = {}  # of the loops that are watched now


@contextlib.contextmanager
def watched(loop: asyncio.AbstractEventLoop) -> Iterator[IdleWatch]:
    """Give the watch on a loop, one for all who want it at the same time.

    Args:
        loop: of the test.

    Raises:
        TypeError: the loop is not one of asyncio's own.
    """
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = IdleWatch(loop)
    watch.users += 1
    watch.start()
    try:
        yield watch
    finally:
        watch.users -= 1
        if not watch.users:
            watch.stop()
            del _watches[loop]
