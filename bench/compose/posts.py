"""The load of the compose run: numbered messages into every room, each repeated until it is taken."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from websockets.exceptions import WebSocketException

from bench.compose.page import Page, Refused, init_data, opened
from bench.compose.stack import Stack

REPEAT_SECONDS = 0.3
FIRST_AUTHOR = 900_000


class Posts:
    """Authors with a socket each, who post into their rooms in turn.

    Args:
        stack: where.
        rooms: all of them.
        each: messages a second into one room.
        authors: how many.

    Attributes:
        taken: messages that were confirmed, by room.
        repeated: posts that were sent again because nobody knows what became of them.
    """

    def __init__(self, stack: Stack, rooms: Sequence[str], each: float, authors: int = 4) -> None:
        self.taken: Counter[str] = Counter()
        self.repeated = 0
        self._stack = stack
        self._pause = 1.0 / each
        self._shares = [rooms[number::authors] for number in range(authors)]
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Post until told to stop; what was begun is confirmed before it ends."""
        async with asyncio.TaskGroup() as group:
            for number, rooms in enumerate(self._shares):
                group.create_task(self._author(FIRST_AUTHOR + number, rooms))

    def stop(self) -> None:
        """Let the authors end."""
        self._stopping.set()

    async def _author(self, user: int, rooms: Sequence[str]) -> None:
        waiting: list[str] = []
        while waiting or not self._stopping.is_set():
            try:
                async with opened(self._stack) as page:
                    await page.log_in(init_data(self._stack, user))
                    while waiting or not self._stopping.is_set():
                        began = time.monotonic()
                        waiting = waiting or list(rooms)
                        while waiting:
                            await self._post(page, waiting[0])
                            del waiting[0]
                        await self._rest(began)
            except (OSError, TimeoutError, Refused, WebSocketException):
                self.repeated += bool(waiting)
                await asyncio.sleep(REPEAT_SECONDS)

    async def _post(self, page: Page, room: str) -> None:
        number = self.taken[room]
        await page.ask(type="post", room=room, n=number, t=time.time_ns(), key=f"{room} {number}")
        self.taken[room] += 1

    async def _rest(self, began: float) -> None:
        left = self._pause - (time.monotonic() - began)
        try:
            async with asyncio.timeout(max(0.0, left)):
                await self._stopping.wait()
        except TimeoutError:
            return
