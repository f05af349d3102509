"""The bus on one server, which may be another one after sentinels made it so."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping

import structlog
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, Broker
from shared.shard import Handler, Shard, Told
from shared.topology import Single

LOOK_SECONDS = 1.0  # between two questions to the sentinels

log = structlog.get_logger("bus")


class OneServer:
    """All channels and keys on one server.

    Args:
        broker: the open broker.
        topology: its server.
        node_id: names the heartbeat channel.
        handlers: of the channels, shared with the bus.
        on_gap: told the channels on which messages may have been missed.

    Attributes:
        connected: set when the bus can be used for the first time.
    """

    sharded = False

    def __init__(
        self,
        broker: Broker,
        topology: Single,
        node_id: str,
        handlers: Mapping[bytes, Handler],
        on_gap: Callable[[Collection[bytes]], None],
    ) -> None:
        self.connected = asyncio.Event()
        self._topology = topology
        self._on_gap = on_gap
        beat = broker.keys.beat(node_id).encode()
        told = Told(self._up, _nothing, _ignore)
        replicas = broker.settings.wait_replicas
        shard = self._shard = Shard(topology.links, beat, handlers, lambda _: handlers, told, replicas=replicas)
        self.call = self.begin = shard.call
        self.calls, self.write = shard.calls, shard.write
        self.subscribing, self.unsubscribe = shard.subscribing, shard.unsubscribe

    def trouble(self) -> str | None:
        """Say why the server cannot be relied on now, or None."""
        return self._shard.trouble()

    async def run(self) -> None:
        """Keep the connections alive until cancelled."""
        if self._topology.sentinels is None:
            await self._shard.run()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._shard.run())
            group.create_task(self._follow())

    def _up(self, _: Shard, names: Collection[bytes], again: bool) -> None:  # noqa: FBT001 - as `Told` has it
        self.connected.set()
        if again:
            log.info("bus connections rebuilt", subscriptions=len(names))
            self._on_gap(names)

    async def _follow(self) -> None:
        """Leave a server that the sentinels have replaced, also one that goes on answering us."""
        sentinels = self._topology.sentinels
        while sentinels is not None:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(*UNREACHABLE, RedisError):
                leader, ours = await sentinels.leader(), self._shard.address
                if ours is not None and leader != ours:
                    log.warning("the master is another server now", before=f"{ours[0]}:{ours[1]}", now=str(leader))
                    self._shard.lose()
                    await self._topology.forget_idle()


def _nothing() -> None:
    pass


def _ignore(_: Shard, _name: bytes) -> None:
    pass
