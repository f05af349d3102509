"""The register of live processes: each keeps a hash with a life time, and a sorted set tells who should be there."""

import contextlib
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Literal, Self

import structlog
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, Broker
from shared.deployment import conflict
from shared.lifecycle import StartError
from shared.periodic import Periodic

LEAST_SECONDS = 0.1  # that rates are taken over

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
        in_rate: a second: messages of clients (`ws`), updates tried (`bot`), requests (`gateway`).
        out_rate: a second: messages and frames to clients (`ws`), calls of the Bot API (`bot`).
        lag_ms: time its heartbeat to itself took through Redis.
        apps: those it serves, with the ids of their bots; see `shared.deployment`.
        database: which one it uses; empty for none.
    """

    id: str
    kind: Kind
    address: str
    connections: int = 0
    capacity: int = 0
    version: str = ""
    started: int = 0
    draining: bool = False
    in_rate: float = 0.0
    out_rate: float = 0.0
    lag_ms: float = 0.0
    apps: str = ""
    database: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a process did since its start, for people who look.

    Attributes:
        received: what came in: see `Node.in_rate`.
        sent: what went out.
        lag: seconds its heartbeat to itself took through Redis.
    """

    received: float = 0.0
    sent: float = 0.0
    lag: float = 0.0


class Registration(Periodic):
    """Keeps this process in the register while its block runs; when Redis is away, that is tried again.

    Args:
        broker: the open broker.
        node: what never changes about this process.
        connections: asked at each renewal.
        figures: the same.
    """

    def __init__(
        self,
        broker: Broker,
        node: Node,
        *,
        connections: Callable[[], int] | None = None,
        figures: Callable[[], Figures] = Figures,
    ) -> None:
        super().__init__(broker.lease_seconds / 3, "node-registration")
        self._broker = broker
        self._node = node
        self._connections = connections
        self._figures = figures
        self._before, self._asked = figures(), time.monotonic()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the register."""
        await super().__aexit__(kind, error, trace)
        keys, own = self._broker.keys, self._node.id
        with contextlib.suppress(*UNREACHABLE, RedisError):
            await self._broker.together(("DEL", keys.node(own)), ("ZREM", keys.nodes, own))

    async def __aenter__(self) -> Self:
        """Enter the register, unless the processes in it are of another deployment.

        Raises:
            StartError: they are.
        """
        await super().__aenter__()
        try:
            await check_alone(self._broker, self._node)  # of two that start at once, one sees the other
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def serves(self, apps: str) -> None:
        """Say that this process serves these apps from now on."""
        self._node = replace(self._node, apps=apps)
        await self._once()

    async def drain(self) -> None:
        """Say that this process stops soon, so nobody is sent to it."""
        self._node = replace(self._node, draining=True)
        await self._once()

    async def _once(self) -> None:
        with contextlib.suppress(*UNREACHABLE, RedisError):  # the next time is soon
            await self._write()

    async def _write(self) -> None:
        if self._connections is not None:
            self._node = replace(self._node, connections=self._connections())
        self._measure()
        fields = {**asdict(self._node), "draining": int(self._node.draining)}
        keys, life, now = self._broker.keys, self._broker.lease_seconds, time.time()
        await self._broker.together(
            ("HSET", keys.node(self._node.id), *itertools.chain.from_iterable(fields.items())),
            ("PEXPIRE", keys.node(self._node.id), int(life * 1000)),
            ("ZADD", keys.nodes, now + life, self._node.id),
            ("ZREMRANGEBYSCORE", keys.nodes, "-inf", now - 60 * life),
        )

    def _measure(self) -> None:
        """Tell what a second since the last time brought."""
        before, figures, asked = self._before, self._figures(), time.monotonic()
        seconds = asked - self._asked
        if seconds < LEAST_SECONDS:
            return
        self._before, self._asked = figures, asked
        self._node = replace(
            self._node,
            in_rate=round((figures.received - before.received) / seconds, 1),
            out_rate=round((figures.sent - before.sent) / seconds, 1),
            lag_ms=round(figures.lag * 1000, 2),
        )


async def check_alone(broker: Broker, node: Node) -> None:
    """Make sure that the processes in the register are of the deployment of this one; silent where Redis is away.

    Args:
        broker: the open broker.
        node: this process, as it is about to enter the register.

    Raises:
        StartError: one of them is of another deployment.
    """
    with contextlib.suppress(*UNREACHABLE, RedisError):
        clash = conflict(node, await live_nodes(broker))
        if clash is not None:
            raise StartError(f"redis.prefix {broker.keys.prefix!r} at {broker.address}: {clash}")


async def live_nodes(broker: Broker, kind: Kind | None = None) -> list[Node]:
    """Return the processes whose lease runs, by id.

    Raises:
        redis.exceptions.RedisError: Redis did not answer.
    """
    members = await broker.own.execute_command("ZRANGE", broker.keys.nodes, 0, -1)
    hashes = await broker.together(*(("HGETALL", broker.keys.node(raw.decode())) for raw in members))
    found = [_node(fields) for fields in map(_fields, hashes) if fields]
    return sorted((node for node in found if kind in (None, node.kind)), key=lambda node: node.id)


def _fields(reply: Any) -> Mapping[bytes, bytes]:
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def _node(fields: Mapping[bytes, bytes]) -> Node:
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
        in_rate=float(text.get("in_rate", 0)),  # a process of an older version tells none of these
        out_rate=float(text.get("out_rate", 0)),
        lag_ms=float(text.get("lag_ms", 0)),
        apps=text.get("apps", ""),
        database=text.get("database", ""),
    )
