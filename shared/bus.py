"""The message bus between processes: Redis pub/sub with a heartbeat to itself.

A pub/sub connection can be alive and deaf, so each process publishes a heartbeat to itself through the bus and
rebuilds its connections when it does not come back. What was published in between is lost to this process; it learns
so by `on_gap`, after every subscription is back.

Guarantee: `publish` returns once Redis has the message and raises `BrokerUnavailable` otherwise; subscribers get the
messages of one channel in the order in which Redis took them, at most once.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import structlog
from prometheus_client import Counter, Gauge
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, Broker, BrokerUnavailable, reconnect_delay
from shared.link import Argument, Link

BEAT_SECONDS = 1.0
DEAF_SECONDS = 3.0  # without an own heartbeat for so long, the connections are rebuilt
RESUBSCRIBE_BATCH = 1_000

Handler = Callable[[bytes], None]

lag_seconds = Gauge("mini_apps_bus_lag_seconds", "Time the last own heartbeat took through Redis")
rebuilds = Counter("mini_apps_bus_rebuilds", "Times the bus connections were rebuilt after a fault")
published = Counter("mini_apps_bus_published", "Messages published by this process")
received = Counter("mini_apps_bus_received", "Messages heard by this process")

log = structlog.get_logger("bus")


class Bus:
    """The publishing and subscribing end of one process.

    Args:
        broker: the open broker.
        node_id: names the heartbeat channel of this process.
        on_gap: called after the subscriptions were rebuilt: messages may have been missed.
    """

    def __init__(self, broker: Broker, node_id: str, *, on_gap: Callable[[], None] | None = None) -> None:
        self._broker = broker
        self._beat_channel = broker.keys.beat(node_id).encode()
        self._on_gap = on_gap
        self._handlers: dict[bytes, Handler] = {}
        self._confirmations: dict[bytes, deque[asyncio.Future[None]]] = {}
        self._publisher: Link | None = None
        self._subscriber: Link | None = None
        self._lost = asyncio.Event()
        self._last_beat = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect, and keep the connections alive in a task of the bus's own."""
        connected = asyncio.Event()
        self._task = asyncio.create_task(self._run(connected), name="bus")
        try:
            await connected.wait()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections; waiting publishes and subscriptions fail."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; waiting publishes and subscriptions fail."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._drop()

    def trouble(self) -> str | None:
        """Say why the bus cannot be relied on now, or None; for readiness."""
        if self._publisher is None or self._subscriber is None:
            return "bus: not connected to Redis"
        silence = time.monotonic() - self._last_beat
        return f"bus: no own heartbeat for {silence:.1f} s" if silence > DEAF_SECONDS else None

    async def publish(self, channel: str, payload: bytes) -> int:
        """Publish with the other messages of this loop turn, in call order.

        Args:
            channel: a name from `shared.keys`.
            payload: a finished frame of `shared.bus_frames`.

        Returns:
            How many subscriptions Redis handed it to.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        published.inc()
        return int(await self.call("PUBLISH", channel, payload))

    async def call(self, *command: Argument) -> Any:
        """Run a command on the publishing connection, in order with the publishes.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        if self._publisher is None:
            raise BrokerUnavailable("the connection to Redis is down")
        return await self._publisher.call(*command)

    async def calls(self, *commands: Sequence[Argument]) -> list[Any]:
        """Run several commands, sent together; their replies in order.

        Raises:
            BrokerUnavailable: Redis did not confirm one of them.
        """
        if self._publisher is None:
            raise BrokerUnavailable("the connection to Redis is down")
        replies = [self._publisher.call(*command) for command in commands]
        return [await reply for reply in replies]

    async def subscribe(self, channel: str, handler: Handler) -> None:
        """Hear `channel`; returns once Redis confirmed, so that nothing published from then on is missed.

        Args:
            channel: a name from `shared.keys`; one handler each.
            handler: takes the payload; must not block or raise.

        Raises:
            BrokerUnavailable: Redis did not confirm it; the subscription is not kept.
        """
        name = channel.encode()
        if self._subscriber is None or not self._subscriber.alive:
            raise BrokerUnavailable("the connection to Redis is down")
        self._handlers[name] = handler
        confirmed = asyncio.get_running_loop().create_future()
        self._confirmations.setdefault(name, deque()).append(confirmed)
        self._subscriber.send("SUBSCRIBE", name)
        try:
            await confirmed
        except BrokerUnavailable:
            self._handlers.pop(name, None)
            raise
        except asyncio.CancelledError:
            self.unsubscribe(channel)
            raise

    def unsubscribe(self, channel: str) -> None:
        """Hear `channel` no more; messages in flight are dropped."""
        name = channel.encode()
        if self._handlers.pop(name, None) is not None and self._subscriber is not None and self._subscriber.alive:
            self._subscriber.send("UNSUBSCRIBE", name)

    async def _run(self, connected: asyncio.Event) -> None:
        attempt = 0
        while True:
            try:
                await self._connect()
                if connected.is_set():
                    log.info("bus connections rebuilt", subscriptions=len(self._handlers))
                    self._tell_gap()
                connected.set()
                attempt = 0
                await self._beat_until_lost()
            except (*UNREACHABLE, RedisError, BrokerUnavailable) as error:
                if attempt % 20 == 0:
                    log.warning("bus connection lost; reconnecting", error=str(error) or type(error).__name__)
            rebuilds.inc()
            self._drop()
            await asyncio.sleep(reconnect_delay(attempt))
            attempt += 1

    def _tell_gap(self) -> None:
        if self._on_gap is None:
            return
        try:
            self._on_gap()
        except Exception:  # a bug of its owner must not end the bus
            log.exception("a gap of the bus could not be announced")

    async def _connect(self) -> None:
        self._lost.clear()
        subscriber = await Link(on_push=self._take, on_lost=self._lost.set).open(self._broker.links)
        try:
            publisher = await Link(on_lost=self._lost.set).open(self._broker.links)
        except BaseException:
            subscriber.abort()
            raise
        self._subscriber, self._publisher = subscriber, publisher
        await self._resubscribe(subscriber)
        self._last_beat = time.monotonic()

    async def _resubscribe(self, subscriber: Link) -> None:
        """Subscribe again to all there was, confirmed, before anybody is told that the bus is back."""
        names = [self._beat_channel, *self._handlers]
        waiting = []
        for start in range(0, len(names), RESUBSCRIBE_BATCH):
            batch = names[start : start + RESUBSCRIBE_BATCH]
            for name in batch:
                confirmed = asyncio.get_running_loop().create_future()
                self._confirmations.setdefault(name, deque()).append(confirmed)
                waiting.append(confirmed)
            subscriber.send("SUBSCRIBE", *batch)
        async with asyncio.timeout(DEAF_SECONDS + len(names) / RESUBSCRIBE_BATCH):
            await asyncio.gather(*waiting)

    async def _beat_until_lost(self) -> None:
        while not self._lost.is_set():
            if time.monotonic() - self._last_beat > DEAF_SECONDS:
                raise BrokerUnavailable(f"no own heartbeat came back for {DEAF_SECONDS:g} s")
            if self._publisher is not None:
                sent = str(time.monotonic_ns()).encode()
                beat = self._publisher.call("PUBLISH", self._beat_channel, sent)
                beat.add_done_callback(_noted)  # a refused one is noticed by its silence
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):  # wait_for of Python 3.11 can lose a cancellation here
                    await self._lost.wait()
        raise BrokerUnavailable("Redis closed the connection")

    def _take(self, push: list[Any]) -> None:
        kind, name, payload = push
        if kind == b"message":
            if name == self._beat_channel:
                self._beat(payload)
                return
            received.inc()
            handler = self._handlers.get(name)
            if handler is not None:
                self._hand_over(handler, payload)
        elif kind == b"subscribe":
            waiting = self._confirmations.get(name)
            if waiting:
                future = waiting.popleft()
                if not waiting:
                    del self._confirmations[name]
                if not future.done():
                    future.set_result(None)

    def _hand_over(self, handler: Handler, payload: bytes) -> None:
        try:
            handler(payload)
        except Exception:  # one bad message must not deafen the process
            log.exception("a bus message could not be handled")

    def _beat(self, payload: bytes) -> None:
        self._last_beat = time.monotonic()
        lag_seconds.set((time.monotonic_ns() - int(payload)) / 1e9)

    def _drop(self) -> None:
        for link in (self._publisher, self._subscriber):
            if link is not None:
                link.abort()
        self._publisher = self._subscriber = None
        waiting, self._confirmations = self._confirmations, {}
        for future in (future for queue in waiting.values() for future in queue):
            if not future.done():
                future.set_exception(BrokerUnavailable("the connection to Redis broke before it confirmed"))
                future.exception()


def _noted(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
