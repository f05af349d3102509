"""Broadcast jobs: one message of the bot to everybody it may write to, made and watched from any process.

A bot worker runs them, see `bot_worker.broadcasts`. State lives in Redis; `docs/redis.md` lists the keys.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import orjson

from shared.scripts import Script
from shared.updates import Overloaded

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.keys import AppKeys

__all__ = ["BroadcastJob", "BroadcastJobs", "JobRefused"]

JOBS_BOUND: Final = 1_000  # jobs of an app that are kept
LIFE_SECONDS: Final = 30 * 86_400  # from the last change of a job
LONGEST_TEXT: Final = 4096  # characters; https://core.telegram.org/bots/api#sendmessage

JobState = Literal["waiting", "running", "paused", "cancelled", "done"]
STATES: Final[frozenset[str]] = frozenset(get_args(JobState))

# KEYS: jobs, due, job; ARGV: id, bound, life in ms, then the job's fields. Returns 0 where too many are kept.
CREATE = Script("""
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[3], 'id', ARGV[1], 'state', 'waiting', 'created', time[1], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[3], ARGV[3])
local now = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZADD', KEYS[2], now, ARGV[1])
return 1
""")

# KEYS: due, job, open, unknown; ARGV: id, state to enter, life in ms, reason, then the states it may come from.
# Returns the state before, or nothing for a job that is not there.
CHANGE = Script("""
local state = redis.call('HGET', KEYS[2], 'state')
if not state then return false end
for at = 5, #ARGV do
  if ARGV[at] == state then
    local time = redis.call('TIME')
    redis.call('HSET', KEYS[2], 'state', ARGV[2], 'reason', ARGV[4])
    if ARGV[2] == 'waiting' then
      redis.call('ZADD', KEYS[1], string.format('%.0f', time[1] * 1000000 + time[2]), ARGV[1])
    else
      redis.call('ZREM', KEYS[1], ARGV[1])
    end
    if ARGV[2] == 'cancelled' then redis.call('HSET', KEYS[2], 'ended', time[1]) end
    for key = 2, 4 do redis.call('PEXPIRE', KEYS[key], ARGV[3]) end
    return state
  end
end
return state
""")

# KEYS: due, job, open, unknown; ARGV: id, life in ms. Hands everybody unknown out again, under new ids. Returns how
# many, the state of a job that is not done, nothing for one that is not there.
RESEND = Script("""
local state = redis.call('HGET', KEYS[2], 'state')
if not state then return false end
if state ~= 'done' then return state end
local unknown = redis.call('SMEMBERS', KEYS[4])
if #unknown == 0 then return 0 end
local round = redis.call('HINCRBY', KEYS[2], 'round', 1)
for _, user in ipairs(unknown) do redis.call('HSET', KEYS[3], user, round) end
redis.call('DEL', KEYS[4])
redis.call('HSET', KEYS[2], 'state', 'waiting', 'unknown', 0, 'reason', '')
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], 'handed', time[1])
redis.call('ZADD', KEYS[1], string.format('%.0f', time[1] * 1000000 + time[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return #unknown
""")


class JobRefused(ValueError):
    """A job cannot be made, or not be changed like this; the text says why."""


@dataclass(frozen=True, slots=True)
class BroadcastJob:
    """One broadcast job, as it is now.

    Attributes:
        id: of the job.
        state: `waiting` for a bot worker or for the job before, `running`, `paused`, `cancelled`, `done`.
        method: of the Bot API.
        fields: of the call, as texts, without `chat_id`.
        total: how many the bot might write to when the job was made.
        sent: who got it.
        blocked: who has blocked the bot, or is gone.
        failed: whose message Telegram refused for another reason.
        unknown: of whom nobody knows whether they got it; see `BroadcastJobs.unknown`.
        created: unix seconds.
        started: unix seconds, 0 before.
        ended: unix seconds, 0 before.
        reason: why it is paused, or what Telegram refused last.
        cursor: up to which Telegram id it was handed out.
        handed: unix seconds of when somebody was handed out last.
        round: how often those unknown were handed out again.
    """

    id: str
    state: JobState
    method: str
    fields: Mapping[str, str]
    total: int = 0
    sent: int = 0
    blocked: int = 0
    failed: int = 0
    unknown: int = 0
    created: int = 0
    started: int = 0
    ended: int = 0
    reason: str = ""
    cursor: int = 0
    handed: int = 0
    round: int = 0

    @property
    def done(self) -> int:
        """How many of the recipients are dealt with."""
        return self.sent + self.blocked + self.failed + self.unknown

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state not in ("waiting", "running")


class BroadcastJobs:
    """The broadcast jobs of one app.

    Args:
        bus: carries the scripts.
        keys: of the app.
    """

    def __init__(self, bus: "Bus", keys: "AppKeys") -> None:
        self._bus = bus
        self._keys = keys

    async def create(self, method: str, fields: Mapping[str, Any], total: int) -> str:
        """Make a job and return its id; a bot worker begins with it when the jobs before are over.

        Args:
            method: of the Bot API, such as `sendMessage`.
            fields: of the call, without `chat_id`; what is no text travels as JSON.
            total: how many will get it, for the progress.

        Raises:
            JobRefused: a field has no JSON form, or `chat_id` is among them.
            Overloaded: too many jobs are kept.
            BrokerUnavailable: Redis did not confirm it; look whether it is there before you repeat it.
        """
        if "chat_id" in fields:
            raise JobRefused("a broadcast job has no chat_id: it goes to everybody the bot may write to")
        content = orjson.dumps({name: _text(name, value) for name, value in fields.items() if value is not None})
        id = secrets.token_hex(4)
        job = ("method", method, "fields", content, "total", total, "cursor", 0)
        for may_tidy in (True, False):
            names = (self._keys.broadcasts, self._keys.broadcasts_due, self._keys.broadcast(id))
            if await CREATE.run(self._bus, names, id, JOBS_BOUND, LIFE_SECONDS * 1000, *job):
                return id
            if may_tidy:
                await self.all()
        raise Overloaded(f"app {self._keys.app!r} keeps {JOBS_BOUND} broadcast jobs; they go after 30 days")

    async def get(self, id: str) -> BroadcastJob | None:
        """Return a job, None where there is none.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return job_of(await self._bus.call("HGETALL", self._keys.broadcast(id)))

    async def all(self) -> list[BroadcastJob]:
        """Return the jobs that are kept, the newest first.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        ids = [raw.decode() for raw in await self._bus.call("ZREVRANGE", self._keys.broadcasts, 0, -1)]
        found = await self._bus.calls(*(("HGETALL", self._keys.broadcast(id)) for id in ids))
        jobs = {id: job_of(raw) for id, raw in zip(ids, found, strict=True)}
        if gone := [id for id, job in jobs.items() if job is None]:
            await self._bus.call("ZREM", self._keys.broadcasts, *gone)
        return [job for job in jobs.values() if job is not None]

    async def pause(self, id: str) -> BroadcastJob:
        """Let a job stop where it is; a few messages that are on their way are still sent.

        Raises:
            JobRefused: there is no such job, or it is over.
            BrokerUnavailable: Redis did not answer.
        """
        return await self._change(id, "paused", ("waiting", "running"))

    async def resume(self, id: str) -> BroadcastJob:
        """Let a paused job go on.

        Raises:
            JobRefused: there is no such job, or it is not paused.
            BrokerUnavailable: Redis did not answer.
        """
        return await self._change(id, "waiting", ("paused",))

    async def cancel(self, id: str) -> BroadcastJob:
        """End a job for good; a few messages that are on their way are still sent.

        Raises:
            JobRefused: there is no such job, or it is over.
            BrokerUnavailable: Redis did not answer.
        """
        return await self._change(id, "cancelled", ("waiting", "running", "paused"))

    async def unknown(self, id: str) -> list[int]:
        """Return of whom nobody knows whether they got the message: it was on its way when a worker died.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return sorted(int(raw) for raw in await self._bus.call("SMEMBERS", self._keys.broadcast_unknown(id)))

    async def resend_unknown(self, id: str) -> int:
        """Send to everybody unknown once more, who may so get it twice; returns how many.

        Raises:
            JobRefused: there is no such job, or it is not done.
            BrokerUnavailable: Redis did not answer.
        """
        many = await RESEND.run(self._bus, self._names(id), id, LIFE_SECONDS * 1000)
        if many is None:
            raise _missing(id)
        if isinstance(many, bytes):
            raise JobRefused(f"broadcast {id} is {many.decode()}; who is unknown can be sent to again when it is done")
        return int(many)

    async def _change(self, id: str, to: JobState, allowed: tuple[JobState, ...]) -> BroadcastJob:
        before = await CHANGE.run(self._bus, self._names(id), id, to, LIFE_SECONDS * 1000, "", *allowed)
        job = await self.get(id) if before is not None else None
        if before is None or job is None:
            raise _missing(id)
        if before.decode() not in allowed:
            raise JobRefused(f"broadcast {id} is {before.decode()}")
        return job

    def _names(self, id: str) -> tuple[str, ...]:
        keys = self._keys
        return (keys.broadcasts_due, keys.broadcast(id), keys.broadcast_open(id), keys.broadcast_unknown(id))


def job_of(raw: list[bytes]) -> BroadcastJob | None:
    """Return the job in a hash, None for an empty one."""
    found = {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}
    if found.get("state") not in STATES:
        return None
    texts = {"id", "state", "method", "reason"}
    values: dict[str, Any] = {name: found.get(name, "") for name in texts}
    numbers = {name for name, of in BroadcastJob.__annotations__.items() if of is int}
    values |= {name: int(found.get(name) or 0) for name in numbers}
    return BroadcastJob(**values, fields=orjson.loads(found.get("fields", "{}")))


def _text(name: str, value: Any) -> str:
    """Return a field as the Bot API takes it in a form."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise JobRefused(f"the field {name!r} of a broadcast job has no JSON form") from None


def _missing(id: str) -> JobRefused:
    return JobRefused(f"there is no broadcast {id!r}; `mini-apps broadcast list` shows those there are")
