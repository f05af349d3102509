"""What is there after a failover, held against what the writers were told."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bench.failover.load import LANES, How, Outcomes, Write
from shared import history
from shared.bus import Bus
from shared.keys import AppKeys

SAMPLE: Final = 40  # positions asked for of each channel, beside those that were lost


@dataclass(slots=True)
class Kept:
    """What is in Redis.

    Attributes:
        channels: of each channel number by offset, in order.
        updates: the `update_id`s in the lanes.
        broken: entries whose `prev` is not the entry before them, or that are there twice.
    """

    channels: dict[str, dict[int, int]] = field(default_factory=dict)
    updates: set[int] = field(default_factory=set)
    broken: int = 0

    def has(self, write: Write) -> bool:
        """Whether a write is there, in its place."""
        if write.place == "updates":
            return write.number in self.updates
        return self.channels[write.place].get(write.offset) == write.number

    def knows(self, place: str, number: int) -> bool:
        """Whether a write is there at all."""
        return number in (self.updates if place == "updates" else self.channels[place].values())


@dataclass(slots=True)
class Count:
    """What became of the writes of one kind.

    Attributes:
        done: that were said to be done.
        lost: of them are not there.
        failed: that raised.
        failed_but_there: of them are there all the same.
    """

    done: int
    lost: int
    failed: int
    failed_but_there: int


def count(outcomes: Mapping[How, Outcomes], kept: Kept) -> dict[How, Count]:
    """Hold what writers were told against what is there."""
    return {
        how: Count(
            done=len(told.done),
            lost=sum(not kept.has(write) for write in told.done),
            failed=len(told.failed),
            failed_but_there=sum(kept.knows(place, number) for place, number in told.failed),
        )
        for how, told in outcomes.items()
    }


async def look(bus: Bus, keys: AppKeys, channels: Iterable[str]) -> Kept:
    """Read everything that is there."""
    kept = Kept()
    for channel in channels:
        entries: list[Any] = await bus.call("XRANGE", keys.channel_stream(channel), "-", "+")
        offsets = [int(name.partition(b"-")[0]) for name, _ in entries]
        numbers = [json.loads(fields[1])["number"] for _, fields in entries]
        previous = [int(fields[3]) for _, fields in entries]
        kept.channels[channel] = dict(zip(offsets, numbers, strict=True))
        kept.broken += len(numbers) - len(set(numbers))
        kept.broken += sum(before != prev for before, prev in zip(offsets, previous[1:], strict=False))
    for lane in range(LANES):
        for _, fields in await bus.call("XRANGE", keys.updates(lane), "-", "+"):
            number = int(fields[1])
            kept.broken += number in kept.updates
            kept.updates.add(number)
    return kept


async def pretended(bus: Bus, keys: AppKeys, writes: Iterable[Write], kept: Kept) -> tuple[int, int]:
    """Ask for what follows the positions that writers were given: all that were lost, and a sample of the others.

    Returns:
        How many were asked for; how many gave anything but the truth: a recovery from a position that was lost, or
        other entries than those that follow.
    """
    positions: dict[str, list[Write]] = {}
    for write in writes:
        if write.place != "updates":
            positions.setdefault(write.place, []).append(write)
    asked = wrong = 0
    for channel, found in positions.items():
        offsets = list(kept.channels[channel])
        lost = [write for write in found if not kept.has(write)]
        for write in (*lost, *found[:: max(1, len(found) // SAMPLE)]):
            reading = await history.read(bus, keys, channel, write.offset)
            asked += 1
            if kept.has(write):
                follows = [offset for offset in offsets if offset > write.offset]
                true = reading.verdict == "valid" and [entry.offset for entry in reading.entries] == follows
            else:
                true = reading.verdict != "valid" and not reading.entries
            wrong += not true
    return asked, wrong
