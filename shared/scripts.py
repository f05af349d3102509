"""Lua scripts over the pipelined connection of the bus."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

from shared.bus import Bus
from shared.link import Argument, CommandRefused

if TYPE_CHECKING:
    import asyncio

    from redis.asyncio import Redis

    from shared.steady import Steady


class Script:
    """A script that Redis knows by its digest, and is taught when it does not.

    Args:
        text: Lua; every key and pub/sub channel it touches must be in KEYS, all in one slot. In a cluster its `PUBLISH`
            is an `SPUBLISH`.
    """

    def __init__(self, text: str) -> None:
        sharded = text.replace("redis.call('PUBLISH'", "redis.call('SPUBLISH'")
        self._texts = (text, sharded)
        self._digests = tuple(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for text in self._texts)

    def begin(self, bus: Bus, keys: Sequence[str], *arguments: Argument) -> "asyncio.Future[Any]":
        """Run it without waiting; where Redis does not know it yet the future raises `CommandRefused`.

        Raises:
            BrokerUnavailable: see `Bus.begin`.
        """
        return bus.begin("EVALSHA", self._digests[bus.sharded], len(keys), *keys, *arguments)

    async def run(self, bus: Bus, keys: Sequence[str], *arguments: Argument, replicated: bool = False) -> Any:
        """Run it with the other commands of this loop turn.

        Args:
            bus: the open bus.
            keys: KEYS.
            *arguments: ARGV.
            replicated: it writes what must outlive a failover where `redis.wait-replicas` asks for it (`Bus.write`).

        Raises:
            BrokerUnavailable: Redis did not confirm it; it may or may not have run.
        """
        run = bus.write if replicated else bus.call
        try:
            return await run("EVALSHA", self._digests[bus.sharded], len(keys), *keys, *arguments)
        except CommandRefused as error:
            if error.code != "NOSCRIPT":
                raise
            return await run("EVAL", self._texts[bus.sharded], len(keys), *keys, *arguments)  # which also teaches it

    async def ask(self, client: "Redis | Steady", keys: Sequence[str], *arguments: Argument) -> Any:
        """Run it by another client: for what must not wait behind the messages of the bus.

        The script must not publish.

        Raises:
            redis.exceptions.RedisError: Redis did not answer; it may or may not have run.
        """
        run: Any = client.execute_command  # redis-py leaves it untyped
        try:
            return await run("EVALSHA", self._digests[0], len(keys), *keys, *arguments)
        except NoScriptError:
            return await run("EVAL", self._texts[0], len(keys), *keys, *arguments)
