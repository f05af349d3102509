"""Whether the processes that share a Redis and a prefix are of one deployment; told by what each says of itself."""

import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.nodes import Node

ADVICE: Final = (
    "give each deployment a redis.prefix of its own; if this one was changed, stop all its processes first (those that "
    "were killed count for redis.lease-seconds more)"
)


def apps_of(settings: Settings) -> str:
    """Return what a process tells of its apps: each with its bot's id, where that is known, such as `shop=42 quiz`."""
    served = {name: app.bot_id for name, app in sorted(settings.apps.items()) if app.enabled}
    return " ".join(f"{name}={bot}" if bot else name for name, bot in served.items())


def database_of(settings: Settings) -> str:
    """Return what a process tells of its database: a digest of its name, the same by whatever way it is reached."""
    parts = urlsplit(settings.database.url.get_secret_value())
    dialect, name = parts.scheme.partition("+")[0], parts.path.removeprefix("/")
    place = str(settings.resolve(name)) if dialect == "sqlite" else name
    return hashlib.sha256(f"{dialect} {place}".encode()).hexdigest()[:8]


def conflict(ours: "Node", others: "Iterable[Node]") -> str | None:
    """Say which process cannot be of our deployment and why, None where all can.

    Args:
        ours: this process, as it enters the register.
        others: who is in the register.
    """
    for other in others:
        reason = _conflict(ours, other) if other.id != ours.id else None
        if reason is not None:
            return f"another deployment uses it: {other.kind} {other.id} {reason}; {ADVICE}"
    return None


def _conflict(ours: "Node", other: "Node") -> str | None:
    mine, its = _bots(ours.apps), _bots(other.apps)
    for app in sorted(mine.keys() & its.keys()):
        if mine[app] and its[app] and mine[app] != its[app]:
            return f"serves app {app!r} with the bot {its[app]}, we with {mine[app]}"
    if mine and its and mine.keys().isdisjoint(its):
        return f"serves {', '.join(sorted(its))}, we {', '.join(sorted(mine))}"
    if ours.database and other.database and ours.database != other.database:
        return "uses another database"
    return None


def _bots(apps: str) -> dict[str, str]:
    pairs = (text.partition("=") for text in apps.split())
    return {name: bot for name, _, bot in pairs}
