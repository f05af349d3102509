"""Telegram updates on their way in: which lane an update belongs to, and the log that takes it once.

Guarantee: `append` returns once Redis has the update. An update with an `update_id` that was taken in during the last
25 hours is not appended again, so whoever got no answer may simply repeat.
"""

import asyncio
import itertools
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import orjson
from prometheus_client import Counter
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, Broker, reconnect_delay
from shared.bus import Bus
from shared.keys import FAST_LANE, UPDATE_ID_BLOCK_BITS, AppKeys
from shared.lifecycle import StartError
from shared.log import get_logger
from shared.scripts import Script

SEEN_SECONDS = 25 * 3600  # Telegram repeats an update for up to 24 hours
LANE_BOUND = 100_000  # entries of one lane, then producers are refused
FAST_KINDS = ("pre_checkout_query",)  # what goes ahead of everything
FAST_SECONDS = 10.0  # Telegram takes an answer for so long; https://core.telegram.org/bots/api#answerprecheckoutquery
CHANGING = b">"  # in the number of lanes while they are changed: `16>32`
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

log = get_logger("updates")

offered = Counter(
    "mini_apps_updates_taken",
    "Updates offered to the lanes by webhook or polling: taken, duplicate, overloaded, bad",
    ["app", "via", "outcome"],
)


class BadUpdate(ValueError):
    """This is no Telegram update; the text says why without repeating it."""


class Overloaded(Exception):
    """As much waits as may: it must be worked off first; what was asked may be asked again later."""


def order_key(update: Mapping[str, Any]) -> int:
    """Return what an update is ordered by: the id of its chat where there is one, else of its user, else 0.

    Args:
        update: the decoded update; kinds nobody knows yet are looked at the same way.
    """
    for event in update.values():  # nearly all have a chat, right here
        if type(event) is dict and type(chat := event.get("chat")) is dict and type(found := chat.get("id")) is int:
            return found
    events = [value for value in update.values() if isinstance(value, Mapping)]
    return next((found for event in events for found in _ids(event)), 0)


def lane_of(update: Mapping[str, Any], lanes: int) -> int:
    """Return the lane of an update, the same in every process and at any time.

    Args:
        update: decoded.
        lanes: how many there are.

    Returns:
        0 … `lanes` - 1, or `FAST_LANE` for what must be answered at once, whatever else its user has waiting.
    """
    if any(kind in update for kind in FAST_KINDS):
        return FAST_LANE
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
        self._counters: dict[tuple[str, str], Counter] = {}

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
            offered.labels(app, via, "bad").inc()
            raise
        if done < 0:
            offered.labels(app, via, "overloaded").inc()
            raise Overloaded(f"app {app!r}: {self._bound} updates already wait in this lane; are bot workers running?")
        offered.labels(app, via, "taken" if done else "duplicate").inc()
        return done > 0

    def begin(self, app: str, raw: bytes) -> "asyncio.Future[Any]":
        """Begin to take in an update that came by webhook; for those that come by the thousand.

        Returns:
            A future of 1 when it is taken, 0 when it was before, -1 when its lane is full; whatever it raises,
            `append` may be asked instead. Nothing is counted before `note`.

        Raises:
            BadUpdate: it is no update.
            BrokerUnavailable: the connection to Redis is down.
        """
        names, arguments = self._prepare(app, raw, "webhook")
        return APPEND.begin(self._bus, names, *arguments)

    def note(self, app: str, via: Via, *, taken: bool) -> None:
        """Count an update that `begin` took in."""
        outcome = "taken" if taken else "duplicate"
        counter = self._counters.get((app, outcome))
        if counter is None:
            counter = self._counters[app, outcome] = offered.labels(app, via, outcome)
        counter.inc()

    async def _append(self, app: str, update: bytes | dict[str, Any], via: Via) -> int:
        names, arguments = self._prepare(app, update, via)
        return int(await APPEND.run(self._bus, names, *arguments, replicated=True))

    def _prepare(self, app: str, update: bytes | dict[str, Any], via: Via) -> tuple[tuple[str, str], tuple[Any, ...]]:
        """Give keys and arguments of the script."""
        decoded = parse_update(update) if isinstance(update, bytes) else check_update(update)
        raw = update if isinstance(update, bytes) else _encode(update)
        keys = self._apps.get(app) or self._apps.setdefault(app, self._keys.app(app))
        number, lane = decoded["update_id"], lane_of(decoded, self._lanes)
        bit = number & ((1 << UPDATE_ID_BLOCK_BITS) - 1)
        names = (keys.updates(lane), keys.seen(lane, number))
        fields = ("id", number, "update", raw, "received", int(time.time() * 1000), "via", via)
        return names, (bit, self._bound, SEEN_SECONDS, *fields)


class LanesChanging(Exception):
    """Updates are being moved to another number of lanes."""

    def __init__(self, app: str, kept: bytes) -> None:
        before, _, after = kept.decode().partition(CHANGING.decode())
        super().__init__(
            f"app {app!r}: its lanes are being changed from {before} to {after}; if nobody does, that was interrupted: "
            f"run `mini-apps lanes resize {after}` again"
        )


async def lanes_in_use(bus: Bus, keys: AppKeys) -> int:
    """Return over how many lanes an app's updates are spread; 0 where nobody has said yet.

    Raises:
        LanesChanging: they are being moved.
        BrokerUnavailable: Redis did not answer.
    """
    kept = await bus.call("GET", keys.lanes) or b"0"
    if CHANGING in kept:
        raise LanesChanging(keys.app, kept)
    return int(kept)


async def agree_on_lanes(broker: Broker, app: str, lanes: int) -> None:
    """Make sure every process of the deployment spreads this app's updates over the same lanes.

    Raises:
        StartError: the deployment was started with another number, or is being changed to another.
        redis.exceptions.RedisError: Redis did not answer.
    """
    key = broker.keys.app(app).lanes
    _, kept_there = await broker.together(("SET", key, lanes, "NX"), ("GET", key))
    found: Any = kept_there or b"%d" % lanes
    if CHANGING in found:
        raise StartError(str(LanesChanging(app, bytes(found))))
    kept = int(found)
    if kept != lanes:
        raise StartError(
            f"app {app!r} has {kept} lanes in Redis, but bot.lanes is {lanes}: with both, updates of one chat would "
            f"overtake each other; set bot.lanes = {kept} in this process too, or stop every gateway and bot worker "
            f"and run `mini-apps lanes resize {lanes}`"
        )


async def agree_on_lanes_patiently(broker: Broker, app: str, lanes: int) -> None:
    """Do `agree_on_lanes` as often as it takes until Redis answers.

    Raises:
        StartError: the deployment was started with another number.
    """
    for attempt in itertools.count():
        try:
            await agree_on_lanes(broker, app, lanes)
        except (*UNREACHABLE, RedisError) as error:
            log.warning("Redis went away; waiting for it", app=app, error=str(error) or type(error).__name__)
            await asyncio.sleep(reconnect_delay(attempt))
        else:
            return


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
