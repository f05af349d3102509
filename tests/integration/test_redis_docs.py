"""`docs/redis.md` tells the truth: a system under load is walked; every key, field and bound must be on the page."""

import asyncio
import contextlib
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiogram import F

from bot_worker import worker
from bot_worker.calls.budget import Budget
from bot_worker.calls.session import KEEP_SECONDS
from chat_app import Chat
from gateway import server as gateway
from metrics_table import differences
from mini_apps import App, Channel, Notice
from mini_apps.broadcast_jobs import BroadcastJobs
from mini_apps.cli.inspect.families import family
from mini_apps.cli.inspect.keys import SIZES
from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, RunningNode
from sandbox.config import BotConfig, SandboxConfig
from sandbox_desk import ADA, APP_URL, BEN, Desk, desk
from shared.broker import Broker
from shared.bus import Bus
from shared.call_files import FILE_SECONDS
from shared.calls import CALLS_BOUND
from shared.dead_letters import DeadLetter, DeadLetters
from shared.lifecycle import Process
from shared.settings import Settings, load
from shared.streams import DEAD_BOUND
from shared.updates import LANE_BOUND, SEEN_SECONDS
from support import TOKEN, eventually

PAGE = Path(__file__).parents[2] / "docs" / "redis.md"
PLACEHOLDERS = {
    "APP": "[a-z0-9_-]+",
    "N": "(?:[0-9]+|fast)",
    "BLOCK": "[0-9]+",
    "USER": "[0-9]+",
    "CHAT": "-?[0-9]+",
    "H": "[0-9a-f]{8}",
    "JOB": "[0-9a-f]{8}",
}
NOT_IN_THIS_RUN = {  # of webhook mode, of drop-pending-updates, of a chat that pauses, of a notice that the bot writes
    *("webhook", "ingested", "until", "keep"),
    *("blocked", "failed", "unknown", "round"),  # of a broadcast that goes wrong
}
CROWD = 2000  # Telegram ids from here on
IN_DEVELOPMENT = "ma:_:tap"  # a channel that nobody hears where there is no sandbox's page
SHORT_LIVED = {  # held for milliseconds, or only there when something is sent
    "ma:_:{tables}:lease",
    "ma:_:{tables}:fence",  # an SQLite file needs none
    "ma:APP:{calls}:budget",
    "ma:APP:{calls}:budget:chat:CHAT",
    "ma:APP:{calls}:budget:group:CHAT",
    "ma:APP:{calls}:broadcasts:due",
    "ma:APP:{calls}:broadcast:JOB:open",
    "ma:APP:{calls}:broadcast:JOB:unknown",
}


@dataclass
class Row:
    """One key of the page."""

    key: str
    type: str
    fields: set[str]  # empty where they are ids, names, users
    ttl: int | None  # seconds; None: no TTL
    bound: str
    look: str

    def matches(self, key: str) -> bool:
        return re.fullmatch(_pattern(self.key), key) is not None


@dataclass
class Seen:
    """What was found under the keys of one row, over the whole run."""

    keys: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    lives: list[int] = field(default_factory=list)  # ms; -1: no TTL
    largest: int = 0  # entries


def _pattern(name: str) -> str:
    parts = re.split(r"([A-Z]+)", name)
    return "".join(PLACEHOLDERS.get(part, ".+") if part.isupper() else re.escape(part) for part in parts)


def _tables() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `ma:")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def rows() -> list[Row]:
    found = []
    for key, type_, content, bound, _, _, look in (cells for cells in _tables() if len(cells) == 7):
        life = re.match(r"TTL ([0-9]+) s|no TTL|the author's", bound)
        assert life, f"{key}: a bound begins with `TTL … s` or `no TTL`, not {bound!r}"
        assert life[1] or life[0] == "the author's" or ";" in bound, f"{key}: without a TTL, what bounds it?"
        names = set(re.findall(r"`([a-z_]+)`", content)) if type_ in ("hash", "stream") else set()
        found.append(Row(key.strip("`"), type_, names, int(life[1]) if life[1] else None, bound, look.strip("`")))
    return found


def channels() -> list[str]:
    return [_pattern(cells[0].strip("`")) for cells in _tables() if len(cells) == 4]


class Busy(Chat):
    """Does everything that leaves something in Redis."""

    channels: ClassVar = {**Chat.channels, "game:*": Channel(presence=True)}

    def on_user_offline(self, telegram_id: int) -> None: ...

    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        if type == "document":
            from aiogram.types import BufferedInputFile

            await Budget(self.mesh.bus, self.keys).pause(1.0, None)  # so that the call stays in its stream for a while
            await self.telegram.send_document(client.user.telegram_id, BufferedInputFile(b"text", "a.txt"))
        if type == "promote":
            await self.set_admin(data["user"])
            await self.notify(data["user"], "promoted", options_=Notice(id="promotion"))
        return await super().handle_message(client, type, data)

    def server_tasks(self) -> Any:
        return [self.ask]

    async def ask(self) -> None:
        """Wait for an answer of another process, for ever."""
        async with self.mesh.inbox.expect("q1") as coming:
            await coming

    def setup_router(self, router: Any) -> None:
        @router.message(F.text == "remember")
        async def remember(message: Any, state: Any) -> None:
            await state.set_state("asked")
            await state.update_data(answer=42)

    async def on_telegram_message(self, event: Any) -> Any:
        if event.text == "fail":
            raise ValueError("as asked")

    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Say hello."""
        return event.answer("hello")


class Walker:
    """Looks at every key and channel of one prefix, again and again."""

    def __init__(self, broker: Broker, page: list[Row]) -> None:
        self._client: Any = broker.client
        self._prefix = broker.keys.prefix
        self._page = page
        self.seen = {row.key: Seen() for row in page}
        self._rows: dict[str, Row | None] = {}
        self.unknown: set[str] = set()
        self.metrics = ""  # what the gateway answered: all processes are in this one here
        self.misnamed: set[str] = set()
        self.channels: set[str] = set()
        self._stopping = False

    async def walk(self) -> None:
        """Look until `stop`, and finish the round, so that no key is looked at by halves."""
        while not self._stopping:
            await self._look([raw.decode() async for raw in self._client.scan_iter(f"{self._prefix}:*", count=1000)])
            for raw in await self._client.pubsub_channels(f"{self._prefix}:*"):
                self.channels.add(self.shown(raw.decode()))
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._stopping = True

    def shown(self, key: str) -> str:
        """Give a key as the page writes it, with its prefix."""
        return "ma" + key.removeprefix(self._prefix)

    async def _look(self, keys: list[str]) -> None:
        """Look at keys, all at once: some live for half a second only."""
        known = [(key, row) for key in keys if (row := self._row(key)) is not None]
        async with self._client.pipeline(transaction=False) as pipe:
            for key, _ in known:
                pipe.type(key).pttl(key)
            told = await pipe.execute()
        types = [type_.decode() for type_ in told[::2]]
        async with self._client.pipeline(transaction=False) as pipe:
            for (key, _), type_ in zip(known, types, strict=True):
                pipe.execute_command(SIZES.get(type_, "EXISTS"), key)
                _ask_fields(pipe, key, type_)
            found = await pipe.execute(raise_on_error=False)  # a key may be gone, or another type, by now
        for (key, row), type_, life, size, fields in zip(
            known, types, told[1::2], found[::2], found[1::2], strict=True
        ):
            if type_ == "none" or life == -2 or isinstance(fields, Exception):
                continue
            seen = self.seen[row.key]
            seen.keys.add(key)
            seen.types.add(type_)
            seen.lives.append(life)
            seen.fields |= _names(fields, type_)
            seen.largest = max(seen.largest, 0 if type_ == "string" else size)

    def _row(self, key: str) -> Row | None:
        """Find a key on the page, once."""
        if key not in self._rows:
            shown = self.shown(key)
            row = self._rows[key] = next((row for row in self._page if row.matches(shown)), None)
            if row is None:
                self.unknown.add(shown)
            elif (name := family(shown, "ma")) != row.key:
                self.misnamed.add(f"{key}: {name} to `inspect keys`, {row.key} on the page")
        return self._rows[key]

    async def run_look(self, row: Row, key: str) -> None:
        """Run the line of the page on a real key; a command that does not fit its type raises."""
        await self._client.execute_command(*shlex.split(row.look.replace(row.key, shlex.quote(key))))


def _ask_fields(pipe: Any, key: str, type_: str) -> None:
    if type_ == "hash":
        pipe.hkeys(key)
    elif type_ == "stream":
        pipe.xrange(key, count=20)
    else:
        pipe.exists(key)


def _names(fields: Any, type_: str) -> set[str]:
    if type_ == "hash":
        return {name.decode() for name in fields}
    if type_ == "stream":
        return {name.decode() for _, entry in fields for name in entry}
    return set()


class System:
    """Two nodes, a gateway, a bot worker and a local Telegram."""

    def __init__(self, cluster: Cluster, telegram: Desk, settings: Settings, web: str) -> None:
        self.cluster = cluster
        self.telegram = telegram
        self.settings = settings
        self.web = web

    async def deliver(self, update: dict[str, Any]) -> None:
        """Send an update as Telegram's webhook."""
        app = self.settings.apps["chat"]
        headers = {"X-Telegram-Bot-Api-Secret-Token": app.effective_webhook_secret() or ""}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.web}/webhook/{app.webhook_path()}", json=update, headers=headers) as answer,
        ):
            assert answer.status == 200

    async def metrics(self) -> str:
        """Ask the gateway, once it has read what waits."""
        async with aiohttp.ClientSession() as http:
            while True:
                async with http.get(f"{self.web}/metrics") as answer:
                    text = await answer.text()
                if all(line in text for line in ('lane_owned{app="chat",lane="fast"} 1.0', 'processes{kind="ws"} 2.0')):
                    return text
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _served(serve: Any, kind: str, settings: Settings) -> AsyncIterator[Process]:
    process = Process(kind, drain_seconds=10)
    task = asyncio.create_task(serve(process, settings))

    def ready() -> bool:
        if task.done():
            task.result()
        return not process.troubles()

    try:
        await eventually(ready, seconds=300, what=f"readiness of {kind}")
        yield process
    finally:
        process.stopping.set()
        await asyncio.wait([task], timeout=15)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def _system(valkey: EmbeddedValkey, prefix: str, folder: Path) -> AsyncIterator[System]:
    bots = (BotConfig("counter", TOKEN, APP_URL, "counter"),)
    async with contextlib.AsyncExitStack() as stack:
        telegram = await stack.enter_async_context(desk(SandboxConfig(bots=bots)))
        more = {
            "APPS__CHAT__CLASS": f"{__name__}:Busy",
            "APPS__CHAT__API_SERVER": telegram.base,
            "BOT__RETRY_DELAYS": "1",
            "BOT__PORT": "0",
            "GATEWAY__PORT": "0",
        }
        cluster = Cluster(folder, valkey.url, prefix, **more)
        stack.push_async_callback(cluster.aclose)
        settings = load(None, {f"MINI_APPS__{key}": value for key, value in cluster.settings.items()})
        await stack.enter_async_context(_served(worker.serve, "bot", settings))
        process = await stack.enter_async_context(_served(gateway.serve, "gateway", settings))
        yield System(cluster, telegram, settings, f"http://127.0.0.1:{process.port or await _port(valkey, settings)}")


async def _port(valkey: EmbeddedValkey, settings: Settings) -> int:
    """Find a gateway's port in the register, as a client of the deployment does."""
    from shared.nodes import live_nodes

    async with Broker(settings.redis) as broker:
        (node,) = await live_nodes(broker, "gateway")
    return int(node.address.rpartition(":")[2])


async def _crowd(system: System, node: RunningNode, at: int) -> None:
    """Let one more user talk, leave, come back by session and position, while the bot gets updates."""
    user = CROWD + at
    async with node.page() as page:
        session = (await page.login(user))["session"]
        await page.send(type="subscribe", channel="kept:2")
        joined = await page.receive("joined", channel="kept:2")
        for n in range(20):
            await page.send(type="post", room="kept:2", n=n)
    async with node.page() as page:
        where = {"kept:2": {"offset": joined["offset"], "grant": joined["grant"]}}
        await page.send(type="login", app="chat", session=session, channels=where)
        await page.receive("welcome")
        await page.send(type="say", room="game:2", text="back")
        sender = {"id": user, "is_bot": False, "first_name": "Crowd"}
        message = {"message_id": 1, "date": 0, "chat": {"id": user, "type": "private"}, "from": sender, "text": "hi"}
        for n in range(5):
            await system.deliver({"update_id": 800_000 + at * 100 + n, "message": message})


async def _traffic(system: System, one: RunningNode, two: RunningNode) -> None:
    await asyncio.gather(*(_crowd(system, node, at) for at, node in enumerate((one, two, one, two, one, two))))
    async with one.user(ADA) as ada, two.user(BEN) as ben, two.user(1003) as eve:
        for page in (ada, ben):
            await page.send(type="join", room="game:1")
            await page.receive("joined")
        await ada.send(type="say", room="game:1", text="hello")
        await ben.receive("said")
        for page in (ada, ben):
            await page.send(type="subscribe", channel="kept:1")
            await page.receive("joined", channel="kept:1")
        await ada.send(type="post", room="kept:1", n=1, key="once")
        await ben.receive("said", channel="kept:1")
        await ada.send(type="dismiss", user=BEN, room="kept:1")
        await ben.receive("left")
        await ada.send(type="click")
        await ben.receive("clicks")
        await ada.send(type="promote", user=BEN)
        await ada.send(type="document")
        promotion = await ben.receive("notify")
        await ben.send(type="ack", ack=promotion["ack"])
        await ada.send(type="ban", user=1003)
        assert await eve.closed() == 4501
        for text in ("/start", "remember", "fail"):
            await system.telegram.act(ADA, "messages", text=text)
        message = {"message_id": 1, "date": 0, "chat": {"id": BEN, "type": "private"}, "text": "fail"}
        sender = {"id": BEN, "is_bot": False, "first_name": "Ben"}
        await system.deliver({"update_id": 900_000, "message": {**message, "from": sender}})


@pytest.fixture
async def walker(valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path) -> AsyncIterator[Walker]:
    """A walk through a system from its start to the end of some traffic, still running."""
    page = rows()
    walker = Walker(broker, page)
    walk = asyncio.create_task(walker.walk())
    wanted = {row.key for row in page} - SHORT_LIVED
    try:
        async with _system(valkey, prefix, tmp_path) as system:
            one, two = await system.cluster.node("ws-1"), await system.cluster.node("ws-2")
            await _traffic(system, one, two)

            async def greeted() -> bool:  # and so in the audience of the broadcast
                return any(m["from"]["is_bot"] for m in (await system.telegram.chat(ADA))["messages"])

            await eventually(greeted, what="the answer to /start")
            async with Bus(broker, "cli") as bus:
                await BroadcastJobs(bus, broker.keys.app("chat")).create("sendMessage", {"text": "news"}, 1)
                raw = b'{"update_id": 1, "pre_checkout_query": {"from": {"id": 1}}}'
                await DeadLetters(broker, bus, "chat").put_back(DeadLetter("1-1", {b"update": raw}))

            walker.metrics = await system.metrics()

            def complete() -> bool:
                if walk.done():
                    walk.result()
                buried = walker.seen["ma:APP:dead"].fields
                ended = "ended" in walker.seen["ma:APP:{calls}:broadcast:JOB"].fields
                return "via" in buried and ended and not {key for key in wanted if not walker.seen[key].keys}

            with contextlib.suppress(pytest.fail.Exception):  # the test names what is missing
                await eventually(complete, seconds=300)
            yield walker
    finally:
        walker.stop()
        await walk


async def test_the_page_tells_every_key_field_bound_and_metric(walker: Walker) -> None:
    wrong = [f"{key}: not on the page" for key in sorted(walker.unknown)] + sorted(walker.misnamed)
    wrong += _wrong_metrics(walker.metrics)
    for row in rows():
        wrong += _differences(row, walker.seen[row.key])
        for key in list(walker.seen[row.key].keys)[:1]:
            await walker.run_look(row, key)
    known = channels()
    wrong += [
        f"channel {name}: not on the page" for name in walker.channels if not any(re.fullmatch(p, name) for p in known)
    ]
    wrong += [
        f"no channel like {p} was heard"
        for p in known
        if p != _pattern(IN_DEVELOPMENT) and not any(re.fullmatch(p, name) for name in walker.channels)
    ]
    assert wrong == []


def _differences(row: Row, seen: Seen) -> list[str]:
    if not seen.keys:
        return [] if row.key in SHORT_LIVED else [f"{row.key}: on the page, but never in Redis"]
    wrong = []
    if row.type != "any" and seen.types != {row.type}:
        wrong.append(f"{row.key}: a {row.type} on the page, {seen.types} in Redis")
    if row.type in ("hash", "stream") and row.fields:
        wrong += [f"{row.key}: field {name} is not on the page" for name in sorted(seen.fields - row.fields)]
        unused = row.fields - seen.fields - NOT_IN_THIS_RUN - {"update_id"}
        wrong += [f"{row.key}: nothing writes the field {name} of the page" for name in sorted(unused)]
    most = re.search(r"at most ([0-9,]+)", row.bound)
    if most and seen.largest > int(most[1].replace(",", "")):
        wrong.append(f"{row.key}: {most[0]} on the page, {seen.largest} in Redis")
    return wrong + _wrong_life(row, seen)


def _wrong_life(row: Row, seen: Seen) -> list[str]:
    if row.bound.startswith("the author's"):
        return []
    if row.ttl is None:
        return [f"{row.key}: no TTL on the page, but it has one"] if max(seen.lives) >= 0 else []
    longest = max(seen.lives) / 1000
    if min(seen.lives) < 0:
        return [f"{row.key}: TTL {row.ttl} s on the page, but it lives for ever"]
    fits = row.ttl / 2 < longest <= row.ttl
    return [] if fits else [f"{row.key}: TTL {row.ttl} s on the page, {longest:g} s in Redis"]


def _wrong_metrics(text: str) -> list[str]:
    """Compare what the processes told Prometheus with its page, and look for what is no business of a metric."""
    wanted = (
        'mini_apps_processes{kind="ws"} 2.0',
        'mini_apps_app_bot_status{app="chat",status="running"} 1.0',
        'mini_apps_app_workers{app="chat"} 1.0',
        'mini_apps_calls_waiting{app="chat",stream="bulk"} ',
        'mini_apps_lease_changes_total{event="taken",lease="lane"} ',
        'mini_apps_bot_update_wait_seconds_count{app="chat"} ',
        'mini_apps_gateway_updates_total{app="chat",verdict="taken"} ',
    )
    wrong = differences(text, "") + [f"no {line} was told" for line in wanted if line not in text]
    labels = {value for found in re.findall(r"\{(.*?)\}", text) for value in re.findall(r'="(.*?)"', found)}
    private = (TOKEN, "game:", "kept:", *(str(CROWD + at) for at in range(1, 6)))
    return wrong + [f"the label {value} is of a user" for value in labels if any(one in value for one in private)]


def test_bounds_of_the_page_are_those_of_the_code() -> None:
    by_key = {row.key: row for row in rows()}
    assert f"at most {LANE_BOUND:,} entries" in by_key["ma:APP:{lane-N}:updates"].bound
    assert f"at most {DEAD_BOUND:,} entries" in by_key["ma:APP:dead"].bound
    for row in (by_key["ma:APP:{calls}:now"], by_key["ma:APP:{calls}:bulk"]):
        assert f"at most {CALLS_BOUND:,} entries" in row.bound
    assert by_key["ma:APP:{calls}:done:ID"].ttl == KEEP_SECONDS
    assert by_key["ma:APP:{calls}:file:ID"].ttl == FILE_SECONDS
    assert by_key["ma:APP:{lane-N}:seen:BLOCK"].ttl == SEEN_SECONDS
    defaults = load(None, {"MINI_APPS__APPS__COUNTER__CLASS": "app:Counter"})
    for row in by_key.values():
        for section, key in re.findall(r"`(redis|ws|bot)\.([a-z-]+)`\)$", row.bound):
            assert row.ttl == getattr(getattr(defaults, section), key.replace("-", "_")), row.key


def test_every_key_has_a_line_to_look_at_it() -> None:
    page = rows()
    assert len(page) > 20
    assert [row.key for row in page if row.key not in row.look] == []
