"""`mini-apps inspect keys`: what the deployment holds in Redis, by kind of key; or the keys of a pattern one by one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mini_apps.cli.inspect.families import family
from mini_apps.cli.inspect.looking import Look, as_text, nothing_here
from mini_apps.cli.inspect.servers import walk
from mini_apps.cli.problem import Problem
from mini_apps.cli.view import ago, clean, show
from shared.broker import Broker
from shared.settings import Settings

BATCH: Final = 200
SIZES: Final = {"string": "STRLEN", "hash": "HLEN", "stream": "XLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD"}
UNITS: Final = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))


@dataclass(slots=True)
class KeyNow:
    """One key.

    Attributes:
        size: bytes of a string, else entries.
        ttl: seconds, -1 for none.
        bytes: of memory.
    """

    key: str
    type: str
    size: int
    ttl: int
    bytes: int


@dataclass(slots=True)
class Family:
    """All keys of one kind.

    Attributes:
        size: entries of all of them; bytes of strings.
        without_ttl: keys that live until they are deleted.
        longest_ttl: seconds, -1 where none has one.
    """

    family: str
    type: str
    keys: int = 0
    size: int = 0
    bytes: int = 0
    without_ttl: int = 0
    longest_ttl: int = -1
    largest: str = field(default="")
    largest_bytes: int = 0


def showing(pattern: str, limit: int, *, as_json: bool) -> Look:
    """Make the look at the keys.

    Args:
        pattern: of keys to list, without the prefix, such as `counter:own:*`; empty for all keys by their kinds.
        limit: the most keys looked at.
        as_json: for programs.
    """

    async def look(broker: Broker, _settings: Settings) -> None:
        prefix = broker.settings.prefix
        found = [key async for key in walk(broker, f"{prefix}:{pattern or '*'}", limit + 1)]
        if not found:
            raise Problem(
                f"there is no key {clean(prefix)}:{clean(pattern)}" if pattern else await nothing_here(broker)
            )
        keys = await _read(broker, found[:limit])
        if pattern:
            _show_keys(keys, as_json=as_json)
        else:
            _show_families(group(keys, prefix), as_json=as_json)
        if len(found) > limit and not as_json:
            print(f"\nonly {limit:,} keys were looked at; --limit looks at more")

    return look


def group(keys: Sequence[KeyNow], prefix: str) -> list[Family]:
    """Sum keys up by their kinds, the largest kinds first."""
    found: dict[str, Family] = {}
    for key in keys:
        name = family(key.key, prefix)
        kind = found.setdefault(name, Family(name, key.type))
        kind.keys += 1
        kind.size += key.size
        kind.bytes += key.bytes
        kind.without_ttl += key.ttl < 0
        kind.longest_ttl = max(kind.longest_ttl, key.ttl)
        if key.bytes > kind.largest_bytes:
            kind.largest, kind.largest_bytes = key.key, key.bytes
    return sorted(found.values(), key=lambda kind: -kind.bytes)


async def _read(broker: Broker, names: Sequence[str]) -> list[KeyNow]:
    found = []
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        async with broker.client.pipeline(transaction=False) as pipe:
            for name in batch:
                pipe.type(name)
                pipe.ttl(name)
                pipe.memory_usage(name)
            replies = await pipe.execute()
        told = [(name, *replies[at * 3 : at * 3 + 3]) for at, name in enumerate(batch)]
        sizes = await _sizes(broker, [(name, kind.decode()) for name, kind, _, _ in told])
        found += [
            KeyNow(name, kind.decode(), size, max(ttl, -1), used or 0)
            for (name, kind, ttl, used), size in zip(told, sizes, strict=True)
            if kind != b"none"  # it went meanwhile
        ]
    return found


async def _sizes(broker: Broker, keys: Sequence[tuple[str, str]]) -> list[int]:
    async with broker.client.pipeline(transaction=False) as pipe:
        for name, kind in keys:
            pipe.execute_command(SIZES.get(kind, "EXISTS"), name)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
    return [reply if isinstance(reply, int) else 0 for reply in replies]  # another type by now


def _show_keys(keys: Sequence[KeyNow], *, as_json: bool) -> None:
    if as_json:
        as_text({"keys": [asdict(key) for key in keys]})
        return
    rows = [(key.key, key.type, key.size, _life(key.ttl), _bytes(key.bytes)) for key in keys]
    show(("key", "type", "size", "ttl", "memory"), sorted(rows), right=("ttl", "memory"))


def _show_families(kinds: Sequence[Family], *, as_json: bool) -> None:
    if as_json:
        as_text({"families": [asdict(kind) for kind in kinds]})
        return
    rows = [
        (kind.family, kind.type, kind.keys, kind.size, _bytes(kind.bytes), _life(kind.longest_ttl), kind.without_ttl)
        for kind in kinds
    ]
    show(("keys of", "type", "keys", "size", "memory", "longest ttl", "no ttl"), rows, right=("memory", "longest ttl"))
    total = sum(kind.bytes for kind in kinds)
    print(f"\n{sum(kind.keys for kind in kinds):,} keys, {_bytes(total)}; docs/redis.md tells what each is")


def _life(ttl: int) -> str:
    return ago(ttl) if ttl >= 0 else ""


def _bytes(count: int) -> str:
    size, unit = next(((size, unit) for size, unit in UNITS if count >= size), (1, "B"))
    return f"{count / size:.1f} {unit}" if size > 1 else f"{count} B"
