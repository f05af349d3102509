"""Short commands of the services' own, pipelined over one connection that no hook can use up.

Leases, the register of processes and what waits are asked all the time and by everybody; each with a connection out of
a pool would cost ten times as much, and those of a moment need a connection each.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.connecting import COMMAND_TIMEOUT, BrokerUnavailable
from shared.link import Argument, CommandRefused, Link

SILENT_SECONDS: Final = 1.0  # without an answer, and who gives up waiting takes the connection for dead
REFUSALS: Final[dict[str, type[RedisError]]] = {  # by their first words, as redis-py has them
    "LOADING": BusyLoadingError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
}


class Steady:
    """One connection, made when it is first needed and anew when it broke; raises what redis-py's clients do.

    Args:
        pool: makes connections to the server.
        alone: it has one caller, whose commands may block; when that one gives up waiting, the connection goes too.
    """

    def __init__(self, pool: ConnectionPool, *, alone: bool = False) -> None:
        self._pool = pool
        self._silent_seconds = 0.0 if alone else SILENT_SECONDS
        self._link: Link | None = None
        self._opening = asyncio.Lock()

    async def execute_command(self, *command: Argument) -> Any:
        """Run a command, as the method of redis-py's clients does.

        Raises:
            redis.exceptions.RedisError: Redis did not answer, or refuses it.
        """
        (reply,) = await self.together(command)
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def together(self, *commands: Sequence[Argument]) -> list[Any]:
        """Run commands, sent together; return their replies, a `ResponseError` in the place of a refusal.

        Raises:
            redis.exceptions.RedisError: Redis did not answer; it may or may not have done them.
        """
        asked = time.monotonic()
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                link = await self._open()
                replies = await link.calls(commands, refusals=True)
        except TimeoutError:
            self.drop()
            raise RedisTimeoutError(f"Redis did not answer within {COMMAND_TIMEOUT:g} s") from None
        except BrokerUnavailable as error:
            raise RedisConnectionError(str(error)) from error
        except asyncio.CancelledError:
            if time.monotonic() - asked >= self._silent_seconds:
                self.drop()
            raise
        return [_checked(reply) if isinstance(reply, CommandRefused) else reply for reply in replies]

    async def _open(self) -> Link:
        if self._link is None or not self._link.alive:
            async with self._opening:
                if self._link is None or not self._link.alive:
                    self._link = await Link(on_lost=_nothing).open(self._pool)
        return self._link

    def forget_idle(self) -> None:
        """Close the connection where nobody waits for an answer."""
        if self._link is not None and not self._link.pending:
            self.drop()

    def drop(self) -> None:
        """Close the connection; who waits for an answer gets a `ConnectionError`."""
        link, self._link = self._link, None
        if link is not None:
            link.abort()


def _checked(reply: CommandRefused) -> RedisError:
    refusal = _refusal(reply)
    if isinstance(refusal, RedisConnectionError):  # it does not serve us, whatever we ask
        raise refusal
    return refusal


def _refusal(error: CommandRefused) -> RedisError:
    if error.reply.startswith("ERR max number of clients"):
        return RedisConnectionError(error.reply)
    kind = REFUSALS.get(error.code)
    return ResponseError(error.reply) if kind is None else kind(error.reply.removeprefix(f"{error.code} "))


def _nothing() -> None:
    pass
