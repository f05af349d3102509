"""Who makes a call, and what came of it: the hash `{calls}:done:ID`, by scripts that let one worker in.

Guarantee: of all workers, and of all tries of one, a single one gets the claim of an id and may send. A claim whose
worker died stays, as the sign that the call may have been made.
"""

from dataclasses import dataclass
from typing import Final, Literal

from shared.bus import Bus
from shared.calls import CallResult, State, known_state
from shared.keys import AppKeys
from shared.scripts import Script

GROUP: Final = "workers"
CLAIM_SECONDS: Final = 86_400  # a claim without a result is kept: the longest a call may wait

# KEYS: stream, done; ARGV: group, worker, entry or nothing, deadline in unix ms or 0, life in ms. Returns `mine`, or
# why not: `lost` (another worker took the entry over), `late`, or what is known of the call.
CLAIM = Script("""
if ARGV[3] ~= '' then
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
  if #pending == 0 or pending[1][2] ~= ARGV[2] then return {'lost'} end
end
local known = redis.call('HMGET', KEYS[2], 'state', 'status', 'body', 'worker')
if known[1] then return {'known', known[1], known[2], known[3], known[4]} end
local time = redis.call('TIME')
if tonumber(ARGV[4]) > 0 and time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[4]) then return {'late'} end
redis.call('HSET', KEYS[2], 'state', 'claimed', 'worker', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return {'mine'}
""")

# KEYS: done; ARGV: the worker whose claim it is, ours. Returns 1 where the claim is ours now.
INHERIT = Script("""
local known = redis.call('HMGET', KEYS[1], 'state', 'worker')
if known[1] ~= 'claimed' or known[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'worker', ARGV[2])
return 1
""")

# KEYS: stream, done; ARGV: group, worker, entry or nothing, life in ms or 0 to forget the claim, then the result.
# A claim that another worker inherited is not ours to close.
CLOSE = Script("""
local known = redis.call('HMGET', KEYS[2], 'state', 'worker')
if not known[1] or (known[1] == 'claimed' and known[2] == ARGV[2]) then
  if tonumber(ARGV[4]) > 0 then
    redis.call('HSET', KEYS[2], 'state', ARGV[5], 'worker', ARGV[2], 'status', ARGV[6], 'body', ARGV[7])
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
  elseif known[1] then
    redis.call('DEL', KEYS[2])
  end
end
if ARGV[3] ~= '' then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
  redis.call('XDEL', KEYS[1], ARGV[3])
end
return 1
""")

# KEYS: done; ARGV: worker. Gives up a claim under which nothing was sent.
UNCLAIM = Script("""
local known = redis.call('HMGET', KEYS[1], 'state', 'worker')
if known[1] == 'claimed' and known[2] == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
""")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call lies, for one that came by a stream."""

    stream: str
    entry: bytes
    deadline: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of claiming: `mine`, or `lost`, `late`, or `known` with what is known."""

    verdict: Literal["mine", "lost", "late", "known"]
    state: State | None = None


class Claims:
    """The claims of one app's calls, as one worker makes them.

    Args:
        bus: carries the scripts.
        keys: of the app.
        worker: node id of this process.
    """

    def __init__(self, bus: Bus, keys: AppKeys, worker: str) -> None:
        self._bus = bus
        self._keys = keys
        self.worker = worker

    async def claim(self, id: str, place: Place | None) -> Claim:
        """Ask for the right to make a call.

        Raises:
            BrokerUnavailable: Redis did not answer; the claim may be ours.
        """
        entry, deadline = (place.entry, place.deadline) if place else (b"", 0)
        verdict, *known = await CLAIM.run(
            self._bus, self._names(id, place), GROUP, self.worker, entry, deadline, CLAIM_SECONDS * 1000
        )
        return Claim(verdict.decode(), known_state(known) if known else None)

    async def inherit(self, id: str, dead: str) -> bool:
        """Take a dead worker's claim over, for a call that may be repeated.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return bool(await INHERIT.run(self._bus, (self._keys.call_done(id),), dead, self.worker))

    async def close(self, id: str, place: Place | None, result: CallResult, seconds: float) -> None:
        """Keep a result, and take the entry out of its stream, in one step.

        Args:
            id: of the call.
            place: its entry.
            result: what came of it.
            seconds: how long it is kept; 0 forgets the claim.

        Raises:
            BrokerUnavailable: Redis did not confirm it; it may be repeated.
        """
        entry = place.entry if place else b""
        arguments = (entry, int(seconds * 1000), result.outcome, result.status, result.body)
        await CLOSE.run(self._bus, self._names(id, place), GROUP, self.worker, *arguments)

    async def unclaim(self, id: str) -> None:
        """Give up a claim under which nothing was sent.

        Raises:
            BrokerUnavailable: Redis did not confirm it; it may be repeated.
        """
        await UNCLAIM.run(self._bus, (self._keys.call_done(id),), self.worker)

    async def look(self, id: str) -> State | None:
        """Return what is known of a call.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return known_state(await self._bus.call("HMGET", self._keys.call_done(id), "state", "status", "body", "worker"))

    def _names(self, id: str, place: Place | None) -> tuple[str, str]:
        return (place.stream if place else self._keys.calls, self._keys.call_done(id))
