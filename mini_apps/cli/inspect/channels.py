"""`mini-apps inspect channels` and `presence`: where messages go, what is kept of them, and who is there."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

from mini_apps.cli.inspect.looking import Look, apps_of, as_text
from mini_apps.cli.inspect.servers import heard_channels, walk
from mini_apps.cli.view import DIM, Cell, ago, clean, show, since
from shared.broker import Broker
from shared.keys import AppKeys
from shared.settings import Settings

BATCH: Final = 200
MICRO: Final = 1e6


@dataclass(frozen=True, slots=True)
class ChannelNow:
    """A channel that somebody hears, or of which something is kept.

    Attributes:
        nodes: WebSocket nodes with somebody in it.
        kept: messages of its history.
        offset: the last one, 0 where it keeps none.
        ttl: seconds until its history is gone, -1 where there is none.
        present: users in it, where it counts them.
    """

    app: str
    channel: str
    nodes: int
    kept: int
    offset: int
    ttl: int
    present: int


def channels(app: str, pattern: str, limit: int, *, as_json: bool) -> Look:
    """Make the look at the channels.

    Args:
        app: its name; empty for all.
        pattern: of names, such as `game:*`.
        limit: the most shown.
        as_json: for programs.
    """

    async def look(broker: Broker, settings: Settings) -> None:
        found: list[ChannelNow] = []
        more = False
        for name in apps_of(settings, app):
            names = await _names(broker, broker.keys.app(name), pattern, limit + 1)
            more = more or len(names) > limit
            found += await _read(broker, name, dict(islice(sorted(names.items()), limit)))
        if as_json:
            as_text({"channels": [asdict(channel) for channel in found], "more": more})
            return
        if not found:
            print(f"nobody hears a channel{_like(pattern)}, and none keeps history")
            return
        heads = ("app", "channel", "nodes", "present", "kept", "last message", "kept for", "offset")
        show(heads, [_row(channel) for channel in found], right=("last message", "kept for"))
        _tell_more(limit, more=more)

    return look


def _row(channel: ChannelNow) -> tuple[object, ...]:
    return (
        channel.app,
        channel.channel,
        channel.nodes,
        channel.present,
        channel.kept,
        since(channel.offset / MICRO),
        ago(channel.ttl) if channel.ttl >= 0 else "",
        Cell(channel.offset or "", DIM),
    )


async def _names(broker: Broker, keys: AppKeys, pattern: str, most: int) -> dict[str, int]:
    """Find channels that are heard, with their listeners, and those that keep history or presence."""
    found = {_name(raw): count for raw, count in await heard_channels(broker, f"{keys.base}ch:*:{pattern}", most)}
    for kind in ("channel", "presence"):
        async for key in walk(broker, f"{keys.base}{kind}:*:{pattern}", most):
            found.setdefault(_name(key), 0)
    return found


def _name(key: str) -> str:
    """Give the name in a key: what is behind the hash tag."""
    return key.partition("}:")[2]


async def _read(broker: Broker, app: str, names: dict[str, int]) -> list[ChannelNow]:
    keys, found = broker.keys.app(app), []
    for batch in _batches(list(names)):
        async with broker.client.pipeline(transaction=False) as pipe:
            for name in batch:
                pipe.xlen(keys.channel_stream(name))
                pipe.hget(keys.channel_meta(name), "last")
                pipe.ttl(keys.channel_stream(name))
                pipe.hlen(keys.presence(name))
            replies = await pipe.execute()
        for name, (kept, last, ttl, present) in zip(batch, _batches(replies, 4), strict=True):
            offset = int(last or 0)
            found.append(ChannelNow(app, name, names[name], kept, offset, max(ttl, -1), present))
    return found


def presence(app: str, channel: str, limit: int, *, as_json: bool) -> Look:
    """Make the look at who is in a channel, or, without one, in which channels how many are.

    Args:
        app: its name; empty for all.
        channel: its name; empty for all that count who is there.
        limit: the most shown.
        as_json: for programs.
    """

    async def look(broker: Broker, settings: Settings) -> None:
        rows: list[tuple[str, str, int, str, str]] = []
        counts: list[tuple[str, str, int]] = []
        for name in apps_of(settings, app):
            keys = broker.keys.app(name)
            if channel:
                rows += [(name, channel, *user) async for user in _users(broker, keys, channel, limit + 1 - len(rows))]
            else:
                counts += await _counts(broker, name, keys, limit + 1 - len(counts))
        if channel:
            _show_users(rows[:limit], channel, limit, as_json=as_json, more=len(rows) > limit)
        else:
            _show_counts(counts[:limit], limit, as_json=as_json, more=len(counts) > limit)

    return look


def _show_users(rows: Sequence[tuple[Any, ...]], channel: str, limit: int, *, as_json: bool, more: bool) -> None:
    heads = ("app", "channel", "user", "name", "on nodes")
    if as_json:
        as_text({"users": [dict(zip(("app", "channel", "user", "name", "nodes"), row, strict=True)) for row in rows]})
    elif not rows:
        print(f"nobody is in {clean(channel)}, or it does not tell who is (Channel(presence=True))")
    else:
        show(heads, rows)
        _tell_more(limit, more=more)


def _show_counts(rows: Sequence[tuple[str, str, int]], limit: int, *, as_json: bool, more: bool) -> None:
    if as_json:
        as_text({"channels": [{"app": app, "channel": name, "present": count} for app, name, count in rows]})
    elif not rows:
        print("no channel has somebody in it and tells who is (Channel(presence=True))")
    else:
        show(("app", "channel", "present"), rows)
        _tell_more(limit, more=more)


async def _counts(broker: Broker, app: str, keys: AppKeys, most: int) -> list[tuple[str, str, int]]:
    names = [_name(key) async for key in walk(broker, f"{keys.base}presence:*", most)]
    found = []
    for batch in _batches(sorted(names)):
        async with broker.client.pipeline(transaction=False) as pipe:
            for name in batch:
                pipe.hlen(keys.presence(name))
            found += [(app, name, count) for name, count in zip(batch, await pipe.execute(), strict=True)]
    if online := await broker.client.hlen(keys.online):
        found.insert(0, (app, "(the whole app)", online))
    return found


async def _users(broker: Broker, keys: AppKeys, channel: str, most: int) -> AsyncIterator[tuple[int, str, str]]:
    """Give users of a channel: id, name, and the nodes that hold them."""
    given = 0
    async for raw, shown in broker.client.hscan_iter(keys.presence(channel), count=BATCH):
        if given >= most:
            return
        given += 1
        holders: Any = await broker.client.hget(keys.holders(channel), raw)
        yield int(raw), _called(shown), _held(holders)


def _called(shown: bytes) -> str:
    try:
        return str(json.loads(shown).get("name", ""))
    except (ValueError, AttributeError):
        return ""


def _held(holders: bytes | None) -> str:
    """Say which nodes hold a user, or for how long their grace still runs."""
    text = (holders or b"").decode("utf-8", "replace")
    kind, _, until = text.partition(" ")
    if kind == "leaves" and until.strip().isdigit():
        return f"leaves in {max(0.0, int(until) / 1000 - time.time()):.0f} s"
    return ", ".join(sorted({owner.rpartition(".")[0] or owner for owner in text.split()}))


def _like(pattern: str) -> str:
    return "" if pattern == "*" else f" like {clean(pattern)}"


def _tell_more(limit: int, *, more: bool) -> None:
    if more:
        print(f"\nthere are more than {limit}; --limit shows more")


def _batches(found: Sequence[Any], size: int = BATCH) -> list[Sequence[Any]]:
    return [found[start : start + size] for start in range(0, len(found), size)]
