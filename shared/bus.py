"""The message bus between processes: Redis pub/sub with a heartbeat to itself.

A pub/sub connection can be alive and deaf, so each process publishes a heartbeat to itself through the bus and
rebuilds its connections when it does not come back. What was published in between is lost to this process; it learns
so by `on_gap`, after every subscription is back. In a cluster all this holds for each shard by itself.

Guarantee: `publish` returns once Redis has the message and raises `BrokerUnavailable` otherwise; subscribers get the
messages of one channel in the order in which Redis took them, at most once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import structlog
from prometheus_client import Counter

from shared.broker import Broker, BrokerUnavailable
from shared.cluster import ClusterServers
from shared.keys import EVERYONE_PARTS
from shared.one_server import OneServer
from shared.shard import BEAT_SECONDS, DEAF_SECONDS, PLAIN, SHARDED, Handler, lag_seconds
from shared.slots import slot_of
from shared.topology import Sharded

if TYPE_CHECKING:
    from shared.link import Argument

__all__ = ["BEAT_SECONDS", "DEAF_SECONDS", "Bus", "Gap", "Handler", "lag_seconds"]

Gap = Callable[[Collection[str]], None]
"""Takes the channels on which messages may have been missed."""

published = Counter("mini_apps_bus_published", "Messages published by this process")

log = structlog.get_logger("bus")


class Bus:
    """The publishing and subscribing end of one process.

    Args:
        broker: the open broker.
        node_id: names the heartbeat channel of this process.
        on_gap: called after subscriptions were rebuilt, with the channels on which messages may have been missed.

    Attributes:
        sharded: whether Redis is a cluster.
        parts: over how many channels a broadcast goes.
        part: the one of them that this process hears.
    """

    def __init__(self, broker: Broker, node_id: str, *, on_gap: Gap | None = None) -> None:
        self._on_gap = [] if on_gap is None else [on_gap]
        self._handlers: dict[bytes, Handler] = {}
        self._replicas = broker.settings.wait_replicas
        topology = broker.topology
        self.sharded = isinstance(topology, Sharded)
        self.parts = EVERYONE_PARTS if self.sharded else 1
        self.part = slot_of(node_id.encode()) % self.parts
        self._publish = (SHARDED if self.sharded else PLAIN).publish
        self._servers: OneServer | ClusterServers = (
            ClusterServers(broker, topology, node_id, self._handlers, self._tell_gap)
            if isinstance(topology, Sharded)
            else OneServer(broker, topology, node_id, self._handlers, self._tell_gap)
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect, and keep the connections alive in a task of the bus's own."""
        self._task = asyncio.create_task(self._servers.run(), name="bus")
        try:
            await self._servers.connected.wait()
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

    def trouble(self) -> str | None:
        """Say why the bus cannot be relied on now, or None; for readiness."""
        trouble = self._servers.trouble()
        return f"bus: {trouble}" if trouble is not None else None

    def watch_gaps(self, on_gap: Gap) -> None:
        """Have `on_gap` called too after subscriptions were rebuilt; for as long as the bus lives."""
        self._on_gap.append(on_gap)

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
        return int(await self._servers.call((self._publish, channel, payload)))

    async def call(self, *command: "Argument") -> Any:
        """Run a command on the publishing connection, in order with the publishes.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        return await self._servers.call(command)

    async def write(self, *command: "Argument") -> Any:
        """Run a write that must outlive a failover where `redis.wait-replicas` asks for it.

        Such writes are in order among themselves. Otherwise this is `call`.

        Raises:
            NotReplicated: Redis has it, but too few replicas confirmed in time.
            BrokerUnavailable: Redis did not confirm it.
        """
        return await self._servers.write(command)

    def begin(self, *command: "Argument") -> "asyncio.Future[Any]":
        """Send a write and return the future of its reply; where replicas have to confirm it, there is only `write`.

        Raises:
            BrokerUnavailable: it was not sent; the future raises it when the reply does not come, in a cluster also
                when it was sent to a server that has the key no more. `call` would find the right one.
        """
        if self._replicas:
            raise BrokerUnavailable("replicas have to confirm what is written")
        return self._servers.begin(command)

    async def calls(self, *commands: "Sequence[Argument]") -> list[Any]:
        """Run several commands, sent together; their replies in order.

        Raises:
            BrokerUnavailable: Redis did not confirm one of them.
        """
        return await self._servers.calls(commands)

    async def subscribe(self, channel: str, handler: Handler) -> None:
        """Hear `channel`; returns once Redis confirmed, so that nothing published from then on is missed.

        Args:
            channel: a name from `shared.keys`; one handler each.
            handler: takes the payload; must not block or raise.

        Raises:
            BrokerUnavailable: Redis did not confirm it; the subscription is not kept.
        """
        try:
            await self.subscribing(channel, handler)
        except asyncio.CancelledError:
            self.unsubscribe(channel)
            raise

    def subscribing(self, channel: str, handler: Handler) -> "asyncio.Future[None]":
        """Ask to hear `channel`; the future is Redis's confirmation, or raises `BrokerUnavailable` as `subscribe` does.

        Args:
            channel: a name from `shared.keys`; one handler each.
            handler: takes the payload; must not block or raise.

        Raises:
            BrokerUnavailable: there is no connection.
        """
        name = channel.encode()
        confirmed = self._servers.subscribing(name)
        self._handlers[name] = handler
        confirmed.add_done_callback(partial(self._forget_refused, name, handler))
        return confirmed

    def _forget_refused(self, name: bytes, handler: Handler, confirmed: "asyncio.Future[None]") -> None:
        if not confirmed.cancelled() and confirmed.exception() is not None and self._handlers.get(name) is handler:
            del self._handlers[name]

    def unsubscribe(self, channel: str) -> None:
        """Hear `channel` no more; messages in flight are dropped."""
        name = channel.encode()
        if self._handlers.pop(name, None) is not None:
            self._servers.unsubscribe(name)

    def _tell_gap(self, names: Collection[bytes]) -> None:
        channels = frozenset(name.decode() for name in names)
        for on_gap in self._on_gap:
            try:
                on_gap(channels)
            except Exception:  # a bug of its owner must not end the bus
                log.exception("a gap of the bus could not be announced")
