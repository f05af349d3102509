"""Which bus channels this node hears: subscribed for the first member, given up a while after the last.

The while saves a reconnecting client, or a page that is reloaded, from two commands to Redis each time.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from shared.bus import Bus

LINGER_SECONDS = 5.0


class Subscriptions:
    """Counts who needs each bus channel.

    Args:
        bus: the open bus.
        deliver: takes the channel name and the payload.
        gone: told the channel name when it is heard no more.
    """

    def __init__(self, bus: Bus, deliver: Callable[[str, bytes], None], gone: Callable[[str], None]) -> None:
        self._bus = bus
        self._deliver = deliver
        self._gone = gone
        self._holds: dict[str, int] = {}
        self._heard: dict[str, asyncio.Future[None] | None] = {}  # None once Redis confirmed
        self._lingering: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many bus channels this node hears."""
        return len(self._heard)

    async def hold(self, name: str) -> None:
        """Hear `name` from when this returns until `release`.

        Raises:
            BrokerUnavailable: Redis did not confirm; nothing is held.
        """
        self._holds[name] = self._holds.get(name, 0) + 1
        self._lingering.pop(name, None)
        asked: asyncio.Future[None] | None = None
        try:
            if name not in self._heard:
                self._heard[name] = self._bus.subscribing(name, partial(self._deliver, name))
            asked = self._heard[name]
            if asked is None:
                return
            await asyncio.shield(asked)  # others may wait for the same confirmation
        except BaseException:
            if asked is not None and self._heard.get(name) is asked and _failed(asked):
                del self._heard[name]
            self.release(name, 0.0)
            raise
        if self._heard.get(name) is asked:
            self._heard[name] = None

    def release(self, name: str, now: float) -> None:
        """Give one hold up; `now` in seconds of a monotonic clock."""
        holds = self._holds.get(name, 0) - 1
        if holds > 0:
            self._holds[name] = holds
            return
        self._holds.pop(name, None)
        if name in self._heard:
            self._lingering[name] = now + LINGER_SECONDS

    def expire(self, now: float) -> None:
        """Unsubscribe from what nobody has needed for a while."""
        for name in [name for name, until in self._lingering.items() if until <= now]:
            del self._lingering[name]
            if asked := self._heard.pop(name):
                asked.cancel()
            self._bus.unsubscribe(name)
            self._gone(name)

    def close(self) -> None:
        """Wait for no confirmation any more."""
        heard, self._heard = self._heard, {}
        for asked in heard.values():
            if asked is not None:
                asked.cancel()


def _failed(asked: "asyncio.Future[None]") -> bool:
    return asked.done() and (asked.cancelled() or asked.exception() is not None)
