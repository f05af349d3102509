"""The consumers' end of a lane: a stream with one group and one fixed consumer, for its owner only.

Every script checks the owner's fence, reading too: what Redis handed to an owner that lost the lane would otherwise
sit among the pending entries unseen, while its successor goes on with later ones.

The dead letters of an app are one stream, in another slot than its lanes, so an update is given up in two steps: the
letter is written, then the entry goes. Whoever finds the entry after a crash in between looks for its letter first.
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
from shared.together import Together

GROUP: Final = "workers"
CONSUMER: Final = "lane"  # the same whoever owns the lane, so that pending entries are found by the next owner
NEW: Final = b">"
FIRST: Final = b"0"
DEAD_BOUND: Final = 100_000  # dead letters of an app, then nothing more is given up
CLOCK_MS: Final = 3_600_000  # how far the clocks of two Redis servers may be apart

# KEYS: updates, fence, tries; ARGV: fence, group, consumer, count, from. Returns nil for an old fence, else the
# entries, their failed tries (of pending ones), and when there is nothing new the id after which news begin and how
# many entries are pending.
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
    if info[at] == 'last-generated-id' then
      return {entries, tries, info[at + 1], redis.call('XPENDING', KEYS[1], ARGV[2])[1]}
    end
  end
end
return {entries, tries, '', 0}
""")

# KEYS: updates, fence, tries; ARGV: fence, group, then the entries.
ACK = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
redis.call('XACK', KEYS[1], ARGV[2], unpack(ARGV, 3))
redis.call('XDEL', KEYS[1], unpack(ARGV, 3))
redis.call('HDEL', KEYS[3], unpack(ARGV, 3))
return 1
""")

# KEYS: fence, tries; ARGV: fence, entry, 1 or -1. Returns how many tries count now.
COUNT = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
return redis.call('HINCRBY', KEYS[2], ARGV[2], ARGV[3])
""")

# KEYS: dead; ARGV: bound, id from which to look for the letter of this entry or '', lane, entry, then its fields.
# Returns 0 where there are too many.
WRITE_LETTER = Script("""
if ARGV[2] ~= '' then
  for _, letter in ipairs(redis.call('XRANGE', KEYS[1], ARGV[2], '+')) do
    local lane, entry
    for at = 1, #letter[2], 2 do
      if letter[2][at] == 'lane' then lane = letter[2][at + 1] end
      if letter[2][at] == 'entry' then entry = letter[2][at + 1] end
    end
    if lane == ARGV[3] and entry == ARGV[4] then return 1 end
  end
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))
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
        tries: that count so far.
        again: it was handed out before, to this owner or another.
    """

    id: bytes
    fields: Mapping[bytes, bytes]
    tries: int = 0
    again: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What a read gave.

    Attributes:
        entries: in order.
        news_after: where nothing is new, the id after which news begin.
        pending: where nothing is new, how many entries were handed out and not acknowledged.
    """

    entries: Sequence[Entry]
    news_after: bytes
    pending: int


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
        self._reader: Any = broker.reader()
        self._acks: Together[bytes, None] = Together(self._ack_together)

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
        entries, tries, news_after, pending = self._mine(reply)
        counts = [int(number) for number in tries] or [0] * len(entries)
        again = after != NEW
        found = [_entry(raw, count, again=again) for raw, count in zip(entries, counts, strict=True)]
        return Batch(found, news_after, pending)

    async def wait(self, news_after: bytes) -> None:
        """Wait a while for an entry after `news_after` to be appended.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        try:
            block = ("COUNT", 1, "BLOCK", int(MAX_BLOCK * 1000))
            await self._reader.execute_command("XREAD", *block, "STREAMS", self._updates, news_after)
        except (*UNREACHABLE, RedisError) as error:
            raise BrokerUnavailable(f"Redis did not answer: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connection that `wait` used."""
        self._broker.let_go(self._reader)

    async def get(self, entry: bytes) -> Mapping[bytes, bytes]:
        """Return the fields of an entry again; empty where it is gone.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        found = await self._bus.call("XRANGE", self._updates, entry, entry)
        return _entry(found[0]).fields if found else {}

    async def ack(self, entry: bytes) -> None:
        """Take an entry that is done out of the stream, together with the others of this loop turn.

        Raises:
            LaneLost: the fence is old.
            BrokerUnavailable: Redis did not confirm; it may be repeated.
        """
        await self._acks.one(entry)

    async def _ack_together(self, entries: list[bytes]) -> list[None]:
        keys = (self._updates, self._fence_key, self._tries)
        self._mine(await ACK.run(self._bus, keys, self._fence, GROUP, *entries))
        return [None] * len(entries)

    async def count(self, entry: bytes) -> int:
        """Count a try and return how many there are now.

        Raises:
            LaneLost: the fence is old.
            BrokerUnavailable: Redis did not confirm; a repeat may count twice.
        """
        return int(self._mine(await COUNT.run(self._bus, (self._fence_key, self._tries), self._fence, entry, 1)))

    async def uncount(self, entry: bytes) -> None:
        """Take back a try that was counted and not made to its end.

        Raises:
            LaneLost: the fence is old.
            BrokerUnavailable: Redis did not confirm.
        """
        self._mine(await COUNT.run(self._bus, (self._fence_key, self._tries), self._fence, entry, -1))

    async def bury(self, entry: bytes, letter: Mapping[str, bytes | str | int], *, again: bool) -> None:
        """Move an entry to the dead letters.

        Args:
            entry: its id.
            letter: the fields of the dead letter, `lane` and `entry` among them.
            again: the letter may be there already: this was tried before, or the entry was handed out before.

        Raises:
            DeadFull: there are too many dead letters; the entry stays.
            LaneLost: the fence is old.
            BrokerUnavailable: Redis did not confirm; it may be repeated, with `again`.
        """
        since = max(0, int(entry.partition(b"-")[0]) - CLOCK_MS) if again else ""
        fields = [part for field in letter.items() for part in field]
        about = (self._dead_bound, since, letter["lane"], entry)
        if await WRITE_LETTER.run(self._bus, (self._dead,), *about, *fields) == 0:
            raise DeadFull(
                f"{self._dead_bound} dead letters are kept; look at them with `mini-apps dead list` and drop what is "
                "not needed"
            )
        await self.ack(entry)

    def _mine(self, reply: Any) -> Any:
        if reply is None:
            raise LaneLost(f"lane {self.lane} has another owner")
        return reply


def _entry(raw: Sequence[Any], tries: int = 0, *, again: bool = False) -> Entry:
    flat = raw[1] or ()  # a pending entry that was deleted has none
    return Entry(raw[0], dict(zip(flat[::2], flat[1::2], strict=True)), tries, again)
