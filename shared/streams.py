"""The consumers' end of a lane: a stream with one group and one fixed consumer, for its owner only.

Every script checks the owner's fence, reading too: what Redis handed to an owner that lost the lane would otherwise
sit among the pending entries unseen, while its successor goes on with later ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import RedisError

from shared.broker import MAX_BLOCK, UNREACHABLE, Broker, BrokerUnavailable
from shared.bus import Bus
from shared.keys import AppKeys
from shared.link import CommandRefused
from shared.scripts import Script

GROUP: Final = "workers"
CONSUMER: Final = "lane"  # the same whoever owns the lane, so that pending entries are found by the next owner
NEW: Final = b">"
FIRST: Final = b"0"
DEAD_BOUND: Final = 100_000  # dead letters of an app, then nothing more is given up

# KEYS: updates, fence, tries; ARGV: fence, group, consumer, count, from. Returns nil for an old fence, else the
# entries, their failed tries (of pending ones), and when there is nothing new the id after which news begin.
READ = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
local got = redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], ARGV[5])
local entries = got and got[1][2] or {}
local tries = {}
if ARGV[5] ~= '>' then
  for at, entry in ipairs(entries) do tries[at] = redis.call('HGET', KEYS[3], entry[1]) or '0' end
elseif #entries == 0 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then return {entries, tries, info[at + 1]} end
  end
end
return {entries, tries, ''}
""")

# KEYS: updates, fence, tries; ARGV: fence, group, entry.
ACK = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
redis.call('XACK', KEYS[1], ARGV[2], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[3])
return 1
""")

# KEYS: fence, tries; ARGV: fence, entry. Returns how often it failed now.
FAILED = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
return redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
""")

# KEYS: updates, fence, tries, dead; ARGV: fence, group, entry, bound, then the fields of the dead letter.
# Returns 0 where there are too many dead letters; an entry that is gone was buried by the try before.
BURY = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
if #redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3]) == 0 then return 1 end
if redis.call('XLEN', KEYS[4]) >= tonumber(ARGV[4]) then return 0 end
redis.call('XADD', KEYS[4], '*', unpack(ARGV, 5))
redis.call('XACK', KEYS[1], ARGV[2], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[3])
return 1
""")


class LaneLost(Exception):
    """Another process owns the lane now; nothing was done."""


class DeadFull(Exception):
    """There are as many dead letters as are kept; some must be looked at and dropped first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a lane.

    Attributes:
        id: in the stream.
        fields: as appended by `UpdateLog`; empty where the entry is gone.
        tries: that failed so far.
    """

    id: bytes
    fields: Mapping[bytes, bytes]
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What a read gave: entries in order, or the id after which news begin."""

    entries: Sequence[Entry]
    news_after: bytes


class LaneStream:
    """One lane, as its owner uses it.

    Args:
        broker: the open broker.
        bus: carries the scripts, so that those of one loop turn share a round trip.
        keys: of the app.
        lane: its number.
        fence: of this ownership.
        dead_bound: dead letters the app may have.
    """

    def __init__(
        self, broker: Broker, bus: Bus, keys: AppKeys, lane: int, fence: int, *, dead_bound: int = DEAD_BOUND
    ) -> None:
        self.lane = lane
        self._broker = broker
        self._bus = bus
        self._updates = keys.updates(lane)
        self._fence_key = keys.lane_fence(lane)
        self._tries = keys.tries(lane)
        self._dead = keys.dead
        self._fence = fence
        self._dead_bound = dead_bound

    async def open(self) -> None:
        """Make the group where it is missing, from the stream's beginning.

        Raises:
            BrokerUnavailable: Redis did not confirm.
        """
        try:
            await self._bus.call("XGROUP", "CREATE", self._updates, GROUP, FIRST, "MKSTREAM")
        except CommandRefused as error:
            if error.code != "BUSYGROUP":
                raise

    async def read(self, after: bytes, count: int) -> Batch:
        """Return the next entries without waiting.

        Args:
            after: `NEW` for what nobody got yet, else pending entries with a greater id.
            count: at most so many.

        Raises:
            LaneLost: the fence is old.
            BrokerUnavailable: Redis did not answer; entries may have become pending.
        """
        keys = (self._updates, self._fence_key, self._tries)
        reply = await READ.run(self._bus, keys, self._fence, GROUP, CONSUMER, count, after)
        entries, tries, news_after = self._mine(reply)
        counts = [int(number) for number in tries] or [0] * len(entries)
        return Batch([_entry(raw, failed) for raw, failed in zip(entries, counts, strict=True)], news_after)

    async def wait(self, news_after: bytes) -> None:
        """Wait a while for an entry after `news_after` to be appended.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        try:
            await self._broker.blocking.xread({self._updates: news_after}, count=1, block=int(MAX_BLOCK * 1000))
        except (*UNREACHABLE, RedisError) as error:
            raise BrokerUnavailable(f"Redis did not answer: {type(error).__name__}") from error

    async def get(self, entry: bytes) -> Mapping[bytes, bytes]:
        """Return the fields of an entry again; empty where it is gone.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        found = await self._bus.call("XRANGE", self._updates, entry, entry)
        return _entry(found[0], 0).fields if found else {}

    async def ack(self, entry: bytes) -> None:
        """Take an entry that is done out of the stream.

        Raises:
            LaneLost: the fence is old.
            BrokerUnavailable: Redis did not confirm; it may be repeated.
        """
        keys = (self._updates, self._fence_key, self._tries)
        self._mine(await ACK.run(self._bus, keys, self._fence, GROUP, entry))

    async def failed(self, entry: bytes) -> int:
        """Count a failed try and return how many there are now.

        Raises:
            LaneLost: the fence is old.
            BrokerUnavailable: Redis did not confirm; a repeat may count twice.
        """
        return int(self._mine(await FAILED.run(self._bus, (self._fence_key, self._tries), self._fence, entry)))

    async def bury(self, entry: bytes, letter: Mapping[str, bytes | str | int]) -> None:
        """Move an entry to the dead letters, in one step.

        Args:
            entry: its id.
            letter: the fields of the dead letter.

        Raises:
            DeadFull: there are too many dead letters; the entry stays.
            LaneLost: the fence is old.
            BrokerUnavailable: Redis did not confirm; it may be repeated.
        """
        keys = (self._updates, self._fence_key, self._tries, self._dead)
        fields = [part for field in letter.items() for part in field]
        arguments = (self._fence, GROUP, entry, self._dead_bound, *fields)
        if self._mine(await BURY.run(self._bus, keys, *arguments)) == 0:
            raise DeadFull(f"{self._dead_bound} dead letters are kept; look at them and drop what is not needed")

    def _mine(self, reply: Any) -> Any:
        if reply is None:
            raise LaneLost(f"lane {self.lane} has another owner")
        return reply


def _entry(raw: Sequence[Any], tries: int) -> Entry:
    flat = raw[1] or ()  # a pending entry that was deleted has none
    return Entry(raw[0], dict(zip(flat[::2], flat[1::2], strict=True)), tries)
