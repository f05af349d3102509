"""One server of the bus: the connections of this process to it, and the heartbeat that shows they are not deaf."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog
from prometheus_client import Counter, Gauge
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, BrokerUnavailable, reconnect_delay
from shared.link import REFUSED, Argument, CommandRefused, Link
from shared.replicated import Replicated

BEAT_SECONDS = 1.0
DEAF_SECONDS = 3.0  # without an own heartbeat for so long, we are in trouble
DEAF_BEATS = 4  # that did not come back in their time, and the connections are rebuilt
RESUBSCRIBE_BATCH = 1_000
DOWN = "the connection to Redis is down"

Handler = Callable[[bytes], None]

lag_seconds = Gauge("mini_apps_bus_lag_seconds", "Time the last own heartbeat took through Redis")
rebuilds = Counter("mini_apps_bus_rebuilds", "Times the bus connections were rebuilt after a fault")
received = Counter("mini_apps_bus_received", "Messages heard by this process")

log = structlog.get_logger("bus")


class Words(NamedTuple):
    """The words of a kind of pub/sub, and how many channels one command may name."""

    publish: str
    subscribe: str
    unsubscribe: str
    message: bytes
    batch: int

    def confirms(self, command: str) -> bytes:
        """Return the kind of push that confirms a command."""
        return command.lower().encode()


PLAIN: Final = Words("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", b"message", RESUBSCRIBE_BATCH)
SHARDED: Final = Words("SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", b"smessage", 1)  # all of a command share a slot


class Asked(NamedTuple):
    """A name of a pub/sub command that Redis has not answered for yet."""

    future: "asyncio.Future[None]"
    kind: bytes
    name: bytes
    names: int  # that the command still has, this one included


@dataclass(frozen=True, slots=True)
class Told:
    """What a shard tells the bus.

    Attributes:
        up: it can be used, and hears its channels again; messages may be missing since it could the last time. The
            flag is false the first time.
        down: its connections are gone.
        moved: the server has this channel no more.
    """

    up: Callable[["Shard", list[bytes], bool], None]
    down: Callable[[], None]
    moved: Callable[["Shard", bytes], None]


class Shard:
    """The connections of one process to one server, made anew as often as they break.

    Args:
        pool: makes connections to it.
        beat: the channel of this process's heartbeat, which this server has; None while it has none.
        handlers: of the channels, shared with the bus.
        names: gives those that are to be heard from this server.
        told: what to tell the bus.
        words: the pub/sub commands.
        replicas: how many must confirm a write that counts.

    Attributes:
        ready: set while it can be used.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        beat: bytes | None,
        handlers: Mapping[bytes, Handler],
        names: Callable[["Shard"], Iterable[bytes]],
        told: Told,
        *,
        words: Words = PLAIN,
        replicas: int = 0,
    ) -> None:
        self.ready = asyncio.Event()
        self._pool = pool
        self._beat_channel = beat
        self._handlers = handlers
        self._names = names
        self._told = told
        self._words = words
        self._replicas = replicas
        self._asked: deque[Asked] = deque()  # in the order in which Redis answers
        self._publisher: Link | None = None
        self._subscriber: Link | None = None
        self._replicated: Replicated | None = None  # where replicas count
        self._lost = asyncio.Event()
        self._last_beat = time.monotonic()

    @property
    def hears(self) -> bool:
        """Whether it can be asked for channels now."""
        return self._subscriber is not None and self._subscriber.alive

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it is connected to."""
        return self._publisher.address if self._publisher is not None else None

    def trouble(self) -> str | None:
        """Say why it cannot be relied on now, or None."""
        if self._publisher is None or self._subscriber is None:
            return "not connected to Redis"
        silence = time.monotonic() - self._last_beat
        return f"no own heartbeat for {silence:.1f} s" if silence > DEAF_SECONDS else None

    def lose(self) -> None:
        """Make the connections anew: they lead to the wrong server."""
        self._lost.set()

    # Commands.

    def call(self, command: Sequence[Argument], *, asking: bool = False) -> "asyncio.Future[Any]":
        """Send a command with the others of this loop turn; see `Link.call`.

        Args:
            command: its words.
            asking: the server is only about to get the slot, and sent us here from the one that has it.

        Raises:
            BrokerUnavailable: it was not sent; the future raises it when the reply does not come.
        """
        if self._publisher is None:
            raise BrokerUnavailable(DOWN)
        if asking:
            self._publisher.call("ASKING").add_done_callback(_noted)
        return self._publisher.call(*command)

    def calls(self, commands: Sequence[Sequence[Argument]]) -> "asyncio.Future[list[Any]]":
        """Send several commands; see `Link.calls`.

        Raises:
            BrokerUnavailable: they were not sent; the future raises it when a reply does not come.
        """
        if self._publisher is None:
            raise BrokerUnavailable(DOWN)
        return self._publisher.calls(commands)

    def write(self, command: Sequence[Argument], *, asking: bool = False) -> Awaitable[Any]:
        """Send a write, which counts once as many replicas have it as have to; see `Replicated.call`.

        Raises:
            NotReplicated: Redis has it, but too few replicas confirmed in time.
            BrokerUnavailable: Redis did not confirm it.
        """
        if not self._replicas:
            return self.call(command, asking=asking)
        if self._replicated is None:
            raise BrokerUnavailable(DOWN)
        return self._replicated.call(*command, asking=asking)

    # Channels.

    def subscribing(self, name: bytes) -> "asyncio.Future[None]":
        """Ask to hear a channel; the future is the confirmation.

        Raises:
            BrokerUnavailable: there is no connection; the future raises it when the confirmation does not come.
        """
        if self._subscriber is None or not self._subscriber.alive:
            raise BrokerUnavailable(DOWN)
        (confirmed,) = self._ask(self._subscriber, self._words.subscribe, [name])
        return confirmed

    def unsubscribe(self, name: bytes) -> None:
        """Hear a channel no more."""
        if self._subscriber is not None and self._subscriber.alive:
            self._ask(self._subscriber, self._words.unsubscribe, [name])

    def beat_on(self, channel: bytes) -> None:
        """Send the heartbeat over another channel from now on: the server has none, or has lost the one before."""
        before, self._beat_channel = self._beat_channel, channel
        self._last_beat = time.monotonic()
        if self._subscriber is not None and self._subscriber.alive:
            if before is not None:
                self.unsubscribe(before)
            self._ask(self._subscriber, self._words.subscribe, [channel])

    def _ask(self, subscriber: Link, command: str, names: list[bytes]) -> "list[asyncio.Future[None]]":
        """Send a pub/sub command; Redis answers for each name, in order, or refuses the whole command."""
        subscriber.send(command, *names)
        kind = self._words.confirms(command)
        futures: list[asyncio.Future[None]] = [subscriber.future() for _ in names]
        self._asked.extend(
            Asked(future, kind, name, len(futures) - place)
            for place, (name, future) in enumerate(zip(names, futures, strict=True))
        )
        return futures

    # The connections.

    async def run(self) -> None:
        """Keep the connections alive until cancelled."""
        attempt, again = 0, False
        try:
            while True:
                try:
                    names = await self._connect()
                    self.ready.set()
                    self._told.up(self, names, again)
                    attempt, again = 0, True
                    await self._beat_until_lost()
                except (*UNREACHABLE, RedisError, BrokerUnavailable) as error:
                    if attempt % 20 == 0:
                        log.warning("bus connection lost; reconnecting", error=str(error) or type(error).__name__)
                rebuilds.inc()
                self._drop()
                self._told.down()
                await asyncio.sleep(reconnect_delay(attempt))
                attempt += 1
        finally:
            self._drop()

    async def _connect(self) -> list[bytes]:
        self._lost.clear()
        subscriber = await Link(on_push=self._take, on_lost=self._lost.set).open(self._pool)
        try:
            publisher = await Link(on_lost=self._lost.set).open(self._pool)
            if self._replicas:
                link = await Link(on_lost=self._lost.set).open(self._pool)
                self._replicated = Replicated(link, self._replicas, self._lost.set)
        except BaseException:
            subscriber.abort()
            raise
        self._subscriber, self._publisher = subscriber, publisher
        names = await self._resubscribe(subscriber)
        self._last_beat = time.monotonic()
        return names

    async def _resubscribe(self, subscriber: Link) -> list[bytes]:
        """Subscribe again to all there was, confirmed, before anybody is told that the bus is back."""
        names = list(self._names(self))
        beat = [self._beat_channel] if self._beat_channel is not None else []
        waiting = self._ask(subscriber, self._words.subscribe, beat) if beat else []
        for start in range(0, len(names), self._words.batch):
            waiting += self._ask(subscriber, self._words.subscribe, names[start : start + self._words.batch])
        async with asyncio.timeout(DEAF_SECONDS + len(names) / RESUBSCRIBE_BATCH):
            await asyncio.gather(*waiting)
        return names

    async def _beat_until_lost(self) -> None:
        unheard = 0  # beats, not seconds: a process that stood still has heard nothing, and lost nothing
        while not self._lost.is_set():
            if unheard >= DEAF_BEATS:
                raise BrokerUnavailable(f"{DEAF_BEATS} own heartbeats did not come back")
            before = self._last_beat
            if self._publisher is not None and self._beat_channel is not None:
                sent = str(time.monotonic_ns()).encode()
                beat = self._publisher.call(self._words.publish, self._beat_channel, sent)
                beat.add_done_callback(_noted)  # a refused one is noticed by its silence
            else:
                self._last_beat = time.monotonic()  # without slots the server has no channel for it
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):  # wait_for of Python 3.11 can lose a cancellation here
                    await self._lost.wait()
            unheard = unheard + 1 if self._last_beat == before else 0
        raise BrokerUnavailable("Redis closed the connection")

    def _take(self, push: list[Any]) -> None:
        kind, name, payload = push
        if kind == self._words.message:
            if name == self._beat_channel:
                self._beat(payload)
                return
            received.inc()
            handler = self._handlers.get(name)
            if handler is not None:
                _hand_over(handler, payload)
        elif kind == REFUSED:
            self._refused(payload)
        elif self._asked and self._asked[0].kind == kind and self._asked[0].name == name:
            _settle(self._asked.popleft().future)
        elif kind == self._words.confirms(self._words.unsubscribe):  # which nobody asked for
            self._told.moved(self, name)

    def _refused(self, error: CommandRefused) -> None:
        """Fail the oldest command that waits: Redis answers in order, but an error names no channel."""
        for _ in range(self._asked[0].names if self._asked else 0):
            _settle(self._asked.popleft().future, error)

    def _beat(self, payload: bytes) -> None:
        self._last_beat = time.monotonic()
        lag_seconds.set((time.monotonic_ns() - int(payload)) / 1e9)

    def _drop(self) -> None:
        self.ready.clear()
        for link in (self._publisher, self._subscriber, self._replicated):
            if link is not None:
                link.abort()
        self._publisher = self._subscriber = self._replicated = None
        asked, self._asked = self._asked, deque()
        for waiting in asked:
            _settle(waiting.future, BrokerUnavailable("the connection to Redis broke before it confirmed"))


def _hand_over(handler: Handler, payload: bytes) -> None:
    try:
        handler(payload)
    except Exception:  # one bad message must not deafen the process
        log.exception("a bus message could not be handled")


def _settle(future: "asyncio.Future[None]", error: BrokerUnavailable | None = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # whoever waited may be gone


def _noted(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
