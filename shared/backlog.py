"""What waits in an app's streams, as numbers: updates in their lanes, dead letters, calls of the Bot API.

Reading costs a few commands for each stream and changes nothing. They are sent together, yet Redis answers each on its
own, so the numbers of two streams may be a moment apart.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from shared.broker import Broker
from shared.keys import FAST_LANE, AppKeys, lane_name
from shared.streams import GROUP
from shared.updates import CHANGING


@dataclass(frozen=True, slots=True)
class StreamNow:
    """What waits in one stream.

    Attributes:
        waiting: entries, those that were handed out among them.
        pending: entries that were handed out: in the hooks, being called, or waiting for their next try.
        oldest_seconds: age of the oldest entry, 0 where there is none.
    """

    waiting: int
    pending: int
    oldest_seconds: float

    @property
    def lag(self) -> int:
        """Entries that nobody took yet."""
        return max(0, self.waiting - self.pending)


@dataclass(frozen=True, slots=True)
class LaneNow:
    """One lane.

    Attributes:
        lane: its number, or `fast`.
        stream: what waits in it.
        owner: the bot worker that has it, empty for none.
        fence: how often it changed hands.
    """

    lane: str
    stream: StreamNow
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one app.

    Attributes:
        app: its name.
        lanes: the fast one first; none where nobody has said yet how many there are.
        changing: `16>32` while the number of lanes is being changed, else empty.
        calls: the streams of calls by their names, `now` and `bulk`.
        dead: dead letters.
        workers: bot workers that serve the app.
    """

    app: str
    lanes: tuple[LaneNow, ...]
    changing: str
    calls: dict[str, StreamNow]
    dead: int
    workers: int


async def read_backlog(broker: Broker, app: str) -> Backlog:
    """Read what waits for an app.

    Args:
        broker: the open broker.
        app: its name.

    Raises:
        redis.exceptions.RedisError: Redis did not answer.
    """
    keys = broker.keys.app(app)
    kept, dead, workers = await _together(
        broker, ("GET", keys.lanes), ("XLEN", keys.dead), ("ZCOUNT", keys.workers, time.time() * 1000, "+inf")
    )
    changing = kept.decode() if kept and CHANGING in kept else ""
    count = 0 if changing else int(kept or 0)
    streams = {"now": keys.calls, "bulk": keys.calls_bulk}
    found = await read_streams(broker, list(streams.values()))
    calls = dict(zip(streams, found, strict=True))
    return Backlog(app, tuple(await read_lanes(broker, keys, count)), changing, calls, dead, workers)


async def read_lanes(broker: Broker, keys: AppKeys, count: int) -> list[LaneNow]:
    """Read what waits in each lane of an app, and who has it; the fast lane comes first.

    Args:
        broker: the open broker.
        keys: of the app.
        count: how many lanes there are beside the fast one; 0 for none at all.

    Raises:
        redis.exceptions.RedisError: Redis did not answer.
    """
    lanes = (FAST_LANE, *range(count)) if count else ()
    streams = await read_streams(broker, [keys.updates(lane) for lane in lanes])
    owners = await _together(broker, *(("GET", keys.lane_lease(lane)) for lane in lanes))
    fences = await _together(broker, *(("GET", keys.lane_fence(lane)) for lane in lanes))
    return [
        LaneNow(lane_name(lane), stream, (owner or b"").decode(), int(fence or 0))
        for lane, stream, owner, fence in zip(lanes, streams, owners, fences, strict=True)
    ]


async def read_streams(broker: Broker, streams: Sequence[str]) -> list[StreamNow]:
    """Read what waits in streams that the group `workers` reads.

    Raises:
        redis.exceptions.RedisError: Redis did not answer.
    """
    lengths = await _together(broker, *(("XLEN", stream) for stream in streams))
    oldest = await _together(broker, *(("XRANGE", stream, "-", "+", "COUNT", 1) for stream in streams))
    pending = await _together(broker, *(("XPENDING", stream, GROUP) for stream in streams))
    now = time.time()
    return [
        StreamNow(length, _pending(summary), _age(first, now))
        for length, first, summary in zip(lengths, oldest, pending, strict=True)
    ]


async def _together(broker: Broker, *commands: Sequence[Any]) -> list[Any]:
    """Send commands together; a stream that nobody ever read has no group, which is no failure."""
    replies = await broker.together(*commands, refusals=True)
    for reply in replies:
        if isinstance(reply, Exception) and not (isinstance(reply, ResponseError) and "NOGROUP" in str(reply)):
            raise reply
    return replies


def _pending(summary: Any) -> int:
    match summary:
        case ResponseError():
            return 0
        case {"pending": int(count)}:  # as redis-py reads it
            return count
        case [int(count), *_]:
            return count
    return 0


def _age(first: Any, now: float) -> float:
    if not first:
        return 0.0
    return round(max(0.0, now - int(first[0][0].partition(b"-")[0]) / 1000), 1)
