"""What a deployment works on now, each in one line for people."""

from collections.abc import Iterator
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from shared.keys import FAST_LANE, AppKeys
from shared.link import Link

if TYPE_CHECKING:
    from mini_apps.app import App
    from mini_apps.testing.services import Service
    from mini_apps.testing.telegram import LocalTelegram


def of_telegram(telegram: "LocalTelegram") -> Iterator[str]:
    """Name the updates that wait for the bot worker."""
    for update in telegram.bot.queue:
        yield f"the {update.kind} update {update.id}, which no bot worker has fetched"


async def of_redis(link: Link, keys: AppKeys, lanes: int) -> Iterator[str]:
    """Name the updates and calls that wait in Redis or are being made, one by one.

    Args:
        link: to Redis.
        keys: of the app.
        lanes: how many it has.
    """
    streams = [*map(keys.updates, (FAST_LANE, *range(lanes))), keys.calls, keys.calls_bulk]
    *updates, calls, bulk = await link.calls([("XLEN", key) for key in streams])
    whats = ("an update in a lane of the bot", "a call of the Bot API", "a call of the Bot API for a broadcast")
    return chain.from_iterable(
        repeat(what, count) for what, count in zip(whats, (sum(updates), calls, bulk), strict=True)
    )


def of_node(service: "Service") -> Iterator[str]:
    """Name the logins and handlers that run on a node."""
    node = service.process.serves
    if node is None:
        return
    for connection in node.connections:
        if connection.stage.name in ("HANDSHAKE", "LOGGING_IN"):
            yield f"a login on {service.name}"
    for inbox in node.busy:
        yield f"a handler for {getattr(inbox.client.user, 'name', 'a client')} on {service.name}"


def of_database(app: "App", where: str) -> Iterator[str]:
    """Name the database sessions that are open in a process."""
    pool: Any = app.mesh.database.engine.pool
    if count := pool.checkedout():
        yield f"{count} open database sessions of {where}"
