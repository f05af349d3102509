"""Telegram updates on their way in: which lane an update belongs to, and the log that takes it once.

Guarantee: `append` returns once Redis has the update. An update with an `update_id` that was taken in during the last
25 hours is not appended again, so whoever got no answer may simply repeat.
"""

import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import orjson
from prometheus_client import Counter

from shared.broker import Broker
from shared.bus import Bus
from shared.keys import UPDATE_ID_BLOCK_BITS, AppKeys
from shared.lifecycle import StartError
from shared.scripts import Script

SEEN_SECONDS = 25 * 3600  # Telegram repeats an update for up to 24 hours
LANE_BOUND = 100_000  # entries of one lane, then producers are refused
LARGEST_UPDATE_ID = 2**53 - 1

Via = Literal["webhook", "polling"]

# One slot: KEYS: updates, seen; ARGV: bit, bound, life of the bitmap in s, then the entry's fields.
# Returns 1 when appended, 0 when seen before, -1 at the bound. XADD comes first: out of memory refuses the first
# write only, so nothing is remembered that was not appended.
APPEND = Script("""
if redis.call('GETBIT', KEYS[2], ARGV[1]) == 1 then return 0 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return -1 end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4))
redis.call('SETBIT', KEYS[2], ARGV[1], 1)
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
""")

taken = Counter("mini_apps_updates_taken", "Telegram updates offered to the log", ["app", "via", "outcome"])


class BadUpdate(ValueError):
    """This is no Telegram update; the text says why without repeating it."""


class Overloaded(Exception):
    """The lane is full: its entries must be worked off first; what was asked may be asked again later."""


def order_key(update: Mapping[str, Any]) -> int:
    """Return what an update is ordered by: the id of its chat where there is one, else of its user, else 0.

    Args:
        update: the decoded update; kinds nobody knows yet are looked at the same way.
    """
    events = [value for value in update.values() if isinstance(value, Mapping)]
    return next((found for event in events for found in _ids(event)), 0)


def lane_of(update: Mapping[str, Any], lanes: int) -> int:
    """Return the lane of an update, 0 … `lanes` - 1: the same in every process and at any time."""
    return zlib.crc32(b"%d" % order_key(update)) % lanes


def parse_update(raw: bytes) -> dict[str, Any]:
    """Return the update in `raw`.

    Raises:
        BadUpdate: not a JSON object with a whole, non-negative `update_id`.
    """
    try:
        update = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadUpdate(f"not JSON: {error.msg} at character {error.pos}") from None
    return check_update(update)


def check_update(update: Any) -> dict[str, Any]:
    """Return the decoded update as it is.

    Raises:
        BadUpdate: not an object with a whole, non-negative `update_id`.
    """
    if not isinstance(update, dict):
        raise BadUpdate("an update is a JSON object")
    number = update.get("update_id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= LARGEST_UPDATE_ID:
        raise BadUpdate("an update has a whole, non-negative number as update_id")
    return update


class UpdateLog:
    """The producers' end of the update streams.

    Args:
        broker: the open broker.
        bus: its publishing connection carries the appends, so those of one loop turn share a round trip.
        lanes: `bot.lanes`; see `agree_on_lanes`.
        bound: entries a lane may hold.
    """

    def __init__(self, broker: Broker, bus: Bus, lanes: int, *, bound: int = LANE_BOUND) -> None:
        self._keys = broker.keys
        self._apps: dict[str, AppKeys] = {}
        self._bus = bus
        self._lanes = lanes
        self._bound = bound

    async def append(self, app: str, update: bytes | dict[str, Any], via: Via) -> bool:
        """Take an update in, unless it was taken before.

        Args:
            app: the app's name.
            update: the JSON as Telegram sent it (kept byte by byte), or the decoded object.
            via: how it came.

        Returns:
            False for an update that was already taken.

        Raises:
            BadUpdate: it is no update.
            Overloaded: its lane is full.
            BrokerUnavailable: Redis did not confirm it; it may be repeated.
        """
        try:
            done = await self._append(app, update, via)
        except BadUpdate:
            taken.labels(app, via, "bad").inc()
            raise
        if done < 0:
            taken.labels(app, via, "overloaded").inc()
            raise Overloaded(f"app {app!r}: {self._bound} updates already wait in this lane; are bot workers running?")
        taken.labels(app, via, "taken" if done else "duplicate").inc()
        return done > 0

    async def _append(self, app: str, update: bytes | dict[str, Any], via: Via) -> int:
        decoded = parse_update(update) if isinstance(update, bytes) else check_update(update)
        raw = update if isinstance(update, bytes) else _encode(update)
        keys = self._apps.get(app) or self._apps.setdefault(app, self._keys.app(app))
        number, lane = decoded["update_id"], lane_of(decoded, self._lanes)
        bit = number & ((1 << UPDATE_ID_BLOCK_BITS) - 1)
        names = (keys.updates(lane), keys.seen(lane, number))
        fields = ("id", number, "update", raw, "received", int(time.time() * 1000), "via", via)
        arguments = (bit, self._bound, SEEN_SECONDS, *fields)
        return int(await APPEND.run(self._bus, names, *arguments))


async def agree_on_lanes(broker: Broker, app: str, lanes: int) -> None:
    """Make sure every process of the deployment spreads this app's updates over the same lanes.

    Raises:
        StartError: the deployment was started with another number.
        redis.exceptions.RedisError: Redis did not answer.
    """
    key = broker.keys.app(app).lanes
    await broker.client.set(key, lanes, nx=True)
    kept = int(await broker.client.get(key) or lanes)
    if kept != lanes:
        raise StartError(
            f"app {app!r} has {kept} lanes in Redis, but bot.lanes is {lanes}: with both, updates of one chat would "
            f"overtake each other; set bot.lanes = {kept} in this process too"
        )


def _encode(update: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(update)
    except TypeError as error:  # lone surrogates, numbers beyond 64 bits
        raise BadUpdate(f"it has no JSON form: {error}") from None


def _ids(event: Mapping[str, Any]) -> Iterator[int]:
    """Give the candidates, best first: the chat, the chat of the message it is about, whoever did it."""
    message = event.get("message")
    places = [event.get("chat"), message.get("chat") if isinstance(message, Mapping) else None]
    places += [event.get(name) for name in ("from", "user", "voter_chat")]
    for place in places:
        if isinstance(place, Mapping) and isinstance(found := place.get("id"), int):
            yield found
