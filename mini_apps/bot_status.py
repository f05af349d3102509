"""How an app's bot is doing, as every process can read it from the hash `{prefix}:{app}:bot`.

| field | what | written |
|---|---|---|
| `status` | the value of a `BotStatus` | by the bot worker at each change |
| `id`, `username`, `first_name` | the bot as `getMe` tells | by the bot worker when it connects |
| `worker` | node id of the bot worker that wrote | with each status |
| `flood_until` | unix seconds until which Telegram wants no calls | with `start_flood` |
| `reason`, `since` | one line for people, and the unix second of the status | with each status |
"""

import itertools
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from shared.keys import AppKeys, Keys
    from shared.steady import Steady

__all__ = ["BotReport", "BotStatus", "TelegramMe", "read_me", "read_report", "read_status", "write_me", "write_status"]


class BotStatus(Enum):
    """Enumeration that describes the status of a telegram bot."""

    Disconnected = "disconnected"
    """No bot worker serves it: none ever did, or the app has no bot token."""
    Crashed = "crashed"
    """The bot ended by an error, or its worker died."""
    Offline = "offline"
    """Its worker was stopped in good order."""
    Starting = "starting"
    """It is connecting to Telegram."""
    StartFlood = "start_flood"
    """Telegram asked it to wait before it may start."""
    Running = "running"
    """It takes updates."""


_FIELDS = ["status", "worker", "reason", "since", "flood_until", "id", "username", "first_name"]
_NEEDS_A_WORKER = frozenset({BotStatus.Starting, BotStatus.StartFlood, BotStatus.Running})


@dataclass(frozen=True, slots=True)
class TelegramMe:
    """The bot itself.

    Attributes:
        id: at Telegram.
        username: without the at sign.
        first_name: its name.
    """

    id: int
    username: str
    first_name: str = ""


@dataclass(frozen=True, slots=True)
class BotReport:
    """How a bot is doing, and why.

    Attributes:
        status: of the bot.
        reason: one line for people, empty where there is nothing to say.
        since: unix seconds of the status, 0 where there never was one.
        wait: seconds until Telegram lets it start, with `StartFlood`, else 0.
        worker: node id of the bot worker that speaks for it.
        me: the bot, once it connected.
    """

    status: BotStatus
    reason: str = ""
    since: int = 0
    wait: int = 0
    worker: str = ""
    me: TelegramMe | None = None


async def write_status(
    redis: "Redis | Steady", keys: "AppKeys", status: BotStatus, *, worker: str, reason: str = "", flood_until: int = 0
) -> None:
    """Tell every process how the bot is doing, all in one step, so that no reader sees a status without its reason.

    Args:
        redis: the client.
        keys: of the app.
        status: from now on.
        worker: node id of the bot worker that says so.
        reason: one line for people.
        flood_until: unix seconds, with `StartFlood`.
    """
    fields: dict[str, str | int] = {
        "status": status.value,
        "worker": worker,
        "reason": reason,
        "flood_until": flood_until,
        "since": int(time.time()),
    }
    await _write(redis, keys, fields)


async def write_me(redis: "Redis | Steady", keys: "AppKeys", me: TelegramMe) -> None:
    """Tell every process which bot it is."""
    await _write(redis, keys, {"id": me.id, "username": me.username, "first_name": me.first_name})


async def _write(redis: "Redis | Steady", keys: "AppKeys", fields: dict[str, str | int]) -> None:
    run: Any = redis.execute_command  # redis-py leaves it untyped
    await run("HSET", keys.bot, *itertools.chain.from_iterable(fields.items()))


async def read_status(redis: "Redis | Steady", keys: "Keys", app: str) -> BotStatus:
    """Read how the bot of an app is doing; a bot whose worker is gone without a word has crashed.

    Args:
        redis: the client.
        keys: of the deployment.
        app: its name.
    """
    return (await read_report(redis, keys, app)).status


async def read_report(redis: "Redis | Steady", keys: "Keys", app: str) -> BotReport:
    """Read how the bot of an app is doing, and why.

    Args:
        redis: the client.
        keys: of the deployment.
        app: its name.
    """
    run: Any = redis.execute_command  # redis-py leaves it untyped
    found: list[bytes | None] = await run("HMGET", keys.app(app).bot, *_FIELDS)
    text, worker, reason, since, until = (field.decode() if field else "" for field in found[:5])
    me = read_me(found[5:])
    try:
        status = BotStatus(text)
    except ValueError:
        return BotReport(BotStatus.Disconnected, me=me)
    if status in _NEEDS_A_WORKER and not await run("EXISTS", keys.node(worker)):
        return BotReport(BotStatus.Crashed, f"its worker {worker} is gone", int(since or 0), 0, worker, me)
    wait = max(0, int(until or 0) - int(time.time())) if status is BotStatus.StartFlood else 0
    return BotReport(status, reason, int(since or 0), wait, worker, me)


def read_me(fields: list[bytes | None]) -> TelegramMe | None:
    """Read the bot from the fields `id`, `username`, `first_name` of its hash; None where no worker wrote them."""
    id_, username, first_name = (field.decode() if field else "" for field in fields)
    return TelegramMe(int(id_), username, first_name) if id_ else None
