"""Who is where: the users of a channel (or of the whole app), each counted once, owned by the nodes they are on.

A user is present while some node holds them, and for a grace after the last one let go. What a node holds it holds
under an owner id, which lives as long as the node renews it; what a dead owner held is let go in its name. Users whose
grace runs are in a queue by time, from which any node takes who is due. Each step is one script on one slot and can be
repeated, and the record that it is to be done goes only after it, so whoever dies in between, somebody finishes it.

Guarantee: between two announcements that a user came there is one that they left, and the other way around; a user whom
a live node holds does not leave. Time is Redis's own, unless a caller gives it: `now_ms`, the same clock for all.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from shared.bus import Bus
from shared.keys import AppKeys
from shared.scripts import Script

EVERYWHERE = ""  # in the place of a channel's name: the whole app

# The last of ARGV is the time in ms, 0 for Redis's own.
_NOW = """
local now = tonumber(ARGV[#ARGV])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
"""

# KEYS: users, holders, and the pub/sub channel where news are wanted. ARGV: user, owner, JSON of the user, frame up to
# that JSON. A holder's value is either the owners, or `leaves` and the ms at which the grace ends.
ENTER = Script(
    """
local before = redis.call('HGET', KEYS[2], ARGV[1])
local owners = ARGV[2]
if before and string.sub(before, 1, 7) ~= 'leaves ' then
  for owner in string.gmatch(before, '%S+') do
    if owner ~= ARGV[2] then owners = owners .. ' ' .. owner end
  end
end
redis.call('HSET', KEYS[2], ARGV[1], owners)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if not before and KEYS[3] then redis.call('PUBLISH', KEYS[3], ARGV[4] .. ARGV[3] .. '}') end
return before and 0 or 1
"""
)

# KEYS: holders. ARGV: user, owner, grace in ms. Returns the ms at which the user leaves, 0 where others hold them.
EXIT = Script(
    """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before then return '0' end
local at = string.match(before, '^leaves (%d+)$')
if at then return at end
local rest = {}
for owner in string.gmatch(before, '%S+') do
  if owner ~= ARGV[2] then rest[#rest + 1] = owner end
end
if #rest > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], table.concat(rest, ' '))
  return '0'
end
"""
    + _NOW
    + """
at = string.format('%.0f', now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], ARGV[1], 'leaves ' .. at)
return at
"""
)

# KEYS: users, holders, and the pub/sub channel where news are wanted. ARGV: user, frame up to the JSON of the user.
LEAVE = Script(
    _NOW
    + """
local before = redis.call('HGET', KEYS[2], ARGV[1])
if not before then return 'absent' end
local at = tonumber(string.match(before, '^leaves (%d+)$') or '')
if not at or at > now then return 'present' end
local user = redis.call('HGET', KEYS[1], ARGV[1]) or 'null'
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
if KEYS[3] then redis.call('PUBLISH', KEYS[3], ARGV[2] .. user .. '}') end
return 'left'
"""
)

# KEYS: owners by the ms at which they die. ARGV: owner, life in ms, most dead ones wanted.
# Returns dead owners; they are the caller's to let go for as long as a life, then they are returned again.
RENEW = Script(
    _NOW
    + """
local until_ = string.format('%.0f', now + tonumber(ARGV[2]))
redis.call('ZADD', KEYS[1], until_, ARGV[1])
if ARGV[3] == '0' then return {} end
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[3])
for _, owner in ipairs(dead) do redis.call('ZADD', KEYS[1], until_, owner) end
return dead
"""
)

# KEYS: queue of who leaves. ARGV: most, ms for which they are the caller's. Returns members, and their new score last.
CLAIM = Script(
    _NOW
    + """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
local until_ = string.format('%.0f', now + tonumber(ARGV[2]))
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], until_, member) end
due[#due + 1] = until_
return due
"""
)

# KEYS: queue of who leaves. ARGV: the score of the claim, members. Who left anew meanwhile has another score and stays.
DONE = Script(
    """
for index = 2, #ARGV do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[index]) or '0') == tonumber(ARGV[1]) then
    redis.call('ZREM', KEYS[1], ARGV[index])
  end
end
return 1
"""
)

Verdict = Literal["left", "present", "absent"]


@dataclass(frozen=True, slots=True)
class Seat:
    """A user in a channel.

    Attributes:
        user: Telegram id.
        channel: its name, or `EVERYWHERE`.
    """

    user: int
    channel: str

    @property
    def member(self) -> str:
        """What stands for it in sets and queues."""
        return f"{self.user} {self.channel}"

    @classmethod
    def of(cls, member: bytes) -> Self:
        """Return the seat of a member."""
        user, _, channel = member.decode().partition(" ")
        return cls(int(user), channel)

    def keys(self, keys: AppKeys, *, news: bool = False) -> list[str]:
        """Return KEYS of `ENTER` and `LEAVE`, with or without where news go."""
        if self.channel == EVERYWHERE:
            return [keys.online, keys.online_holders]
        heard = [keys.channel(self.channel)] if news else []
        return [keys.presence(self.channel), keys.holders(self.channel), *heard]

    def queue(self, keys: AppKeys) -> str:
        """Return the queue it is in while its grace runs."""
        return keys.online_leaving if self.channel == EVERYWHERE else keys.leaving


@dataclass(frozen=True, slots=True)
class Claim:
    """Users who are due, the caller's for a while.

    Attributes:
        queue: where they are from.
        score: by which they are known to be the caller's still.
        seats: who, and where.
    """

    queue: str
    score: bytes
    seats: tuple[Seat, ...]


class Vigil:
    """Whether this process may believe in its own owner id, and in the death of others.

    After an interruption (of Redis, of the network, of this process) everybody else looks dead, and we may look dead to
    them. So an owner that could not renew for half its life is given up for a new one, and nobody is declared dead or
    announced as leaving before a whole life has passed without interruption.

    Args:
        life: of an owner without renewal, seconds.
    """

    def __init__(self, life: float) -> None:
        self.life = life
        self._renewed = -math.inf
        self._calm = math.inf

    def renewed(self, asked: float, answered: float) -> None:
        """Take note of a renewal; both in seconds of a monotonic clock."""
        if answered - self._renewed > self.life / 2:
            self._calm = answered + self.life
        self._renewed = asked

    def interrupted(self) -> None:
        """Take note that the connection to Redis was lost, and that perhaps it is another server now."""
        self._renewed = -math.inf

    def current(self, now: float) -> bool:
        """Whether nobody can have taken us for dead."""
        return now - self._renewed <= self.life / 2

    def calm(self, now: float) -> bool:
        """Whether others may be taken for dead, and leaves be announced."""
        return self.current(now) and now >= self._calm


async def enter(bus: Bus, keys: AppKeys, seat: Seat, owner: str, user: bytes, frame: bytes | None) -> bool:
    """Hold a user.

    Args:
        bus: the open bus.
        keys: the app's names.
        seat: who, and where.
        owner: of the node, renewed.
        user: JSON, for `present` and the news.
        frame: of the news, up to that JSON; None tells nobody.

    Returns:
        Whether the user was not there before.

    Raises:
        BrokerUnavailable: Redis did not confirm it; it may have done it.
    """
    held = bus.call("SADD", keys.holds(owner), seat.member)
    entered = ENTER.run(bus, seat.keys(keys, news=frame is not None), seat.user, owner, user, frame or b"")
    await held
    return bool(await entered)


async def exit_(bus: Bus, keys: AppKeys, seat: Seat, owner: str, grace: float, *, now_ms: int = 0) -> None:
    """Let a user go in the name of an owner; without another they leave after `grace` seconds.

    Raises:
        BrokerUnavailable: Redis did not confirm it; it is to be repeated.
    """
    at = int(await EXIT.run(bus, seat.keys(keys)[1:2], seat.user, owner, int(grace * 1000), now_ms))
    if at:
        await bus.call("ZADD", seat.queue(keys), at, seat.member)
    await bus.call("SREM", keys.holds(owner), seat.member)


async def leave(bus: Bus, keys: AppKeys, seat: Seat, frame: bytes | None, *, now_ms: int = 0) -> Verdict:
    """Take a user out whose grace is over.

    Args:
        bus: the open bus.
        keys: the app's names.
        seat: who, and where.
        frame: of the news, up to the JSON of the user; None tells nobody.
        now_ms: unix time; 0 for Redis's own.

    Raises:
        BrokerUnavailable: Redis did not confirm it.
    """
    names = seat.keys(keys, news=frame is not None)
    verdict: Verdict = (await LEAVE.run(bus, names, seat.user, frame or b"", now_ms)).decode()
    return verdict


async def renew(bus: Bus, keys: AppKeys, owner: str, life: float, most_dead: int, *, now_ms: int = 0) -> list[str]:
    """Keep an owner alive for `life` seconds; return up to `most_dead` dead ones, to be let go by us.

    Raises:
        BrokerUnavailable: Redis did not confirm it.
    """
    found = await RENEW.run(bus, [keys.presence_nodes], owner, int(life * 1000), most_dead, now_ms)
    return [dead.decode() for dead in found]


async def abandon(bus: Bus, keys: AppKeys, owner: str) -> None:
    """See to it that what an owner of ours may still hold is let go, also if it was found dead and forgotten before.

    Raises:
        BrokerUnavailable: Redis did not confirm it.
    """
    await bus.call("ZADD", keys.presence_nodes, "NX", 0, owner)


async def held(bus: Bus, keys: AppKeys, owner: str, most: int) -> list[Seat]:
    """Return some of what an owner holds.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    return [Seat.of(member) for member in await bus.call("SRANDMEMBER", keys.holds(owner), most)]


async def bury(bus: Bus, keys: AppKeys, owner: str) -> None:
    """Forget an owner that holds nothing.

    Raises:
        BrokerUnavailable: Redis did not confirm it.
    """
    await bus.call("ZREM", keys.presence_nodes, owner)


async def claim(bus: Bus, queue: str, most: int, seconds: float, *, now_ms: int = 0) -> Claim:
    """Take up to `most` users who are due out of a queue for so many seconds.

    Raises:
        BrokerUnavailable: Redis did not confirm it.
    """
    *members, score = await CLAIM.run(bus, [queue], most, int(seconds * 1000), now_ms)
    return Claim(queue, score, tuple(Seat.of(member) for member in members))


async def done(bus: Bus, claim: Claim, seats: Iterable[Seat]) -> None:
    """Take users of a claim out of the queue for good.

    Raises:
        BrokerUnavailable: Redis did not confirm it.
    """
    await DONE.run(bus, [claim.queue], claim.score, *(seat.member for seat in seats))


async def present(bus: Bus, keys: AppKeys, channel: str) -> list[bytes]:
    """Return the JSON of each user in a channel.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    found: list[bytes] = await bus.call("HVALS", keys.presence(channel))
    return found


async def count(bus: Bus, keys: AppKeys, channel: str) -> int:
    """Return how many users are in a channel.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    return int(await bus.call("HLEN", keys.presence(channel)))
