"""Listening to what passes, without taking part: patterns of pub/sub, and streams read beside their consumers.

A reader of a stream that is in no group takes nothing from anybody. But an entry that was done and taken out before the
next reading is missed.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from redis.exceptions import RedisError

from mini_apps.cli.inspect import decode
from mini_apps.cli.inspect.decode import Seen
from mini_apps.cli.inspect.servers import heard_channels
from shared.broker import MAX_BLOCK, UNREACHABLE, Broker, BrokerUnavailable
from shared.bus import Bus
from shared.keys import EVERYONE_PARTS, FAST_LANE, lane_name
from shared.topology import Sharded

WAITING: Final = 5_000  # things seen and not yet shown; further ones are counted, not kept
KNOWN_CALLS: Final = 10_000  # whose results are told with their app and trace
REST_SECONDS: Final = 1.0  # after a fault of Redis
BATCH: Final = 500  # entries of one reading
NEW_CHANNELS_SECONDS: Final = 0.5  # between two looks for channels of a cluster that nobody heard before
MOST_CHANNELS: Final = 10_000  # of a pattern, in a cluster

Take = Callable[[Mapping[bytes, bytes]], None]


@dataclass(slots=True)
class Sources:
    """What to listen to.

    Attributes:
        apps: their names, and over how many lanes the updates of each are spread.
        bodies: show them whole.
    """

    apps: dict[str, int]
    bodies: bool


class Traffic:
    """Everything that passes, in the order in which it is seen.

    Args:
        broker: the open broker.
        sources: what to listen to.

    Attributes:
        dropped: things that came faster than they were taken.
    """

    def __init__(self, broker: Broker, sources: Sources) -> None:
        self._broker = broker
        self._sources = sources
        self._seen: deque[Seen] = deque()
        self._news = asyncio.Event()
        self._calls: dict[str, tuple[str, str, int]] = {}  # id to app, trace, user
        self.dropped = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the block runs; from its begin on nothing published is missed."""
        heard = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._hear(heard), name="hear")]
            for app in self._sources.apps:
                tasks += [
                    group.create_task(self._read(key, take), name=f"read-{key}") for key, take in self._streams(app)
                ]
            try:
                await heard.wait()
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def next(self) -> Seen:
        """Return the next thing that passed."""
        while not self._seen:
            self._news.clear()
            await self._news.wait()
        return self._seen.popleft()

    def _put(self, seen: Seen) -> None:
        if len(self._seen) >= WAITING:
            self.dropped += 1
            return
        self._seen.append(seen)
        self._news.set()

    def _streams(self, app: str) -> Iterator[tuple[str, Take]]:
        keys, count = self._broker.keys.app(app), self._sources.apps[app]
        for lane in (FAST_LANE, *range(count)) if count else ():
            yield keys.updates(lane), partial(self._take_update, app, lane_name(lane))
        yield keys.calls, partial(self._take_call, app, "now")
        yield keys.calls_bulk, partial(self._take_call, app, "bulk")

    def _take_update(self, app: str, lane: str, fields: Mapping[bytes, bytes]) -> None:
        self._put(decode.update(app, lane, fields, bodies=self._sources.bodies))

    def _take_call(self, app: str, stream: str, fields: Mapping[bytes, bytes]) -> None:
        seen = decode.call(app, stream, fields, bodies=self._sources.bodies)
        if seen.id:
            self._calls[seen.id] = (seen.app, seen.trace, seen.user)
            if len(self._calls) > KNOWN_CALLS:
                del self._calls[next(iter(self._calls))]
        self._put(seen)

    async def _hear(self, heard: asyncio.Event) -> None:
        prefix = self._broker.settings.prefix
        patterns = [f"{_literal(prefix)}:{_literal(app)}:*" for app in self._sources.apps]
        patterns.append(f"{_literal(prefix)}:_:inbox:*")
        if isinstance(self._broker.topology, Sharded):
            await self._hear_shards(patterns, heard)
        while True:
            with contextlib.suppress(*UNREACHABLE, RedisError):
                async with self._broker.blocking.pubsub() as hearing:
                    await hearing.psubscribe(*patterns)
                    heard.set()
                    while True:
                        message = await hearing.get_message(ignore_subscribe_messages=True, timeout=MAX_BLOCK)
                        if message is not None and message["type"] == "pmessage":
                            self._take_message(message["channel"].decode("utf-8", "replace"), message["data"])
            await asyncio.sleep(REST_SECONDS)

    async def _hear_shards(self, patterns: list[str], heard: asyncio.Event) -> None:
        """Hear every sharded channel that somebody else hears; they have no patterns, so new ones are looked for."""
        apps = [self._broker.keys.app(app) for app in self._sources.apps]
        ours = {keys.everyone(part) for keys in apps for part in range(EVERYONE_PARTS)}  # which all carry the same
        wanted = {keys.everyone() for keys in apps}
        async with Bus(self._broker, f"tail-{secrets.token_hex(3)}") as bus:
            while True:
                with contextlib.suppress(*UNREACHABLE, RedisError, BrokerUnavailable):
                    for pattern in patterns:
                        wanted |= {
                            name for name, _ in await heard_channels(self._broker, pattern, MOST_CHANNELS)
                        } - ours
                    for name in sorted(wanted):
                        await bus.subscribe(name, partial(self._take_message, name))
                        wanted.discard(name)
                        ours.add(name)
                    heard.set()
                await asyncio.sleep(NEW_CHANNELS_SECONDS)

    def _take_message(self, channel: str, payload: bytes) -> None:
        name = channel.removeprefix(f"{self._broker.settings.prefix}:")
        if not name.startswith("_:inbox:"):
            self._put(decode.frame(name, payload, bodies=self._sources.bodies))
            return
        seen = decode.answer(name.removeprefix("_:inbox:"), payload, bodies=self._sources.bodies)
        app, trace, user = self._calls.pop(seen.id, ("", "", 0))
        self._put(Seen(seen.kind, app, seen.where, seen.what, user, "", trace, seen.body, seen.id))

    async def _read(self, key: str, take: Take) -> None:
        """Read a stream from now on; each on a connection of its own, so that it works on a cluster too."""
        last: Any = "$"
        while True:
            try:
                if last == "$":
                    last = await self._newest(key)
                found: Any = await self._broker.blocking.xread({key: last}, count=BATCH, block=int(MAX_BLOCK * 1000))
            except (*UNREACHABLE, RedisError):
                await asyncio.sleep(REST_SECONDS)
                continue
            for _, entries in found or ():
                for id_, fields in entries:
                    last = id_
                    take(fields)

    async def _newest(self, key: str) -> bytes:
        """Return the id after which news begin."""
        newest: Any = await self._broker.client.xrevrange(key, count=1)
        return bytes(newest[0][0]) if newest else b"0-0"


def _literal(text: str) -> str:
    """Keep a pattern from reading a name as one."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in text)
