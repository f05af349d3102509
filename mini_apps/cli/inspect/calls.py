"""`mini-apps inspect calls`: what waits for Telegram, and what holds it up; texts and files are not shown."""

import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from mini_apps.cli.inspect.looking import Look, apps_of, as_text
from mini_apps.cli.view import BAD, DIM, WORRY, Cell, ago, show
from shared.backlog import StreamNow, read_streams
from shared.broker import Broker
from shared.calls import CallEntry, unpack_entry
from shared.settings import Settings

OLD_SECONDS: Final = 30.0
MICRO: Final = 1e6


@dataclass(frozen=True, slots=True)
class CallsNow:
    """What waits for Telegram for one app.

    Attributes:
        streams: of calls of other processes, `now` and `bulk`.
        paused: seconds for which Telegram asked the whole bot to pause.
        broadcasts: jobs that wait or run.
        oldest: calls, the oldest of each stream.
    """

    app: str
    streams: dict[str, StreamNow]
    paused: float
    broadcasts: int
    oldest: list["Waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call in its stream.

    Attributes:
        age: seconds since it was asked for.
        left: seconds until its deadline.
        asker: the process that waits for it.
    """

    stream: str
    method: str
    chat: str
    age: float
    left: float
    asker: str
    trace: str
    id: str


def showing(app: str, limit: int, *, as_json: bool) -> Look:
    """Make the look at the calls.

    Args:
        app: its name; empty for all.
        limit: the most calls shown of each stream.
        as_json: for programs.
    """

    async def look(broker: Broker, settings: Settings) -> None:
        found = [await read(broker, name, limit) for name in apps_of(settings, app)]
        if as_json:
            as_text({"apps": [asdict(one) for one in found]})
            return
        heads = ("app", "calls", "waiting", "being made", "oldest", "bot paused", "broadcasts")
        show(heads, [row for one in found for row in _rows(one)], right=("oldest", "bot paused"))
        waiting = [(one.app, call) for one in found for call in one.oldest]
        if waiting:
            print()
            columns = ("app", "calls", "method", "chat", "age", "left", "asked by", "trace", "id")
            show(columns, [_call(name, call) for name, call in waiting], right=("age", "left"))

    return look


async def read(broker: Broker, app: str, limit: int) -> CallsNow:
    """Read what waits for Telegram for an app.

    Raises:
        redis.exceptions.RedisError: Redis did not answer.
    """
    keys = broker.keys.app(app)
    names = {"now": keys.calls, "bulk": keys.calls_bulk}
    streams = dict(zip(names, await read_streams(broker, list(names.values())), strict=True))
    async with broker.client.pipeline(transaction=False) as pipe:
        pipe.hget(keys.budget, "until")
        pipe.zcard(keys.broadcasts_due)
        for name in names.values():
            pipe.xrange(name, count=max(limit, 1))
        until, broadcasts, *entries = await pipe.execute()
    paused = max(0.0, int(float(until or 0)) / MICRO - time.time())
    oldest = [
        _waiting(stream, id_, fields)
        for stream, found in zip(names, entries, strict=True)
        for id_, fields in found[:limit]
    ]
    return CallsNow(app, streams, round(paused, 1), broadcasts, oldest)


def _waiting(stream: str, id_: bytes, fields: dict[bytes, bytes]) -> Waiting:
    now, asked = time.time(), int(id_.partition(b"-")[0]) / 1000
    try:
        entry = unpack_entry(fields)
    except ValueError as error:
        entry = CallEntry(id_.decode(), f"({error})", {})
    chat = entry.fields.get("chat_id") or entry.fields.get("user_id") or ""
    left = round(entry.deadline / 1000 - now, 1) if entry.deadline else 0.0
    return Waiting(stream, entry.method, chat, round(now - asked, 1), left, entry.node, entry.trace, entry.id)


def _rows(found: CallsNow) -> list[tuple[object, ...]]:
    paused = Cell(ago(found.paused), BAD) if found.paused else ""
    more: list[tuple[Any, int]] = [(paused, found.broadcasts), ("", 0)]
    return [
        (found.app, name, stream.waiting, stream.pending, _age(stream), *rest)
        for (name, stream), rest in zip(found.streams.items(), more, strict=True)
    ]


def _age(stream: StreamNow) -> Cell:
    old = stream.oldest_seconds > OLD_SECONDS
    return Cell(ago(stream.oldest_seconds) if stream.waiting else "", BAD if old else "")


def _call(app: str, call: Waiting) -> tuple[object, ...]:
    left = Cell(ago(max(0.0, call.left)), WORRY if call.left < 1 else "")
    return (app, call.stream, call.method, call.chat, ago(call.age), left, Cell(call.asker, DIM), call.trace, call.id)
