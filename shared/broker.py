"""The Redis (or Valkey) server of a deployment: how we connect, what we demand of it, and how it fails.

Redis-py retries commands by default, time-outs too, which would repeat an append; so here nothing is retried below the
code that knows whether a repeat is safe.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Self

import structlog
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.keys import Keys
from shared.settings import RedisSettings

MIN_REDIS = (7, 0)
MIN_VALKEY = (7, 2)
COMMAND_TIMEOUT = 5.0  # seconds
MAX_BLOCK = 2.0  # seconds a blocking read may wait; below COMMAND_TIMEOUT, or the socket would time out first
POOL_SIZE = 64
RECONNECT_DELAYS = (0.05, 0.1, 0.25, 0.5, 1.0)  # seconds; the last one repeats

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError, asyncio.TimeoutError)

log = structlog.get_logger("broker")


class BrokerUnavailable(Exception):
    """Redis did not take it (or did not say so in time); what was asked may be asked again."""


class BrokerUnfit(Exception):
    """This Redis cannot serve the project; the text says why and what to do."""


class Broker:
    """The connections of one process to its Redis.

    Args:
        settings: the `[redis]` section.

    Attributes:
        client: for commands; `BlockingConnectionPool`, so a burst waits for a connection instead of failing.
        blocking: for blocking reads only, each of which holds a connection; block at most `MAX_BLOCK` seconds.
        keys: the names of this deployment.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings
        self.keys = Keys(settings.prefix)
        self.lease_seconds = settings.lease_seconds
        url = settings.url.get_secret_value()
        self.client: Redis = Redis.from_pool(
            BlockingConnectionPool.from_url(url, max_connections=POOL_SIZE, timeout=COMMAND_TIMEOUT, **_options())
        )
        self.blocking: Redis = Redis.from_pool(ConnectionPool.from_url(url, **_options()))
        self.links = ConnectionPool.from_url(url, **_options())
        for pool in (self.client.connection_pool, self.blocking.connection_pool, self.links):
            pool.connection_class = _interruptible(pool.connection_class)

    async def __aenter__(self) -> Self:
        """Wait for Redis to be there and check that it fits.

        Raises:
            BrokerUnfit: it is too old, or refuses our credentials.
        """
        try:
            await self._wait()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._close()

    async def _wait(self) -> None:
        for attempt in range(1_000_000):
            try:
                self._check(await self.client.info("server"), await self.client.info("memory"))
            except (AuthenticationError, AuthorizationError) as error:  # to redis-py a kind of ConnectionError
                raise self._refused(error) from None
            except UNREACHABLE as error:
                if attempt % 10 == 0:
                    log.warning("Redis is not reachable; waiting for it", url=self.address, error=_brief(error))
            except RedisError as error:
                raise self._refused(error) from None
            else:
                return
            await asyncio.sleep(reconnect_delay(attempt))

    def _refused(self, error: RedisError) -> BrokerUnfit:
        return BrokerUnfit(f"Redis at {self.address} refused us: {_brief(error)}; see redis.url")

    def _check(self, server: dict[str, Any], memory: dict[str, Any]) -> None:
        valkey = server.get("valkey_version")
        name, version, least = (
            ("Valkey", valkey, MIN_VALKEY) if valkey else ("Redis", server["redis_version"], MIN_REDIS)
        )
        if tuple(int(part) for part in str(version).split(".")[:2]) < least:
            wanted = f"{least[0]}.{least[1]}"
            raise BrokerUnfit(f"{name} at {self.address} is version {version}; {name} {wanted} or newer is needed")
        policy = memory.get("maxmemory_policy", "noeviction")
        if memory.get("maxmemory") and policy != "noeviction":
            log.warning(
                "Redis may evict keys, which loses updates and leases; set maxmemory-policy noeviction", policy=policy
            )

    async def _close(self) -> None:
        for pool in (self.client, self.blocking):
            with contextlib.suppress(*UNREACHABLE):
                await pool.aclose()
        await self.client.connection_pool.disconnect()
        await self.blocking.connection_pool.disconnect()

    @property
    def address(self) -> str:
        """Where Redis is, without credentials."""
        options = self.links.connection_kwargs
        place = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        return f"{place}/{options.get('db', 0)}"


def reconnect_delay(attempt: int) -> float:
    """Return the seconds to wait before try number `attempt` (from 0)."""
    return RECONNECT_DELAYS[min(attempt, len(RECONNECT_DELAYS) - 1)]


def _interruptible(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Make connections of this kind heed a cancellation that arrives while they send.

    Redis-py sends inside `asyncio.wait_for`, which in Python 3.11 returns as if nothing had happened when a
    cancellation arrives together with its result; the task would live on and never end.
    """

    class Interruptible(kind):  # type: ignore[valid-type,misc]  # which kind depends on the URL
        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
            task = asyncio.current_task()
            before = task.cancelling() if task is not None else 0
            await super().send_packed_command(command, check_health)
            if task is not None and task.cancelling() > before:
                await self.disconnect(nowait=True)  # the reply would be taken for that of the next command
                raise asyncio.CancelledError

    return Interruptible


def _options() -> dict[str, Any]:
    return {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": COMMAND_TIMEOUT,
        "socket_connect_timeout": 2.0,
        "socket_keepalive": True,
        "health_check_interval": 0,
    }


def _brief(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
