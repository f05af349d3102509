"""The deployment of a chaos run: a durable Valkey, a local Telegram, a gateway, two bot workers, three nodes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bench.chaos import clocks, far
from bench.chaos.clocks import Clock
from bench.chaos.far import Far
from bench.chaos.processes import Child, Children
from bench.churn.crowd import TOKEN
from bench.churn.nodes import Nodes
from bench.servers import ClusterSet, SentinelSet
from bench.updates.verdict import Update
from bench.updates.waiting import in_file, in_lanes, update_of
from mini_apps import App
from mini_apps.database import Database
from mini_apps.embedded import EmbeddedValkey, ServerSetting
from mini_apps.loading import load_app
from mini_apps.mesh import Mesh
from sandbox.actions import send_text
from sandbox.config import BotConfig, SandboxConfig
from sandbox.model import User
from sandbox.server import RUNTIME, create_app
from shared.broker import UNREACHABLE, Broker
from shared.bus import Bus
from shared.nodes import live_nodes
from shared.settings import Settings, load
from shared.slots import slot_of

APP = "churn"  # the name under which the clients log in
NAMES = ("gateway-1", "worker-1", "worker-2", "ws-1", "ws-2", "ws-3")
FAR_AWAY = "ws-3"  # in a network namespace, where there are some
CLOCKS_OF_THEIR_OWN = ("worker-2", "ws-2")  # where libfaketime is
LANES = 16
FIRST_CHAT = 5_000

Servers = SentinelSet | ClusterSet


class Site:
    """What a fault and a check may use.

    Args:
        folder: for settings, logs and diaries.
        disk: for the database alone, so that it can be full.
        chats: people who write to the bot.
        servers: several that stand for Redis, else it is one, durable, which this site starts.

    Attributes:
        valkey: the one server; not started where there are several.
        servers: the several.
        far: the place of one of the nodes, if there can be one.
        clocks: that can be set, by the names of their processes.
        children: the processes.
        app: publishes to the clients.
        sent: updates that people made.
    """

    app: App
    broker: Broker
    nodes: Nodes
    children: Children

    def __init__(self, folder: Path, disk: Path, chats: int, servers: Servers | None = None) -> None:
        self.folder = folder
        self.disk = disk
        self.servers = servers
        self.far = None if servers or far.why_not() else Far()
        own = () if clocks.why_not() else CLOCKS_OF_THEIR_OWN
        self.clocks = {name: Clock(folder / f"{name}.clock") for name in own}
        more: dict[str, ServerSetting] = (
            {"bind": ("127.0.0.1", self.far.here), "protected-mode": "no"} if self.far else {}
        )
        (folder / "valkey").mkdir()
        self.valkey = EmbeddedValkey(folder / "valkey", durable=True, more=more)
        self.sent: list[Update] = []
        people = tuple(User(FIRST_CHAT + number, f"Chat {number}") for number in range(chats))
        self._sandbox = create_app(SandboxConfig(bots=(BotConfig(APP, TOKEN),), users=people))
        self._users = [self._runtime.world.users[one.id] for one in people]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Site"]:
        """Start all of it.

        Raises:
            MeasurementFailed: something did not become ready.
        """
        async with contextlib.AsyncExitStack() as stack:
            if self.far:
                stack.enter_context(self.far.reachable())
            if self.servers is None:
                stack.enter_context(self.valkey)
            telegram = await stack.enter_async_context(self._telegram())
            self.children = Children(self.folder / "settings.json", map(self._child, NAMES))
            settings = self._settings(telegram)
            self.broker = await stack.enter_async_context(Broker(settings.redis))
            bus = await stack.enter_async_context(Bus(self.broker, "chaos"))
            database = Database(settings.database.url.get_secret_value(), settings.folder)
            stack.push_async_callback(database.aclose)
            mesh = Mesh(settings, self.broker, bus, database, "chaos", "cli")
            self.app = load_app(APP, settings.apps[APP], mesh)
            self.nodes = Nodes(self.broker, self.folder / "settings.json")
            await stack.enter_async_context(self.children.running())
            await stack.enter_async_context(self.nodes.watched())
            yield self

    def write(self) -> None:
        """Let the next person write the next number to the bot."""
        done = len(self.sent)
        user, number = self._users[done % len(self._users)], done // len(self._users)
        telegram = self._runtime
        send_text(telegram.world, self._bot, user, str(number), telegram.clock())
        telegram.settle()
        self.sent.append((user.id, number))

    def answers(self) -> list[Update]:
        """Return what the bot wrote, in the order of each chat."""
        found = []
        for user in self._users:
            dialog = self._runtime.world.dialog(self._bot, user)
            found += [(user.id, int(one.content.text)) for one in dialog.messages if one.sender.id == self._bot.user.id]
        return found

    async def waiting(self) -> list[Update]:
        """Return the updates that Telegram or the lanes have and nobody acknowledged.

        A Redis that was killed is asked by the file it left, which tells what it will know of when it is back.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        if self.servers is not None:
            return self._at_telegram() + await self._at_masters(self.servers, self._lanes())
        if self.valkey.process is None:
            return self._at_telegram() + list((await in_file(self.valkey, self._lanes())).values())
        return await self.seen_waiting()

    async def seen_waiting(self) -> list[Update]:
        """Return what the lanes hold as this site's own broker sees it.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        return self._at_telegram() + list((await in_lanes(self.broker.client, self._lanes())).values())

    def _at_telegram(self) -> list[Update]:
        return [update_of(one.to_api()) for one in self._bot.queue]

    def _lanes(self) -> list[str]:
        return [self.broker.keys.app(APP).updates(lane) for lane in range(LANES)]

    async def _at_masters(self, servers: Servers, lanes: list[str]) -> list[Update]:
        """Ask the masters themselves: our own broker finds a new one no sooner than the workers do."""
        found: list[Update] = []
        for lane in lanes:
            master = await asyncio.to_thread(servers.owner, slot_of(lane.encode()))
            async with Redis(port=master.port, socket_timeout=2) as client:
                found += (await in_lanes(client, [lane])).values()
        return found

    async def lane_owners(self) -> set[str] | None:
        """Return who owns lanes; None where a lane has no owner or Redis does not answer."""
        keys = [self.broker.keys.app(APP).lane_lease(lane) for lane in range(LANES)]
        try:
            owners: list[Any] = [await self.broker.client.get(key) for key in keys]  # in a cluster no MGET has them all
        except (*UNREACHABLE, RedisError):
            return None
        return None if None in owners else {owner.decode() for owner in owners}

    async def worker_ids(self) -> dict[str, str]:
        """Return the node ids of the bot workers, by the names of their processes."""
        ports = {child.port: name for name, child in self.children.all.items() if child.kind == "worker"}
        nodes = await live_nodes(self.broker, "bot")
        return {ports[port]: node.id for node in nodes if (port := int(node.address.rpartition(":")[2])) in ports}

    def _child(self, name: str) -> Child:
        child = Child(name, environ=self.clocks[name].environ() if name in self.clocks else {})
        if self.far and name == FAR_AWAY:
            child.host, child.prefix = self.far.there, self.far.command
            redis = f"redis://{self.far.here}:{self.valkey.port}/0"
            child.environ = {"MINI_APPS__WS__HOST": child.host, "MINI_APPS__REDIS__URL": redis}
        return child

    @property
    def _runtime(self) -> Any:
        return self._sandbox[RUNTIME]

    @property
    def _bot(self) -> Any:
        return self._runtime.world.bots[int(TOKEN.partition(":")[0])]

    @contextlib.asynccontextmanager
    async def _telegram(self) -> AsyncIterator[str]:
        runner = web.AppRunner(self._sandbox, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    def _settings(self, telegram: str) -> Settings:
        gateway = f"http://127.0.0.1:{self.children.all['gateway-1'].port}"
        (self.folder / "diary").mkdir()
        content = {
            "log": {"level": "info", "format": "json"},
            "redis": {"url": self.servers.url, "wait-replicas": 1} if self.servers else {"url": self.valkey.url},
            "database": {"url": f"sqlite+aiosqlite:///{self.disk}/chaos.sqlite"},
            "telegram": {"api-server": telegram, "ingest": "webhook", "send-per-second": 0, "send-per-chat": 0},
            "gateway": {"public-url": gateway},
            "bot": {"lanes": LANES},
            "apps": {APP: {"class": "bench.chaos.app:Chaos", "bot-token": TOKEN, "diary": str(self.folder / "diary")}},
        }
        path = self.folder / "settings.json"
        path.write_text(json.dumps(content))
        return load(path, {})
