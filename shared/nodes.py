"""The register of live processes: each keeps a hash with a life time, and a sorted set tells who should be there."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Literal, Self

import structlog
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, Broker

Kind = Literal["gateway", "bot", "ws"]

log = structlog.get_logger("nodes")


@dataclass(frozen=True, slots=True)
class Node:
    """One live process.

    Attributes:
        id: its node id, unique in the deployment.
        kind: what it does.
        address: for `ws` the WebSocket URL clients are told, else where its health is served.
        connections: open client sockets (`ws`), else 0.
        capacity: the most sockets it takes; 0 means no limit.
        version: of this package.
        started: unix seconds.
        draining: it is about to stop and takes nothing new.
    """

    id: str
    kind: Kind
    address: str
    connections: int = 0
    capacity: int = 0
    version: str = ""
    started: int = 0
    draining: bool = False


class Registration:
    """Keeps this process in the register.

    Args:
        broker: the open broker.
        node: what never changes about this process.
        connections: asked at each renewal.
    """

    def __init__(self, broker: Broker, node: Node, *, connections: Callable[[], int] | None = None) -> None:
        self._broker = broker
        self._node = node
        self._connections = connections
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Enter the register and stay in it; while Redis is away, that is tried again."""
        with contextlib.suppress(*UNREACHABLE, RedisError):
            await self._write()
        self._task = asyncio.create_task(self._renew(), name="node-registration")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the register."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        keys = self._broker.keys
        with contextlib.suppress(*UNREACHABLE, RedisError):
            await self._broker.client.delete(keys.node(self._node.id))
            await self._broker.client.zrem(keys.nodes, self._node.id)

    async def drain(self) -> None:
        """Say that this process stops soon, so nobody is sent to it."""
        self._node = replace(self._node, draining=True)
        with contextlib.suppress(*UNREACHABLE, RedisError):
            await self._write()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._broker.lease_seconds / 3)
            with contextlib.suppress(*UNREACHABLE, RedisError):
                await self._write()

    async def _write(self) -> None:
        if self._connections is not None:
            self._node = replace(self._node, connections=self._connections())
        fields: Mapping[Any, Any] = {**asdict(self._node), "draining": int(self._node.draining)}
        keys, life = self._broker.keys, self._broker.lease_seconds
        async with self._broker.client.pipeline(transaction=False) as pipe:
            pipe.hset(keys.node(self._node.id), mapping=fields)
            pipe.pexpire(keys.node(self._node.id), int(life * 1000))
            pipe.zadd(keys.nodes, {self._node.id: time.time() + life})
            pipe.zremrangebyscore(keys.nodes, "-inf", time.time() - 60 * life)
            await pipe.execute()


async def live_nodes(broker: Broker, kind: Kind | None = None) -> list[Node]:
    """Return the processes whose lease runs, by id.

    Raises:
        redis.exceptions.RedisError: Redis did not answer.
    """
    members: list[Any] = await broker.client.zrange(broker.keys.nodes, 0, -1)
    ids = [raw.decode() for raw in members]
    async with broker.client.pipeline(transaction=False) as pipe:
        for node_id in ids:
            pipe.hgetall(broker.keys.node(node_id))
        found = [_node(fields) for fields in await pipe.execute() if fields]
    return sorted((node for node in found if kind in (None, node.kind)), key=lambda node: node.id)


def _node(fields: dict[bytes, bytes]) -> Node:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    return Node(
        id=text["id"],
        kind=text["kind"],  # type: ignore[arg-type]  # written by `Registration`, so it is a Kind
        address=text["address"],
        connections=int(text["connections"]),
        capacity=int(text["capacity"]),
        version=text["version"],
        started=int(text["started"]),
        draining=text["draining"] == "1",
    )
