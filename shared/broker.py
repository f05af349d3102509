"""The Redis (or Valkey) server of a deployment: how we connect, what we demand of it, and how it fails.

Redis-py retries commands by default, time-outs too, which would repeat an append; so here nothing is retried below the
code that knows whether a repeat is safe.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.connecting import COMMAND_TIMEOUT, BrokerUnavailable, ask, tls_fault
from shared.fitness import SECTIONS, keeps_nothing, read_info, unfit
from shared.keys import Keys
from shared.link import Argument
from shared.settings import RedisSettings
from shared.steady import Steady
from shared.topology import Sharded, topology_of

__all__ = ["COMMAND_TIMEOUT", "MAX_BLOCK", "UNREACHABLE", "Broker", "BrokerUnavailable", "BrokerUnfit", "insist"]
__all__ += ["reaching", "reconnect_delay"]

MAX_BLOCK = 2.0  # seconds a blocking read may wait; below COMMAND_TIMEOUT, or the socket would time out first
RECONNECT_DELAYS = (0.05, 0.1, 0.25, 0.5, 1.0)  # seconds; the last one repeats

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError, asyncio.TimeoutError)

T = TypeVar("T")

log = structlog.get_logger("broker")


class BrokerUnfit(Exception):
    """This Redis cannot serve the project; the text says why and what to do."""


class Broker:
    """The connections of one process to its Redis.

    Args:
        settings: the `[redis]` section.

    Attributes:
        infos: what each server that holds data of ours said about itself at the start.
        topology: the servers.
        keys: the names of this deployment.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings
        self.infos: list[dict[str, Any]] = []
        self.keys = Keys(settings.prefix)
        self.lease_seconds = settings.lease_seconds
        self.topology = topology_of(settings)

    def reader(self) -> Steady | Redis:
        """Return what the blocking reads of one task go over, one at a time; to be given to `let_go` at its end."""
        if isinstance(self.topology, Sharded):
            return self.topology.blocking
        return Steady(self.topology.links, alone=True)

    @staticmethod
    def let_go(reader: Steady | Redis) -> None:
        """Close what `reader` returned."""
        if isinstance(reader, Steady):
            reader.drop()

    @property
    def client(self) -> Redis:
        """For commands; a burst waits for a connection instead of failing."""
        return self.topology.client

    @property
    def blocking(self) -> Redis:
        """For blocking reads only, each of which holds a connection; block at most `MAX_BLOCK` seconds."""
        return self.topology.blocking

    @property
    def steady(self) -> Steady | Redis:
        """For leases, which must not wait where hooks use all connections of `client`."""
        return self.topology.steady

    @property
    def own(self) -> Steady | Redis:
        """For other single commands of our own."""
        return self.topology.own

    async def together(self, *commands: Sequence[Argument], refusals: bool = False) -> list[Any]:
        """Run commands of our own, sent together, and return their replies.

        Some replies come as redis-py shapes them where Redis is a cluster, and as Redis sends them else.

        Args:
            *commands: short ones.
            refusals: return a `ResponseError` in the place of each reply that is one, rather than raise the first.

        Raises:
            redis.exceptions.RedisError: Redis did not answer; it may or may not have done them.
        """
        return await self.topology.together(commands, refusals=refusals) if commands else []

    async def __aenter__(self) -> Self:
        """Wait for Redis to be there and check that it fits.

        Raises:
            BrokerUnfit: it is too old, evicts keys, is another kind of server than `redis.url` says, or refuses us.
        """
        try:
            self._check_files()
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
                await self._check()
            except (AuthenticationError, AuthorizationError) as error:  # to redis-py a kind of ConnectionError
                raise self._refused(error) from None
            except UNREACHABLE as error:
                if (reason := tls_fault(error)) is not None:
                    raise BrokerUnfit(f"Redis at {self.address} {reason}") from None
                if attempt % 10 == 0:
                    log.warning("Redis is not reachable; waiting for it", url=self.address, error=_brief(error))
            except RedisError as error:
                raise self._refused(error) from None
            else:
                return
            await asyncio.sleep(reconnect_delay(attempt))

    def _refused(self, error: RedisError) -> BrokerUnfit:
        if "cluster support disabled" in str(error):
            return BrokerUnfit(f"Redis at {self.address} is no cluster; begin redis.url with redis:// or rediss://")
        return BrokerUnfit(f"Redis at {self.address} refused us: {_brief(error)}; see redis.url")

    def _check_files(self) -> None:
        for name in ("tls_ca", "tls_cert", "tls_key"):
            path: str = getattr(self.settings, name)
            if path and not Path(path).expanduser().is_file():
                raise BrokerUnfit(f"redis.{name.replace('_', '-')}: there is no file {path}")

    async def _check(self) -> None:
        self.infos = await self._ask()
        for info in self.infos:
            fault = unfit(info, sharded=isinstance(self.topology, Sharded))
            if fault is not None:
                raise BrokerUnfit(f"Redis at {self.address} {fault}")

    def warn_if_forgetful(self) -> None:
        """Say in one line that a restart of Redis loses what waits there; for processes that let something wait."""
        if any(map(keeps_nothing, self.infos)):
            log.warning(
                "Redis writes no append-only file: when it restarts, updates, calls and dead letters are lost; set "
                "appendonly yes",
                url=self.address,
            )

    async def _ask(self) -> list[dict[str, Any]]:
        if not isinstance(self.topology, Sharded):
            return [read_info(await _info(self.topology.steady))]
        return [read_info(await ask(pool, "INFO", *SECTIONS)) for pool in await self.topology.homes()]

    async def _close(self) -> None:
        with contextlib.suppress(*UNREACHABLE):
            await self.topology.aclose()

    @property
    def address(self) -> str:
        """Where Redis is, without credentials."""
        return self.topology.address


def reconnect_delay(attempt: int) -> float:
    """Return the seconds to wait before try number `attempt` (from 0)."""
    return RECONNECT_DELAYS[min(attempt, len(RECONNECT_DELAYS) - 1)]


async def insist(step: Callable[[], Awaitable[T]]) -> T:
    """Repeat a step until Redis answers, and return what it gave.

    Args:
        step: may be repeated; what else it raises ends this.
    """
    for attempt in itertools.count():
        try:
            return await step()
        except BrokerUnavailable as error:
            log.debug("waiting for Redis", error=str(error))
            await asyncio.sleep(reconnect_delay(attempt))
    raise AssertionError  # count() never ends


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Turn what redis-py raises when Redis is gone into the one error of the contract.

    Raises:
        BrokerUnavailable: instead of redis-py's own.
    """
    try:
        yield
    except (*UNREACHABLE, RedisError) as error:
        raise BrokerUnavailable(f"Redis did not answer: {type(error).__name__}") from error


async def _info(server: Steady) -> bytes:
    """Return what `unfit` and `keeps_nothing` look at; all of INFO takes longer to read."""
    try:
        found: bytes = await server.execute_command("INFO", *SECTIONS)
    except ResponseError:  # too old to be asked for several sections
        found = await server.execute_command("INFO")
    return found


def _brief(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
