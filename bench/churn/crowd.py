"""Everybody of a run: the clients, what is published to them, and who has what."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from bench.churn.ledger import Ledger
from bench.churn.member import Member
from mini_apps import App, Send
from mini_apps.testing import sign_init_data
from shared.broker import BrokerUnavailable

TOKEN = "42:churn"
LOOK_SECONDS = 0.05
REPEAT_SECONDS = 0.2

Addresses = Callable[[], list[tuple[str, int]]]


class Crowd:
    """Clients that check every message of their channels, and the publisher of those.

    Args:
        channels: of each client, by its number.
        addresses: gives the nodes that take clients now.

    Attributes:
        ledger: where the clients write what they see.
        published: messages of each channel.
        repeated: publishes that had to be repeated, because Redis did not confirm them.
    """

    def __init__(self, channels: Sequence[Sequence[str]], addresses: Addresses) -> None:
        self.ledger = Ledger()
        self.published: Counter[str] = Counter()
        self.repeated = 0
        self.members = [
            Member(number, list(names), _init_data(number + 1), addresses, self.ledger)
            for number, names in enumerate(channels)
        ]

    @contextlib.asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Let the clients connect, and stay connected."""
        tasks = [asyncio.create_task(member.live()) for member in self.members]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def all_in(self) -> None:
        """Wait until every client is in all its channels."""
        for member in self.members:
            await member.inside.wait()

    def leave(self, count: int) -> int:
        """Let some clients leave, half without a goodbye, to come back within a second; returns how many did."""
        chosen = random.sample(self.members, count)
        return sum(member.go(politely=random.random() < 0.5, wait=random.uniform(0.0, 1.0)) for member in chosen)

    async def publish(self, app: App, channels: Iterable[str]) -> None:
        """Publish the next message of each of these channels, under ids, so that it may be repeated.

        What goes over one connection is carried out in order, so what fails with it is the rest of the messages.
        """
        waiting = []
        for channel in channels:
            waiting.append((channel, self.published[channel], time.time_ns()))
            self.published[channel] += 1
        while waiting:
            publishes = (app.publish(c, type="tick", n=n, t=t, options_=Send(id=f"{c} {n}")) for c, n, t in waiting)
            outcomes = await asyncio.gather(*publishes, return_exceptions=True)
            waiting = [message for message, outcome in zip(waiting, outcomes, strict=True) if _failed(outcome)]
            if waiting:
                self.repeated += len(waiting)
                await asyncio.sleep(REPEAT_SECONDS)

    def connected(self) -> int:
        """Count the clients that are logged in now."""
        return sum(member.connected for member in self.members)

    def lacking(self) -> int:
        """Count the messages that clients have not got yet."""
        return sum(map(self._lacking, self.members))

    def content(self) -> bool:
        """Tell whether every client is connected and has everything."""
        return all(member.connected and not self._lacking(member) for member in self.members)

    async def all_there(self, seconds: float) -> bool:
        """Wait until all are content; false where the time is up before."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.content():
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    def _lacking(self, member: Member) -> int:
        seats = member.seats.items()
        return sum(self.published[name] - seat.expected for name, seat in seats if seat.expected >= 0)


def _init_data(user: int) -> str:
    return sign_init_data(TOKEN, user={"id": user, "first_name": f"User {user}"})


def _failed(outcome: object) -> bool:
    if isinstance(outcome, BaseException) and not isinstance(outcome, BrokerUnavailable):
        raise outcome
    return isinstance(outcome, BrokerUnavailable)
