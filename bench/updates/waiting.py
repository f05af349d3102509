"""Which updates the lanes hold: now, all the time, and in a Redis that is dead, by its append-only file."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bench.updates.verdict import Update
from mini_apps.embedded import EmbeddedValkey
from shared.broker import UNREACHABLE

LOOK_SECONDS = 0.1


async def in_lanes(client: Any, lanes: Iterable[str]) -> dict[str, Update]:
    """Return the updates that nobody acknowledged.

    Args:
        client: of a Redis.
        lanes: the keys of the streams.

    Returns:
        Chat and number of each, by lane and stream entry: `0/1700000000000-0`.

    Raises:
        redis.exceptions.RedisError: Redis does not answer.
    """
    found = {}
    for lane, key in enumerate(lanes):
        for entry, fields in await client.xrange(key):
            found[f"{lane}/{entry.decode()}"] = update_of(json.loads(fields[b"update"]))
    return found


async def in_file(valkey: EmbeddedValkey, lanes: Iterable[str]) -> dict[str, Update]:
    """Return what a dead server will know of when it is back, from a copy that nobody else can reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(valkey.folder / "appendonlydir", folder / "appendonlydir")
        with EmbeddedValkey(folder, durable=True) as copy:
            async with Redis.from_url(copy.url) as client:
                return await in_lanes(client, lanes)


def update_of(content: Any) -> Update:
    """Return the chat and the number of an update."""
    message = content["message"]
    return message["chat"]["id"], int(message["text"])


class Watch:
    """Looks at the lanes all the time, and remembers: what was there and then was not has been acknowledged.

    Args:
        look: returns what the lanes hold now; raises what Redis raises.
    """

    def __init__(self, look: Callable[[], Awaitable[Iterable[Update]]]) -> None:
        self._look = look
        self._seen: list[tuple[int, int, frozenset[Update]]] = []  # asked and told at, in ns; and what

    async def keep_looking(self) -> None:
        """Look until cancelled; nothing is seen while Redis does not answer."""
        while True:
            asked = time.monotonic_ns()
            try:
                held = frozenset(await self._look())
            except (*UNREACHABLE, RedisError):
                held = None
            if held is not None:
                self._seen.append((asked, time.monotonic_ns(), held))
            await asyncio.sleep(LOOK_SECONDS)

    def saw_acknowledged(self, update: Update, since: int, until: int) -> bool:
        """Tell whether an update was seen to be in no lane between two times of the monotonic clock, in ns."""
        return any(update not in held for asked, told, held in self._seen if asked > since and told < until)
