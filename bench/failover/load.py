"""The writers of the proof: publishes with history and updates, apart by whether replicas had to confirm them."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, Literal

from shared import history
from shared.broker import Broker, BrokerUnavailable
from shared.bus import Bus
from shared.bus_frames import Message
from shared.keys import AppKeys
from shared.slots import SLOTS, slot_of
from shared.updates import UpdateLog

LANES: Final = 4
KEPT: Final = 1_000_000  # entries of a channel: all
PAUSE: Final = 0.004  # seconds of a writer between two writes

How = Literal["confirmed", "acknowledged"]


@dataclass(frozen=True, slots=True)
class Write:
    """A write that its writer was told has been done.

    Attributes:
        place: a channel, or `updates`.
        number: of the write, unique in its place.
        offset: of a publish.
        at: when, by a monotonic clock.
    """

    place: str
    number: int
    offset: int
    at: float


@dataclass(slots=True)
class Outcomes:
    """What the writers of one kind were told.

    Attributes:
        done: the writes that were said to be done.
        failed: place and number of those that raised, of which nobody knows.
    """

    done: list[Write] = field(default_factory=list)
    failed: set[tuple[str, int]] = field(default_factory=set)


def rooms(keys: AppKeys, each: int) -> list[str]:
    """Return names of channels, so many in each third of the slots; those of the first third come first."""
    found: list[list[str]] = [[], [], []]
    number = 0
    while any(len(part) < each for part in found):
        name = f"room:{number}"
        part = found[slot_of(keys.channel(name).encode()) * 3 // SLOTS]
        if len(part) < each:
            part.append(name)
        number += 1
    return [name for part in found for name in part]


class Load:
    """Writers that go on until they are stopped, whatever happens to Redis.

    Args:
        brokers: one where replicas have to confirm, one where they need not.
        buses: on them.
        channels: to publish to.
    """

    def __init__(self, brokers: dict[How, Broker], buses: dict[How, Bus], channels: list[str]) -> None:
        self._brokers = brokers
        self._buses = buses
        self._channels = channels
        self._stopping = False
        self._numbers = 0
        self.outcomes: dict[How, Outcomes] = {how: Outcomes() for how in buses}

    async def run(self) -> None:
        """Write until `stop`."""
        async with asyncio.TaskGroup() as group:
            for how in self._buses:
                for channel in self._channels:
                    group.create_task(self._publish(how, channel))
                for _ in range(LANES):
                    group.create_task(self._update(how))

    def stop(self) -> None:
        """Let each writer end with the write it is at."""
        self._stopping = True

    async def all_write(self) -> None:
        """Wait until every place has had a write of each kind from now on."""
        since = time.monotonic()
        while not self._all_wrote(since):  # noqa: ASYNC110 - as often as a writer writes would be too often to look
            await asyncio.sleep(0.05)

    def _all_wrote(self, since: float) -> bool:
        places = {*self._channels, "updates"}
        return all(
            places <= {write.place for write in reversed(outcomes.done) if write.at > since}
            for outcomes in self.outcomes.values()
        )

    async def _publish(self, how: How, channel: str) -> None:
        bus, keys = self._buses[how], self._brokers[how].keys.app("app")
        while not self._stopping:
            self._numbers += 1
            number = self._numbers
            message = Message(b'{"type":"tick","number":%d}' % number)
            try:
                offset = await history.publish(bus, keys, channel, message, size=KEPT, ttl=3600, id_=str(number))
            except BrokerUnavailable:
                self.outcomes[how].failed.add((channel, number))
                await asyncio.sleep(10 * PAUSE)
            else:
                self.outcomes[how].done.append(Write(channel, number, offset, time.monotonic()))
                await asyncio.sleep(PAUSE)

    async def _update(self, how: How) -> None:
        log = UpdateLog(self._brokers[how], self._buses[how], LANES)
        while not self._stopping:
            self._numbers += 1
            number = self._numbers
            update = {"update_id": number, "message": {"chat": {"id": number}}}
            try:
                await log.append("app", update, "webhook")
            except BrokerUnavailable:
                self.outcomes[how].failed.add(("updates", number))
                await asyncio.sleep(10 * PAUSE)
            else:
                self.outcomes[how].done.append(Write("updates", number, 0, time.monotonic()))
                await asyncio.sleep(PAUSE)
