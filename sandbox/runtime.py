"""The running sandbox: the state, a clock, and who must hear of changes."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random

from sandbox.config import SandboxConfig
from sandbox.model import Event
from sandbox.state import World
from sandbox.traffic import Traffic

MAX_EVENTS = 1000  # waiting for one page; then it is cut off, reconnects and reads everything anew

Clock = Callable[[], float]


class Feed:
    """Events on their way to one page; `overflowed` once it reads too slowly."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue(MAX_EVENTS)
        self.overflowed = False

    def put(self, event: Event | None) -> None:
        """Add an event, or end a feed that has no room for it."""
        if self.queue.full():
            self.overflowed = True
            while not self.queue.empty():
                self.queue.get_nowait()
            event = None
        self.queue.put_nowait(event)


class Runtime:
    """State and shell of one sandbox.

    Args:
        config: what it was started with.
        clock: unix seconds.
        rng: makes ids.
    """

    def __init__(self, config: SandboxConfig, clock: Clock, rng: Random) -> None:
        self.config = config
        self.clock = clock
        self.world = World(config.bots, config.users, rng, clock())
        for bot in self.world.bots.values():
            bot.limits.enabled = config.limits
            for fault in config.faults:
                bot.faults.add(replace(fault))
        self.traffic = Traffic()
        self.closing = False
        self.ending = asyncio.Event()
        self._at_end: set[asyncio.Event] = set()
        self._feeds: set[Feed] = set()
        self._wakers: defaultdict[int, set[asyncio.Event]] = defaultdict(set)

    def settle(self) -> None:
        """Tell pages and deliveries what the last step changed; every handler that changed something calls it."""
        while self.world.noted:
            self.traffic.note(self.world.noted.popleft())
        events, woken = self.world.take_outbox()
        for event in events:
            for feed in self._feeds:
                feed.put(event)
        for bot_id in woken:
            self._wake(bot_id)

    @contextmanager
    def waker(self, bot_id: int) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the queue or webhook of a bot changed."""
        event = asyncio.Event()
        self._wakers[bot_id].add(event)
        try:
            yield event
        finally:
            self._wakers[bot_id].discard(event)

    @contextmanager
    def feed(self) -> Iterator[Feed]:
        """Give all events from now on."""
        feed = Feed()
        self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)

    @contextmanager
    def ending_sets(self, event: asyncio.Event) -> Iterator[None]:
        """Have an event set at the end."""
        self._at_end.add(event)
        try:
            yield
        finally:
            self._at_end.discard(event)

    def close(self) -> None:
        """End what waits: long polls return nothing, feeds end."""
        self.closing = True
        self.ending.set()
        for bot_id in list(self._wakers):
            self._wake(bot_id)
        for feed in self._feeds:
            feed.put(None)
        for event in self._at_end:
            event.set()

    def _wake(self, bot_id: int) -> None:
        for event in self._wakers[bot_id]:
            event.set()
