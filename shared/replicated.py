"""Writes that count only once replicas have them: `redis.wait-replicas`.

They have a connection of their own, because Redis answers nothing else on one while it waits there. One WAIT is under
way at a time and stands for all writes before it, so a replica that is away costs each writer seconds, not all of them
in turn.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from shared.broker import COMMAND_TIMEOUT, BrokerUnavailable
from shared.link import Argument, Link

WAIT_SECONDS = 1.0  # that replicas get

unconfirmed = Counter("mini_apps_bus_unconfirmed", "Writes that Redis took but too few replicas confirmed in time")

Verdict = int | BrokerUnavailable  # how many replicas confirmed, or why nobody knows


class NotReplicated(BrokerUnavailable):
    """Redis has it, but too few replicas said in time that they do; a failover may lose it, and it may be repeated."""


class Replicated:
    """The writing connection of one process where replicas count.

    Args:
        link: open, used by nobody else.
        replicas: how many must confirm.
        on_silent: called when the connection does not answer at all.
    """

    def __init__(self, link: Link, replicas: int, on_silent: Callable[[], None]) -> None:
        self._link = link
        self._replicas = replicas
        self._on_silent = on_silent
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Future[Verdict] | None = None  # of the writes that the next WAIT stands for
        self._asking = False

    async def call(self, *command: Argument, asking: bool = False) -> Any:
        """Run a write with the others of this loop turn, and wait for the replicas.

        Args:
            *command: its words.
            asking: the server is only about to get the slot of its key.

        Raises:
            NotReplicated: too few of them confirmed in time.
            BrokerUnavailable: Redis did not confirm it; it may or may not have run.
        """
        if asking:
            self._link.call("ASKING").add_done_callback(_noted)
        written, verdict = self._link.call(*command), self._verdict()
        try:
            async with asyncio.timeout(2 * WAIT_SECONDS + COMMAND_TIMEOUT):
                reply = await written
                found = await asyncio.shield(verdict)  # others wait for the same
        except TimeoutError:
            self._on_silent()
            raise BrokerUnavailable("Redis did not answer a write in time") from None
        if isinstance(found, BrokerUnavailable):
            raise BrokerUnavailable(str(found))
        if found < self._replicas:
            unconfirmed.inc()
            raise NotReplicated(f"{found} of {self._replicas} replicas confirmed within {WAIT_SECONDS:g} s")
        return reply

    def abort(self) -> None:
        """Drop the connection; what waits fails."""
        self._link.abort()

    def _verdict(self) -> "asyncio.Future[Verdict]":
        if self._next is None:
            self._next = self._loop.create_future()
            if not self._asking:
                self._asking = True
                self._loop.call_soon(self._ask)  # after the other writes of this turn
        return self._next

    def _ask(self) -> None:
        waiting, self._next = self._next, None
        if waiting is None:
            self._asking = False
            return
        try:
            answer = self._link.call("WAIT", self._replicas, int(WAIT_SECONDS * 1000))
        except BrokerUnavailable as error:
            self._tell(waiting, error)
        else:
            answer.add_done_callback(lambda done: self._answered(waiting, done))

    def _answered(self, waiting: "asyncio.Future[Verdict]", done: "asyncio.Future[Any]") -> None:
        error = done.exception()
        self._tell(waiting, BrokerUnavailable(str(error)) if error is not None else int(done.result()))

    def _tell(self, waiting: "asyncio.Future[Verdict]", verdict: Verdict) -> None:
        if not waiting.done():
            waiting.set_result(verdict)
        self._ask()  # for those that came meanwhile


def _noted(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled():
        done.exception()  # of a connection that broke; the write says so too
