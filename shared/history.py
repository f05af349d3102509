"""The history of a channel: append and publish in one step, and read on from a position.

An entry's offset is the server time in µs; where that is not after the last offset, because a failover led to a server
whose clock is behind, it is the last offset and a bit, drawn from the clock. So it never repeats and never goes back.
Each entry and each live message carries `prev`, the offset before it. A position is valid if it is the last offset, a
kept entry, or the `prev` of the oldest kept one; so a failover that lost entries can never look like a recovery.

Two different messages can get the same offset only if a failover loses the first, and both servers numbered them in the
same microsecond or, with both clocks behind the last offset, drew the same of 65,536 bits: then nobody can tell.

Guarantee: who holds a valid position and reads on from it misses nothing and gets nothing twice; for any other position
the answer says that there is a gap, and why.
"""

import time
from dataclasses import dataclass
from typing import Literal

from shared.bus import Bus
from shared.bus_frames import Message
from shared.keys import AppKeys
from shared.scripts import Script

REPEAT_SECONDS = 300  # how long a publish may be repeated under its id without being appended twice
LAST_OUTLIVES = 86_400  # seconds that the last offset is kept after the entries

# One slot: KEYS: stream, meta, ids of this five minutes, ids of the last five, pub/sub channel.
# ARGV: body, size, life of the entries in ms, publish id or '', excluded client or '', policy or '', its key or '',
# correlation id or ''.
# Returns the offset.
# XADD comes first of the writes: out of memory refuses the first write only, so nothing is half done.
PUBLISH = Script(
    """
if ARGV[4] ~= '' then
  local known = redis.call('HGET', KEYS[3], ARGV[4]) or redis.call('HGET', KEYS[4], ARGV[4])
  if known then return known end
end
local prev = tonumber(redis.call('HGET', KEYS[2], 'last') or '0')
local time = redis.call('TIME')
local offset = tonumber(time[1]) * 1000000 + tonumber(time[2])
if offset <= prev then offset = prev + 1 + offset % 65536 end
local text = string.format('%.0f', offset)
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], text .. '-0', 'data', ARGV[1], 'prev', string.format('%.0f', prev))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], 'last', text)
redis.call('PEXPIRE', KEYS[2], ARGV[3] + """
    + str(LAST_OUTLIVES * 1000)
    + """)
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[4], text)
  redis.call('EXPIRE', KEYS[3], """
    + str(2 * REPEAT_SECONDS)
    + """)
end
local header = {offset = offset, prev = prev}
if ARGV[5] ~= '' then header.exclude = ARGV[5] end
if ARGV[6] ~= '' then header.policy = ARGV[6] end
if ARGV[7] ~= '' then header.key = ARGV[7] end
if ARGV[8] ~= '' then header.trace = ARGV[8] end
redis.call('PUBLISH', KEYS[5], cmsgpack.pack(header) .. ARGV[1])
return text
"""
)

# One slot: KEYS: stream, meta; ARGV: position, most entries, most bytes.
# A channel without a last offset gets one from the clock, so that a position of an empty channel is not good for ever.
# Returns last offset, verdict, then offset and data of each entry after the position, oldest first.
READ = Script(
    """
local last = redis.call('HGET', KEYS[2], 'last')
if not last then
  local time = redis.call('TIME')
  last = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('HSET', KEYS[2], 'last', last)
  redis.call('PEXPIRE', KEYS[2], """
    + str(LAST_OUTLIVES * 1000)
    + """)
end
if ARGV[1] == last then return {last, 'valid'} end
if tonumber(ARGV[1]) < 0 then return {last, 'unknown position'} end
local at = redis.call('XRANGE', KEYS[1], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2] + 2)
local from = 1
if at[1] and at[1][1] == ARGV[1] .. '-0' then
  from = 2
else
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if not oldest then return {last, 'too old'} end
  if oldest[2][4] ~= ARGV[1] then
    if tonumber(ARGV[1]) > tonumber(last) then return {last, 'unknown position'} end
    local newer = tonumber(ARGV[1]) > tonumber(string.match(oldest[1], '^%d+'))
    return {last, newer and 'unknown position' or 'too old'}
  end
end
local answer, bytes = {last, 'valid'}, 0
for index = from, #at do
  local data = at[index][2][2]
  bytes = bytes + #data
  if index - from >= tonumber(ARGV[2]) or (tonumber(ARGV[3]) > 0 and bytes > tonumber(ARGV[3])) then
    return {last, 'too much'}
  end
  answer[#answer + 1] = string.match(at[index][1], '^%d+')
  answer[#answer + 1] = data
end
return answer
"""
)

Verdict = Literal["valid", "unknown position", "too old", "too much"]
MOST_ENTRIES = 100_000  # of one read; `Channel.history` is far below


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept message.

    Attributes:
        offset: its place.
        body: finished JSON, without the offset.
    """

    offset: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What follows a position.

    Attributes:
        verdict: `valid`, or why there is a gap.
        last: offset of the newest message; where there never was one, an offset before all to come.
        entries: what follows the position, oldest first; empty unless valid.
    """

    verdict: Verdict
    last: int
    entries: tuple[Entry, ...] = ()


async def publish(
    bus: Bus, keys: AppKeys, channel: str, message: Message, *, size: int, ttl: float, id_: str = ""
) -> int:
    """Append a message and publish it, in one step.

    Args:
        bus: the open bus.
        keys: the app's names.
        channel: its name.
        message: what to append and publish; its offset and `prev` come from here.
        size: entries to keep.
        ttl: seconds the entries live after the last publish.
        id_: a repeat under the same id within 5 minutes is not appended again; empty for none.

    Returns:
        The message's offset; of a repeat, that of the first time.

    Raises:
        NotReplicated: it is published, but not as many replicas as `redis.wait-replicas` confirmed it in time.
        BrokerUnavailable: Redis did not confirm it.
    """
    bucket = int(time.time() // REPEAT_SECONDS)
    names = [
        keys.channel_stream(channel),
        keys.channel_meta(channel),
        keys.channel_ids(channel, bucket),
        keys.channel_ids(channel, bucket - 1),
        keys.channel(channel),
    ]
    how = (message.exclude or "", message.policy or "", message.key or "", message.trace)
    return int(await PUBLISH.run(bus, names, message.body, size, int(ttl * 1000), id_, *how, replicated=True))


async def kept(bus: Bus, keys: AppKeys, channel: str, since: int, limit: int) -> list[Entry]:
    """Return up to `limit` kept messages after the offset `since`, oldest first, whether or not it is valid.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    found = await bus.call(
        "XRANGE", keys.channel_stream(channel), f"({max(since, 0)}-0", "+", "COUNT", max(0, min(limit, MOST_ENTRIES))
    )
    return [Entry(int(id_.partition(b"-")[0]), fields[1]) for id_, fields in found]


async def read(bus: Bus, keys: AppKeys, channel: str, position: int, *, limit: int = 0, max_bytes: int = 0) -> Reading:
    """Read what follows a position.

    Args:
        bus: the open bus.
        keys: the app's names.
        channel: its name.
        position: an offset; -1 is valid nowhere, so it only asks for the last offset.
        limit: most entries, else the verdict is `too much`; 0 means none.
        max_bytes: most bytes of bodies, likewise.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    names = [keys.channel_stream(channel), keys.channel_meta(channel)]
    reply = await READ.run(bus, names, max(position, -1), limit or MOST_ENTRIES, max_bytes)
    flat = reply[2:]
    entries = tuple(Entry(int(offset), body) for offset, body in zip(flat[::2], flat[1::2], strict=True))
    return Reading(reply[1].decode(), int(reply[0]), entries)
