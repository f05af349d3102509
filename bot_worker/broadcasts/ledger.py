"""What a running broadcast job writes down, by scripts that refuse an old owner.

A recipient is handed out before anything is sent, together with the cursor, so a restart knows whom to look after;
and is finished once, with its outcome. Between the two the call's own claim tells whether it was made.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from mini_apps.broadcast_jobs import LIFE_SECONDS, BroadcastJob, job_of
from shared.bus import Bus
from shared.keys import AppKeys
from shared.scripts import Script

LIFE: Final = LIFE_SECONDS * 1000
KEEP_RESULT: Final = 300_000  # ms a call's result outlives its counting: for a former owner that still tries

Outcome = Literal["sent", "blocked", "failed", "unknown"]

# KEYS: fence, due, job; ARGV: fence, id. Returns the job's fields, or 0 where it does not run.
BEGIN = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local state = redis.call('HGET', KEYS[3], 'state')
if state ~= 'waiting' and state ~= 'running' then
  redis.call('ZREM', KEYS[2], ARGV[2])
  return 0
end
redis.call('HSET', KEYS[3], 'state', 'running', 'reason', '')
redis.call('HSETNX', KEYS[3], 'started', redis.call('TIME')[1])
return redis.call('HGETALL', KEYS[3])
""")

# KEYS: fence, job, open; ARGV: fence, cursor, life in ms, recipients. Returns 1, or 0 where the job does not run.
HAND_OUT = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
if redis.call('HGET', KEYS[2], 'state') ~= 'running' then return 0 end
for at = 4, #ARGV do redis.call('HSET', KEYS[3], ARGV[at], 0) end
redis.call('HSET', KEYS[2], 'cursor', ARGV[2], 'handed', redis.call('TIME')[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return 1
""")

# KEYS: fence, job, open, unknown, done; ARGV: fence, recipient, outcome, reason, life in ms, ms to keep the result.
FINISH = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
if redis.call('HDEL', KEYS[3], ARGV[2]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
if ARGV[4] ~= '' and redis.call('HGET', KEYS[2], 'state') == 'running' then
  redis.call('HSET', KEYS[2], 'reason', ARGV[4])
end
if ARGV[3] == 'unknown' then
  redis.call('SADD', KEYS[4], ARGV[2])
  redis.call('PEXPIRE', KEYS[4], ARGV[5])
else
  redis.call('PEXPIRE', KEYS[5], ARGV[6])
end
return 1
""")

# KEYS: fence, due, job, open; ARGV: fence, id, life in ms, state to enter, reason. Returns 1 where it was running and
# entered the state; a job is not done while somebody is handed out.
END = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
if redis.call('HGET', KEYS[3], 'state') ~= 'running' then return 0 end
if ARGV[4] == 'done' and redis.call('HLEN', KEYS[4]) > 0 then return 0 end
redis.call('HSET', KEYS[3], 'state', ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[3], 'reason', ARGV[5]) end
if ARGV[4] == 'done' then redis.call('HSET', KEYS[3], 'ended', redis.call('TIME')[1]) end
redis.call('PEXPIRE', KEYS[3], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[2])
return 1
""")


class JobsLost(Exception):
    """Another worker runs the app's broadcast jobs now; nothing was written."""


class Ledger:
    """The jobs of one app, as their owner writes them.

    Args:
        bus: carries the scripts, so that those of one loop turn share a round trip.
        keys: of the app.
        fence: of this ownership.
    """

    def __init__(self, bus: Bus, keys: AppKeys, fence: int) -> None:
        self._bus = bus
        self._keys = keys
        self._fence = fence

    async def next(self) -> str | None:
        """Return the id of the job whose turn it is.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        found = await self._bus.call("ZRANGE", self._keys.broadcasts_due, 0, 0)
        return found[0].decode() if found else None

    async def begin(self, id: str) -> BroadcastJob | None:
        """Let a job run and return it; None where it may not.

        Raises:
            JobsLost: the fence is old.
            BrokerUnavailable: Redis did not answer; it may be repeated.
        """
        keys = self._keys
        names = (keys.broadcasts_fence, keys.broadcasts_due, keys.broadcast(id))
        found = self._mine(await BEGIN.run(self._bus, names, self._fence, id))
        return job_of(found) if found else None

    async def open(self, id: str) -> dict[int, int]:
        """Return who is handed out and not finished, each with the round of the sending.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        raw = await self._bus.call("HGETALL", self._keys.broadcast_open(id))
        return {int(user): int(turn) for user, turn in zip(raw[::2], raw[1::2], strict=True)}

    async def hand_out(self, id: str, cursor: int, users: Sequence[int]) -> bool:
        """Note that these come next, and whose turn is over up to `cursor`; false where the job runs no more.

        Raises:
            JobsLost: the fence is old.
            BrokerUnavailable: Redis did not answer; it may be repeated.
        """
        keys = self._keys
        names = (keys.broadcasts_fence, keys.broadcast(id), keys.broadcast_open(id))
        return bool(self._mine(await HAND_OUT.run(self._bus, names, self._fence, cursor, LIFE, *users)))

    async def finish(self, id: str, user: int, call_id: str, outcome: Outcome, reason: str) -> None:
        """Count what became of one recipient, once.

        Raises:
            JobsLost: the fence is old.
            BrokerUnavailable: Redis did not confirm it; it may be repeated.
        """
        keys = self._keys
        names = (
            keys.broadcasts_fence,
            keys.broadcast(id),
            keys.broadcast_open(id),
            keys.broadcast_unknown(id),
            keys.call_done(call_id),
        )
        self._mine(await FINISH.run(self._bus, names, self._fence, user, outcome, reason, LIFE, KEEP_RESULT))

    async def end(self, id: str, state: Literal["done", "paused"], reason: str = "") -> bool:
        """Let a job be done or paused; false where it does not run, or somebody is still handed out.

        Raises:
            JobsLost: the fence is old.
            BrokerUnavailable: Redis did not confirm it; it may be repeated.
        """
        keys = self._keys
        names = (keys.broadcasts_fence, keys.broadcasts_due, keys.broadcast(id), keys.broadcast_open(id))
        return bool(self._mine(await END.run(self._bus, names, self._fence, id, LIFE, state, reason)))

    async def runs(self, id: str) -> bool:
        """Tell whether a job shall run on.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return bool(await self._bus.call("HGET", self._keys.broadcast(id), "state") == b"running")

    def _mine(self, reply: Any) -> Any:
        if reply is None:
            raise JobsLost(f"app {self._keys.app!r}: another worker runs the broadcast jobs")
        return reply
