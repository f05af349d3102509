"""The board in Redis: what is painted where, who may paint again when, and what the pages were not told yet.

All keys carry one hash tag and every change is one script, so there is one order over all nodes, and each batch has a
number in it, its version. A page that knows the version of each of its pixels ends at the same board, in whatever order
the batches reach it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from examples.pixel_board.places import BOARD_BYTES
from mini_apps import App, AppError
from shared.broker import reaching

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

MINUTES = 60  # of the chart
MOST_UNTOLD = 1_000  # batches; beyond, nobody may paint until the pages know more
UNTOLD_AFTER = 2_000  # ms after which whoever painted a batch is not going to tell of it any more

# KEYS: board, state, minutes, painters, untold, then the ink of each painter.
# ARGV: drops, ms that a drop takes, minutes to keep, most untold, then for each pixel: index of its painter's key,
# place, colour, name. A painter's ink is the unix ms at which all drops are back.
# Returns version, what to tell of it, then for each pixel the ms until all drops are back, or minus those until one is.
PAINT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local drops, each = tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('HLEN', KEYS[5]) >= tonumber(ARGV[4]) then return {-1} end
local answer, pixels = {0, ''}, {}
for at = 5, #ARGV, 4 do
  local ink, place, colour = KEYS[5 + tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2]
  local full = math.max(now, tonumber(redis.call('GET', ink) or '0')) + each
  local wait = drops > 0 and full - now - drops * each or 0
  if wait > 0 then
    answer[#answer + 1] = -wait
  else
    if drops > 0 then redis.call('SET', ink, string.format('%.0f', full), 'PX', full - now) end
    redis.call('BITFIELD', KEYS[1], 'SET', 'u4', '#' .. place, colour)
    redis.call('HSET', KEYS[4], place, string.format('%.0f ', now) .. ARGV[at + 3])
    pixels[#pixels + 1] = place * 16 + colour
    answer[#answer + 1] = drops > 0 and full - now or 0
  end
end
if #pixels == 0 then return answer end
local minute = math.floor(now / 60000)
redis.call('HINCRBY', KEYS[3], minute, #pixels)
if redis.call('HLEN', KEYS[3]) > tonumber(ARGV[3]) then
  for _, old in ipairs(redis.call('HKEYS', KEYS[3])) do
    if tonumber(old) <= minute - ARGV[3] then redis.call('HDEL', KEYS[3], old) end
  end
end
redis.call('HINCRBY', KEYS[2], 'total', #pixels)
answer[1] = redis.call('HINCRBY', KEYS[2], 'version', 1)
answer[2] = string.format('[%.0f,', now) .. table.concat(pixels, ',') .. ']'
redis.call('HSET', KEYS[5], answer[1], answer[2])
return answer
"""


@dataclass(frozen=True, slots=True)
class Pixel:
    """A pixel that somebody wants to paint."""

    place: int
    colour: int
    painter: int
    name: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Pixels that were painted together.

    Attributes:
        version: of the board, after them.
        at: unix ms.
        pixels: 16 times the place and the colour, in the order in which they were painted.
    """

    version: int
    at: int
    pixels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one pixel.

    Attributes:
        painted: whether it was.
        version: of the board, if so.
        milliseconds: until all drops of ink are back if so, else until one is.
    """

    painted: bool
    version: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How much was painted.

    Attributes:
        total: pixels, ever.
        minutes: pixels in each of the last minutes, oldest first; the last one still goes on.
    """

    total: int
    minutes: tuple[int, ...]


class Canvas:
    """One app's board.

    Args:
        app: whose.
        drops: of ink that a user has; 0 for no end of it.
        drop_ms: until a drop that was used is back.
    """

    def __init__(self, app: App, drops: int, drop_ms: int) -> None:
        self._app = app
        self.drops = drops
        self.drop_ms = drop_ms

    async def paint(self, pixels: Sequence[Pixel]) -> tuple[Batch | None, list[Answer]]:
        """Paint as far as the painters' ink goes.

        Returns:
            What to tell the pages, None where nothing was painted; and what became of each pixel.

        Raises:
            AppError: too much was painted that the pages do not know of.
            BrokerUnavailable: Redis did not confirm it; it may have been painted.
        """
        painters = list({pixel.painter: None for pixel in pixels})
        number = {painter: index for index, painter in enumerate(painters, start=1)}
        keys = [*map(self._key, ("pixels", "state", "minutes", "painters", "untold")), *map(self._ink, painters)]
        asked: list[Any] = [self.drops, self.drop_ms, MINUTES, MOST_UNTOLD]
        for pixel in pixels:
            asked += [number[pixel.painter], pixel.place, pixel.colour, pixel.name]
        with reaching():
            version, *rest = await self._paint(keys=keys, args=asked)
        if version < 0:
            raise AppError("The board is too busy; try again in a moment", code="busy")
        answers = [Answer(left >= 0, version if left >= 0 else 0, abs(left)) for left in rest[1:]]
        return (_batch(version, rest[0]) if version else None), answers

    async def told(self, batch: Batch) -> None:
        """Take note that the pages were told of a batch, or will be: it is in the channel's history."""
        with reaching():
            await self._app.redis.hdel(self._key("untold"), str(batch.version))

    async def untold(self) -> list[Batch]:
        """Return batches of which the pages were not told in time, since a node died between painting and telling."""
        with reaching():
            found: Any = await self._app.redis.hgetall(self._key("untold"))
        batches = [_batch(int(version), told) for version, told in found.items()]
        before = time.time() * 1000 - UNTOLD_AFTER
        return sorted((batch for batch in batches if batch.at < before), key=lambda batch: batch.version)

    async def look(self) -> tuple[bytes, int]:
        """Return the pixels, two a byte, and their version.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            async with self._app.redis.pipeline(transaction=True) as pipe:  # of one moment
                pipe.get(self._key("pixels"))
                pipe.hget(self._key("state"), "version")
                pixels, version = await pipe.execute()
        return (pixels or b"").ljust(BOARD_BYTES, b"\0"), int(version or 0)

    async def tally(self) -> Tally:
        """Return how much was painted.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            async with self._app.redis.pipeline(transaction=False) as pipe:
                pipe.hget(self._key("state"), "total")
                pipe.hgetall(self._key("minutes"))
                total, found = await pipe.execute()
        counts = {int(minute): int(count) for minute, count in found.items()}
        last = int(time.time() // 60)
        return Tally(int(total or 0), tuple(counts.get(minute, 0) for minute in range(last - MINUTES + 1, last + 1)))

    async def ink(self, painter: int) -> int:
        """Return the ms until all of a user's ink is back.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            return max(0, await self._app.redis.pttl(self._ink(painter)))

    async def who(self, place: int) -> tuple[int, str] | None:
        """Return when (unix ms) and by whom a place was painted last; None where it never was.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            found: Any = await self._app.redis.hget(self._key("painters"), str(place))
        if found is None:
            return None
        at, _, name = found.decode().partition(" ")
        return int(at), name

    def _key(self, name: str) -> str:
        return self._app.key(f"{{board}}:{name}")

    def _ink(self, painter: int) -> str:
        return self._key(f"ink:{painter}")

    @cached_property
    def _paint(self) -> "AsyncScript":
        return self._app.redis.register_script(PAINT)


def _batch(version: int, told: bytes) -> Batch:
    at, *pixels = orjson.loads(told)
    return Batch(version, at, tuple(pixels))
