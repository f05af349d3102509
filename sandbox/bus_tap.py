"""Listens to the bus of a deployment on the same machine, so that the page can show its frames; it changes nothing.

Only `mini-apps dev` names a bus here. The processes do not know of the listener: they publish as always. What a node
and a page say to each other alone, nodes publish for it in development only.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sandbox.config import BusConfig
from sandbox.runtime import Clock
from sandbox.state import World
from sandbox.traffic import Entry, shortened
from shared import bus_frames
from shared.broker import reconnect_delay
from shared.keys import Keys
from shared.log import get_logger

log = get_logger("bus")


class BusTap:
    """One task that hears every channel of the bus.

    Args:
        config: where the bus is.
        world: its bots have the names of the apps.
        clock: unix seconds.
        note: takes what was heard.
    """

    def __init__(self, config: BusConfig, world: World, clock: Clock, note: Callable[[Entry], None]) -> None:
        self._config = config
        self._clock = clock
        self._note = note
        self._keys = Keys(config.prefix)
        self._bots = {bot.config.name: bot.id for bot in world.bots.values()}

    async def run(self) -> None:
        """Listen until cancelled; where there is no broker, wait for it."""
        for attempt in range(1_000_000):
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.debug("the bus is not there; waiting for it", error=type(error).__name__)
            await asyncio.sleep(reconnect_delay(attempt))

    async def _listen(self) -> None:
        redis: Redis = Redis.from_url(self._config.url, protocol=2, socket_keepalive=True)
        try:
            async with redis.pubsub() as pubsub:
                await pubsub.psubscribe(f"{_literal(self._config.prefix)}:*")
                async for message in pubsub.listen():
                    if message["type"] == "pmessage":
                        self._heard(message["channel"].decode(), message["data"])
        finally:
            await redis.aclose()

    def _heard(self, channel: str, payload: bytes) -> None:
        if channel == self._keys.tap:
            self._note(self._told(orjson.loads(payload)))
            return
        app, _, place = channel.removeprefix(f"{self._config.prefix}:").partition(":")
        way = _way(place)
        if app not in self._bots or not way:
            return
        try:
            frame = bus_frames.unpack(payload)
        except ValueError:  # the bus carries other things too, which are no frames
            return
        title, detail = _content(frame)
        self._note(Entry(self._clock(), "frame", self._bots[app], frame.trace, title, way, shortened(detail)))

    def _told(self, told: dict[str, Any]) -> Entry:
        """Return what a node says it heard from a page, or told it."""
        bot, way = self._bots.get(told["app"], 0), f"{told['from']} → {told['to']}"
        return Entry(self._clock(), "frame", bot, told["trace"], told["title"], way, shortened(told["detail"]))


def _literal(prefix: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in prefix)


def _way(place: str) -> str:
    """Say to whom a channel goes; nothing for channels that carry no frames."""
    kind, _, rest = place.partition(":")
    name = rest.partition(":")[2]
    match kind:
        case "all":
            return "→ everybody"
        case "user":
            return f"→ user {name}"
        case "ch":
            return f"→ channel {name}"
        case "signals":
            return "→ nodes"
    return ""


def _content(frame: bus_frames.Frame) -> tuple[str, Any]:
    match frame:
        case bus_frames.Message(body=body):
            detail = _json(body)
            return str(detail.get("type", "message")) if isinstance(detail, dict) else "message", detail
        case bus_frames.Signal(name=name, data=data):
            return f"signal {name}", _json(data)
        case bus_frames.Join(channel=channel):
            return "join", {"channel": channel}
        case bus_frames.Leave(channel=channel, reason=reason):
            return "leave", {"channel": channel, "reason": reason}
        case bus_frames.Disconnect(code=code, reason=reason):
            return "disconnect", {"code": code, "reason": reason}
        case bus_frames.AdminChanged(is_admin=is_admin):
            return "admin", {"is_admin": is_admin}


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        return {}
