"""How an app's bot is doing, as every process can read it from the hash `{prefix}:{app}:bot`.

| field | what | written |
|---|---|---|
| `status` | the value of a `BotStatus` | by the bot worker at each change |
| `id`, `username`, `first_name` | the bot as `getMe` tells | by the bot worker when it connects |
| `worker` | node id of the bot worker that wrote | with each status |
| `flood_until` | unix seconds until which Telegram wants no calls | with `start_flood` |
| `reason`, `since` | one line for people, and the unix second of the status | with each status |
"""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from shared.keys import AppKeys, Keys

__all__ = ["BotStatus", "TelegramMe", "read_me", "read_status", "write_me", "write_status"]


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


async def write_status(
    redis: "Redis", keys: "AppKeys", status: BotStatus, *, worker: str, flood_until: int = 0
) -> None:
    """Tell every process how the bot is doing.

    Args:
        redis: the client.
        keys: of the app.
        status: from now on.
        worker: node id of the bot worker that says so.
        flood_until: unix seconds, with `StartFlood`.
    """
    fields: dict[Any, Any] = {"status": status.value, "worker": worker, "flood_until": flood_until}
    await redis.hset(keys.bot, mapping=fields)


async def write_me(redis: "Redis", keys: "AppKeys", me: TelegramMe) -> None:
    """Tell every process which bot it is."""
    fields: dict[Any, Any] = {"id": me.id, "username": me.username, "first_name": me.first_name}
    await redis.hset(keys.bot, mapping=fields)


async def read_status(redis: "Redis", keys: "Keys", app: str) -> BotStatus:
    """Read how the bot of an app is doing; a bot whose worker is gone without a word has crashed.

    Args:
        redis: the client.
        keys: of the deployment.
        app: its name.
    """
    fields = cast("list[bytes | None]", await redis.hmget(keys.app(app).bot, ["status", "worker"]))
    text, worker = (field.decode() if field else "" for field in fields)
    try:
        status = BotStatus(text)
    except ValueError:
        return BotStatus.Disconnected
    if status in _NEEDS_A_WORKER and not await redis.exists(keys.node(worker)):
        return BotStatus.Crashed
    return status


def read_me(fields: list[bytes | None]) -> TelegramMe | None:
    """Read the bot from the fields `id`, `username`, `first_name` of its hash; None where no worker wrote them."""
    id_, username, first_name = (field.decode() if field else "" for field in fields)
    return TelegramMe(int(id_), username, first_name) if id_ else None
