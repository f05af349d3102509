"""The steady load of a run: clients in rooms, messages to them, people who write to the bot and get an answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bench.chaos.site import Site
from bench.churn.crowd import Crowd

STEP_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """How much load there is.

    Attributes:
        clients: each in two rooms.
        rooms: channels with history.
        messages: a second, over all rooms.
        chats: people who write to the bot.
        updates: a second, each answered by one call.
        pause: seconds of undisturbed load before each fault, and after it.
    """

    clients: int = 200
    rooms: int = 20
    messages: float = 40.0
    chats: int = 60
    updates: float = 30.0
    pause: float = 3.0

    def rooms_of(self, client: int) -> list[str]:
        """Return the two rooms of a client."""
        return [f"room:{client % self.rooms}", f"room:{(client + 1 + client // self.rooms) % self.rooms}"]


class Load:
    """The load on a site.

    Args:
        site: that runs.
        size: of the load.

    Attributes:
        crowd: the clients.
        going: set while messages and updates are made.
    """

    def __init__(self, site: Site, size: Size) -> None:
        self.crowd = Crowd([size.rooms_of(number) for number in range(size.clients)], site.nodes.addresses)
        self.going = asyncio.Event()
        self._site = site
        self._size = size

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the clients live; messages and updates wait for `going`."""
        async with self.crowd.living():
            await self.crowd.all_in()
            tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._write())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish(self) -> None:
        turn, due = 0, 0.0
        while True:
            await self.going.wait()
            await asyncio.sleep(STEP_SECONDS)
            due += self._size.messages * STEP_SECONDS
            channels = [f"room:{number % self._size.rooms}" for number in range(turn, turn + int(due))]
            turn, due = turn + len(channels), due - len(channels)
            await self.crowd.publish(self._site.app, channels)

    async def _write(self) -> None:
        due = 0.0
        while True:
            await self.going.wait()
            await asyncio.sleep(STEP_SECONDS)
            due += self._size.updates * STEP_SECONDS
            for _ in range(int(due)):
                self._site.write()
            due -= int(due)
