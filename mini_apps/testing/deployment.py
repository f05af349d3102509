"""A whole deployment in the test's own event loop: a gateway, a bot worker, nodes, and a local Telegram."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import aiohttp

from mini_apps.database import Database
from mini_apps.mesh import Mesh
from mini_apps.testing import work
from mini_apps.testing.ageing import age
from mini_apps.testing.clock import VirtualClock
from mini_apps.testing.idle import watched
from mini_apps.testing.services import Service, load_services
from mini_apps.testing.settings import LEASE_SECONDS, Layout, Places, for_node
from mini_apps.testing.settling import PATIENCE, Settling
from mini_apps.testing.telegram import LocalTelegram
from mini_apps.testing.trouble import noted
from mini_apps.testing.valkey import shared_valkey
from shared.broker import Broker
from shared.bus import Bus
from shared.link import Link

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncSession

    from mini_apps.app import App
    from shared.settings import Settings


class Deployment:
    """Everything that runs for one app under test, while its block runs.

    Args:
        layout: makes its settings.
        nodes: WebSocket nodes.
        redis: URL of a server to use in place of the embedded one.

    Attributes:
        app: the app in a process of its own beside the services: for its `broadcast`, `redis`, `db`, ….
        clock: of the whole deployment; it stands still until `advance`.
        telegram: the local Telegram.
        gateway: the gateway.
        worker: the bot worker.
        nodes: the WebSocket nodes.
        http: an HTTP client of the gateway: `await t.http.get("/apps/counter/")`.
        settling: knows when all is at rest.
    """

    app: "App"
    telegram: LocalTelegram
    gateway: Service
    worker: Service
    nodes: list[Service]
    http: aiohttp.ClientSession
    settling: Settling

    def __init__(self, layout: Layout, nodes: int, redis: str) -> None:
        self.clock = VirtualClock()
        self._layout = layout
        self._node_count = nodes
        self._redis_url = redis
        self._stack = contextlib.AsyncExitStack()
        self._trouble: list[str] = []
        self._opened = 0

    @property
    def services(self) -> list[Service]:
        """The gateway, the bot worker and the nodes."""
        return [self.gateway, self.worker, *self.nodes]

    @property
    def redis(self) -> "Redis":
        """The plain `redis.asyncio` client; `t.app.key("clicks")` names an app's own keys."""
        return self.app.redis

    def db(self) -> "AbstractAsyncContextManager[AsyncSession]":
        """Open a SQLAlchemy session: `async with t.db() as s`."""
        return self.app.db()

    # Starting and stopping.

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            SettingsError: the settings have mistakes; a line for each.
            StartError: a service cannot start.
            NoServer: there is no Valkey or Redis on this machine.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        """Stop everything."""
        await self._stack.aclose()

    async def _start(self) -> None:
        load_services()
        self._trouble = self._stack.enter_context(noted())
        folder = Path(tempfile.mkdtemp(prefix="mini-apps-test-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        redis = self._redis_url or shared_valkey().url
        layout, watch = self._layout, self._stack.enter_context(watched(asyncio.get_running_loop()))
        self.telegram = await self._stack.enter_async_context(LocalTelegram(layout.name, layout.token, self.clock))
        self.gateway = Service("gateway", "gateway", layout.settings(Places(folder, redis)), self.clock)
        self._stack.push_async_callback(self.gateway.kill)
        await self.gateway.start()
        places = Places(folder, redis, self.gateway.url, self.telegram.url)
        settings = layout.settings(places)
        self._link = await self._beside(settings)
        self._stack.enter_context(watch.without(self._link.fileno))
        self.settling = Settling(watch, self._link, self._work)
        self.worker = Service("bot", "bot worker", settings, self.clock)
        names = [f"ws-{number}" for number in range(1, self._node_count + 1)]
        self.nodes = [Service("ws", name, for_node(settings, name), self.clock) for name in names]
        self._stack.push_async_callback(self._end)
        await self._start_services()
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(self.gateway.url))

    async def _start_services(self) -> None:
        if not self._counts_users():
            await asyncio.gather(*(service.start() for service in (self.worker, *self.nodes)))
            return
        await asyncio.gather(*(node.start() for node in self.nodes))
        await self.advance(LEASE_SECONDS + 1)  # before that a node believes in nobody's absence
        await self.worker.start()

    def _counts_users(self) -> bool:
        from ws_server.roster import wanted  # noqa: PLC0415 - services are loaded late

        return wanted(self.app)

    async def _beside(self, settings: "Settings") -> Link:
        """Open what `t.app` lives in, which is like the process of a command, and a connection for our questions."""
        name = self._layout.name
        self.telegram.place_app(settings.apps[name].url)
        broker = await self._stack.enter_async_context(Broker(settings.redis))
        self._stack.push_async_callback(_forget, broker)
        bus = await self._stack.enter_async_context(Bus(broker, "test"))
        database = Database(settings.database.url.get_secret_value(), settings.folder)
        self._stack.push_async_callback(database.aclose)
        self.app = self._layout.app_class(settings.apps[name], name)
        self.app.bind(Mesh(settings, broker, bus, database, "test", "cli", self.clock))
        (pool, *_) = await broker.topology.homes()
        link = await Link(on_lost=_nothing).open(pool)
        self._stack.callback(link.abort)
        return link

    async def _end(self) -> None:
        await asyncio.gather(*(service.kill() for service in (self.worker, *self.nodes)))

    def node_url(self, node: int | None = None) -> str:
        """Return the WebSocket address of a node.

        Args:
            node: number in `nodes`; else the running ones in turn.
        """
        running = [service for service in self.nodes if service.runs]
        if node is None and not running:
            raise RuntimeError("no node runs; start one with: await t.nodes[0].start()")
        if node is None:
            self._opened += 1
            chosen = running[(self._opened - 1) % len(running)]
        else:
            chosen = self.nodes[node]
        return f"ws://127.0.0.1:{chosen.process.port}/ws"

    # Waiting.

    async def settled(self, patience: float = PATIENCE) -> None:
        """Wait until no update, no call and no message is in flight anywhere, so that what did not come will not.

        Args:
            patience: seconds.

        Raises:
            Unsettled: something goes on and on; the text says what.
        """
        await self.settling.settled(patience)

    async def _work(self) -> list[str]:
        app = self.app
        found: list[str] = []
        if self.worker.runs:
            found += work.of_telegram(self.telegram)
            found += await work.of_redis(self._link, app.keys, app.settings.bot.lanes)
        for service in self.nodes:
            found += work.of_node(service) if service.runs else ()
        if len(found) <= len(self.clock.held_up()):  # nothing more can happen before time passes
            found.clear()
        return found + self._database_work()

    def _database_work(self) -> list[str]:
        running = [service for service in (self.worker, *self.nodes) if service.runs]
        return [
            what for service in running for app in service.apps.values() for what in work.of_database(app, service.name)
        ]

    async def advance(self, seconds: float) -> None:
        """Let time pass for the whole deployment, in no time: what is due meanwhile happens, in order.

        Redis takes part: keys of the app that live for a while have so much less to live.

        Args:
            seconds: how many; not negative.

        Raises:
            Unsettled: something goes on and on.
        """
        await self.settling.calm(self._database_work)
        await self.clock.advance(seconds, self._passed)

    async def _passed(self, seconds: float) -> None:
        """Bring the deployment to rest after some time has passed."""
        if seconds:
            await age(self._link, self.app.keys, seconds)
        await self.settling.calm(self._database_work)

    def trouble(self) -> list[str]:
        """List what went wrong in the services so far, and what waits for time to pass."""
        return [*self._trouble, *self.clock.waiting()]


def _nothing() -> None:
    pass


async def _forget(broker: Broker) -> None:
    """Delete every key of the deployment."""
    run, cursor = broker.own.execute_command, b"0"
    while True:
        cursor, keys = await run("SCAN", cursor, "MATCH", f"{broker.keys.prefix}:*", "COUNT", 1000)
        if keys:
            await run("UNLINK", *keys)
        if cursor == b"0":
            return
