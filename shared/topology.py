"""The servers of a deployment's Redis: one, the one that sentinels name, or those of a cluster."""

import asyncio
import functools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, RedisCluster, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, ResponseError

from shared.connecting import COMMAND_TIMEOUT, Sentinels, ask, interruptible, led, options_of
from shared.link import Argument
from shared.redis_url import Address, RedisUrl, parse
from shared.settings import RedisSettings
from shared.slots import Layout, layout_of
from shared.steady import Steady

Pool = TypeVar("Pool", bound=ConnectionPool)

POOL_SIZE: Final = 64  # connections for commands; a burst waits for one instead of failing
STREAM_READS: Final = frozenset({"XREAD", "XREADGROUP"})


class Single:
    """One server, which may be another one tomorrow where sentinels look after it.

    Args:
        settings: the `[redis]` section.
        place: what its URL says.

    Attributes:
        steady: for leases.
        own: for other short commands of our own.
        links: makes connections to the server.
        sentinels: where there are some.
        address: for people.
    """

    def __init__(self, settings: RedisSettings, place: RedisUrl) -> None:
        self.sentinels = Sentinels(settings, place) if place.kind == "sentinel" else None
        self._url = settings.url.get_secret_value()
        self._options = options_of(settings, place)
        self._kind = SSLConnection if place.tls else Connection
        self._pools: list[ConnectionPool] = []
        self.links = self._pool(ConnectionPool)
        self.steady = self.own = Steady(self.links)
        self.address = str(place) if self.sentinels is not None else _address(self.links)

    @functools.cached_property
    def client(self) -> Redis:
        """For commands; a burst waits for a connection."""
        return Redis.from_pool(self._pool(BlockingConnectionPool, max_connections=POOL_SIZE, timeout=COMMAND_TIMEOUT))

    @functools.cached_property
    def blocking(self) -> Redis:
        """For blocking reads, each of which holds a connection."""
        return Redis.from_pool(self._pool(ConnectionPool))

    def _pool(self, kind: type[Pool], **more: Any) -> Pool:
        options = {**self._options, **more}
        if self.sentinels is None:
            pool = kind.from_url(self._url, **options)
        else:
            pool = kind(connection_class=led(self._kind, self.sentinels), **options)
        pool.connection_class = interruptible(pool.connection_class)  # type: ignore[arg-type]  # classes are hashable
        self._pools.append(pool)
        return pool

    async def together(self, commands: Sequence[Sequence[Argument]], *, refusals: bool) -> list[Any]:
        """Run commands, sent together, and return their replies; see `Broker.together`.

        Raises:
            redis.exceptions.RedisError: the server did not answer, or refuses one.
        """
        replies = await self.own.together(*commands)
        if not refusals and (refusal := next((one for one in replies if isinstance(one, ResponseError)), None)):
            raise refusal
        return replies

    async def homes(self) -> list[ConnectionPool]:
        """Return what connects to each server that holds data of ours."""
        return [self.links]

    async def forget_idle(self) -> None:
        """Close what nobody uses now: it may lead to a server that lost its role."""
        self.steady.forget_idle()
        for pool in list(self._pools):
            await pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        """Close every connection."""
        self.steady.drop()
        for pool in list(self._pools):
            await pool.disconnect()
        if self.sentinels is not None:
            await self.sentinels.aclose()


class Sharded:
    """A cluster.

    Args:
        settings: the `[redis]` section.
        place: what its URL says.

    Attributes:
        client: for commands.
        blocking: for blocking reads, each of which holds a connection.
        steady: for leases.
        own: for other short commands of our own.
        address: for people.
    """

    def __init__(self, settings: RedisSettings, place: RedisUrl) -> None:
        self._options = options_of(settings, place)
        self._kind = interruptible(SSLConnection if place.tls else Connection)
        self._seeds = place.hosts
        self._known: frozenset[Address] = frozenset()
        self._clients = [Cluster(place, self._options, self._kind) for _ in range(2)]
        self.client, self.blocking = (cast("Redis", client) for client in self._clients)  # it has the same commands
        # Leases must not wait behind the hooks' commands. All else of our own goes over the hooks' client, and often:
        # so it learns of new masters, and not by the first hook after a failover.
        self.steady, self.own = self.blocking, self.client
        self.address = str(place)

    def links_to(self, address: Address) -> ConnectionPool:
        """Return what makes connections to one server."""
        return ConnectionPool(self._kind, **self._options, host=address.host, port=address.port)

    async def layout(self, alive: Iterable[Address] = ()) -> Layout:
        """Ask who has which slots.

        Args:
            alive: servers that answer now, as far as the caller knows; they are asked first.

        Raises:
            redis.exceptions.ConnectionError: none of the known servers answers.
            redis.exceptions.ResponseError: this is no cluster, or it refuses us.
        """
        first = list(alive)
        random.shuffle(first)  # so that not every process asks the same one
        failure: Exception = RedisConnectionError("no server of the cluster is known")
        for address in dict.fromkeys((*first, *self._known, *self._seeds)):
            try:
                layout = layout_of(await ask(self.links_to(address), "CLUSTER", "SLOTS"), address)
            except (RedisConnectionError, OSError, TimeoutError) as error:
                failure = error
                continue
            if layout.primaries:
                self._known = layout.primaries
                return layout
            failure = RedisConnectionError(f"{address} is in no cluster yet")
        raise failure

    async def homes(self) -> list[ConnectionPool]:
        """Return what connects to each server that holds data of ours.

        Raises:
            redis.exceptions.ConnectionError: no server answers.
            redis.exceptions.ResponseError: this is no cluster, or it refuses us.
        """
        return [self.links_to(address) for address in sorted((await self.layout()).primaries)]

    async def together(self, commands: Sequence[Sequence[Argument]], *, refusals: bool) -> list[Any]:
        """Run commands, each server's sent together, and return their replies; see `Broker.together`.

        Raises:
            redis.exceptions.RedisError: a server did not answer, or refuses one.
        """
        async with self.own.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            # Only where it raises itself, redis-py looks anew who has the slots of a server that is gone.
            replies = await pipe.execute(raise_on_error=not refusals)
        for reply in replies:
            if isinstance(reply, Exception) and not isinstance(reply, ResponseError):
                raise reply
        return list(replies)

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients:
            await client.aclose()


Topology = Single | Sharded


def topology_of(settings: RedisSettings) -> Topology:
    """Return how to connect with these settings; nothing is connected yet."""
    place = parse(settings.url.get_secret_value())
    return Sharded(settings, place) if place.kind == "cluster" else Single(settings, place)


class Cluster(RedisCluster):
    """Redis-py's cluster client without retries, which waits where all connections are in use."""

    def __init__(self, place: RedisUrl, options: Mapping[str, Any], kind: type[AbstractConnection]) -> None:
        fitting = {name: value for name, value in options.items() if name != "db"}
        nodes = [ClusterNode(host, port) for host, port in place.hosts]
        super().__init__(startup_nodes=nodes, ssl=place.tls, max_connections=2**16, **fitting)
        self.nodes_manager.connection_kwargs["connection_class"] = kind
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = kind  # type: ignore[assignment]  # its hint names one kind, it takes any
        self._room = asyncio.Semaphore(POOL_SIZE)

    async def initialize(self, *args: Any, **options: Any) -> Self:
        """Learn the layout; servers that are away are a connection error here, as for one server."""
        try:
            await super().initialize(*args, **options)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error
        return self

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command once there is room for it.

        A read of a stream goes to the server that has it. Redis-py would ask some server which keys such a command has,
        each time; and before it knows the cluster there is none to ask: an AttributeError for all but the first of many
        who read at once.
        """
        async with self._room:
            await self.initialize()
            if args[0] in STREAM_READS and "target_nodes" not in options:
                streams = [args[at + 1] for at, word in enumerate(args[:-1]) if word in (b"STREAMS", "STREAMS")]
                if streams:
                    options["target_nodes"] = self.get_node_from_key(streams[0])
            return await super().execute_command(*args, **options)


def _address(pool: ConnectionPool) -> str:
    options = pool.connection_kwargs
    place = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return f"{place}/{options.get('db', 0)}"
