"""Walking what Redis holds: one server or the masters of a cluster, by SCAN, a bounded number of keys."""

from collections.abc import AsyncIterator
from typing import Any, Final

from redis.asyncio import ConnectionPool

from shared.broker import Broker
from shared.connecting import ask
from shared.topology import Sharded

STEP: Final = 500  # keys that one SCAN looks at


async def walk(broker: Broker, pattern: str, most: int) -> AsyncIterator[str]:
    """Give keys by a pattern, each once, of all servers.

    Args:
        broker: the open broker.
        pattern: as of SCAN.
        most: then it ends.
    """
    seen: set[bytes] = set()
    async for raw in broker.client.scan_iter(pattern, count=STEP):
        if raw in seen:
            continue
        seen.add(raw)
        if len(seen) > most:
            return
        yield raw.decode("utf-8", "replace")


async def heard_channels(broker: Broker, pattern: str, most: int) -> list[tuple[str, int]]:
    """Return pub/sub channels that somebody hears, and how many connections do; in a cluster the sharded ones.

    Args:
        broker: the open broker.
        pattern: as of PUBSUB CHANNELS.
        most: channels.
    """
    if isinstance(broker.topology, Sharded):
        return sorted([heard for pool in await broker.topology.homes() for heard in await _heard(pool, pattern)])[:most]
    names: list[Any] = sorted(await broker.client.pubsub_channels(pattern))[:most]
    counts: Any = await broker.client.pubsub_numsub(*names) if names else []
    return [(name.decode("utf-8", "replace"), count) for name, count in counts]


async def _heard(pool: ConnectionPool, pattern: str) -> list[tuple[str, int]]:
    """Return the sharded channels of one server."""
    names = await ask(pool, "PUBSUB", "SHARDCHANNELS", pattern)
    counts = await ask(pool, "PUBSUB", "SHARDNUMSUB", *names) if names else []
    return [(name.decode("utf-8", "replace"), count) for name, count in zip(counts[::2], counts[1::2], strict=True)]
