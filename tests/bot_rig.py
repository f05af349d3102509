"""A deployment for the bot worker's tests: a sandbox on a free port, workers in this process or as real ones."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bot_worker.worker import serve
from sandbox.config import BotConfig, SandboxConfig
from sandbox.server import RUNTIME, create_app
from sandbox.state import Bot, World
from shared.broker import Broker
from shared.bus import Bus
from shared.lifecycle import Process
from shared.nodes import live_nodes
from shared.settings import Settings, load
from shared.updates import UpdateLog
from support import eventually

ROOT = Path(__file__).parents[1]
TOKEN = "42:sandbox-bot"
LANES = 4


class Rig:
    """What a test does to a deployment.

    Attributes:
        broker: of the deployment.
        web: an HTTP client.
        sandbox: its address; the application itself at `telegram`.
    """

    def __init__(self, broker: Broker, web: aiohttp.ClientSession, runner: web.AppRunner, url: str, path: Path):
        self.broker, self.web, self.runner, self.sandbox, self.path = broker, web, runner, url, path
        self.telegram = runner.app
        self.database = path / "db.sqlite"  # one, wherever else the settings of a process are
        self.keys = broker.keys.app("bot")
        self.apps: dict[str, dict[str, Any]] = {}
        self.bot_settings: dict[str, Any] = {"retry-delays": [0.05, 0.05], "hook-timeout": 5}
        self.processes: list[subprocess.Popen[bytes]] = []

    def settings(self, **more: Any) -> Settings:
        """Write the settings file and load it."""
        apps = self.apps or {"bot": {"class": "bot_apps:Recorder", "bot-token": TOKEN, "parse-mode": "HTML"}}
        redis = {"url": self.broker.settings.url.get_secret_value(), "prefix": self.broker.keys.prefix}
        content = {
            "redis": {**redis, "lease-seconds": self.broker.lease_seconds},
            "database": {"url": f"sqlite+aiosqlite:///{self.database}"},
            "telegram": {"api-server": self.sandbox, "send-per-chat": 0, "send-per-second": 0},
            "bot": {"port": 0, "lanes": LANES, **self.bot_settings},
            "apps": apps,
            **more,
        }
        file = self.path / "settings.json"
        file.write_text(json.dumps(content))
        return load(file, {})

    @contextlib.asynccontextmanager
    async def worker(self, **more: Any) -> AsyncIterator[Process]:
        """Run a worker in this process; leaving stops it in good order."""
        process = Process("bot", drain_seconds=15)
        task = asyncio.create_task(serve(process, self.settings(**more)))
        try:
            await eventually(lambda: task.done() or process.troubles() == [], what="the worker's readiness")
            if task.done():
                await task
            yield process
        finally:
            process.stopping.set()
            async with asyncio.timeout(180):
                await task

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Run a worker as a process of its own."""
        return self._start("bot_worker")

    async def start_node(self) -> str:
        """Run a WebSocket node as a process of its own and return its address."""
        process = self._start("ws_server", ws={"port": 0})

        async def address() -> str | None:
            assert process.poll() is None
            return next((node.address for node in await live_nodes(self.broker, "ws")), None)

        found: str = await eventually(address, seconds=300, what="the node in the register")
        ready = found.replace("ws://", "http://").replace("/ws", "/readyz")

        async def is_ready() -> bool:
            async with self.web.get(ready) as response:
                return response.status == 200

        await eventually(is_ready, seconds=300, what="the node's readiness")
        return found

    def _start(self, module: str, **more: Any) -> subprocess.Popen[bytes]:
        self.settings(**more)
        command = [sys.executable, "-m", module, "--settings", str(self.path / "settings.json")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        log = (self.path / f"worker-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(command, env=env, cwd=self.path, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def stop_processes(self) -> None:
        """End what still runs."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()

    async def feed(self, *updates: dict[str, Any], app: str = "bot") -> None:
        """Put updates into the lanes, as a gateway would."""
        async with Bus(self.broker, f"feeder-{id(updates)}") as bus:
            log = UpdateLog(self.broker, bus, LANES)
            for update in updates:
                await log.append(app, update, "webhook")

    async def say(self, text: str, *, user: int = 1001, bot: str = "bot") -> None:
        """Send a text to the bot as a user of the sandbox."""
        address = f"{self.sandbox}/sandbox/api/bots/{bot}/users/{user}/messages"
        async with self.web.post(address, json={"text": text}) as response:
            assert response.status == 200, await response.text()

    async def fault(self, *, bot: str = "bot", **fields: Any) -> None:
        """Let something go wrong at the sandbox; the fields are those of a fault."""
        async with self.web.post(f"{self.sandbox}/sandbox/api/bots/{bot}/faults", json=fields) as response:
            assert response.status == 200, await response.text()

    async def answers(self, *, user: int = 1001, bot: str = "bot") -> list[str]:
        """Return what the bot wrote to a user."""
        address = f"{self.sandbox}/sandbox/api/bots/{bot}/users/{user}/chat"
        async with self.web.get(address) as response:
            messages = (await response.json())["messages"]
        return [message["text"] for message in messages if message["from"]["is_bot"]]

    async def listed(self, name: str, app: str = "bot") -> list[str]:
        """Return a list the app keeps."""
        keys = self.broker.keys.app(app)
        return [raw.decode() for raw in await self.broker.client.lrange(keys.own(name), 0, -1)]

    async def status(self, app: str = "bot") -> dict[str, str]:
        """Return the bot's hash."""
        found = await self.broker.client.hgetall(self.broker.keys.app(app).bot)
        return {name.decode(): value.decode() for name, value in found.items()}

    async def runs(self, app: str = "bot") -> bool:
        """Tell whether the bot's status is running."""
        return (await self.status(app)).get("status") == "running"

    async def dead(self) -> list[dict[str, str]]:
        """Return the dead letters."""
        return [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in await self.broker.client.xrange(self.keys.dead)
        ]

    async def waiting(self) -> int:
        """Return how many updates are in the lanes."""
        return sum([await self.broker.client.xlen(self.keys.updates(lane)) for lane in range(LANES)])

    async def telegram_closes(self) -> None:
        """Let nobody connect to the sandbox, and break the connections there are."""
        port = int(self.sandbox.rpartition(":")[2])
        [site] = self.runner.sites
        await site.stop()
        for handler in list(self.runner.server.connections if self.runner.server else ()):
            if handler.transport is not None:
                handler.transport.abort()
        self._port = port

    async def telegram_opens(self) -> None:
        """Let people connect to the sandbox again."""
        await web.TCPSite(self.runner, "127.0.0.1", self._port).start()

    def telegram_world(self) -> World:
        """Return all the sandbox knows."""
        return self.telegram[RUNTIME].world

    def bot(self, name: str = "bot") -> Bot:
        """Return what the sandbox knows of a bot."""
        return next(bot for bot in self.telegram[RUNTIME].world.bots.values() if bot.config.name == name)


def message(number: int, chat: int, text: str, kind: str = "message") -> dict[str, Any]:
    """Make an update."""
    person = {"id": chat, "is_bot": False, "first_name": "P"}
    content = {"message_id": number, "date": 1, "chat": {"id": chat, "type": "private"}, "from": person, "text": text}
    return {"update_id": number, kind: content}


@contextlib.asynccontextmanager
async def rig(broker: Broker, path: Path) -> AsyncIterator[Rig]:
    """Start a sandbox with the bots `bot` and `other`; everything is gone afterwards."""
    broker.lease_seconds = 4  # longer than a busy machine stands still, short enough to wait for
    bots = (BotConfig("bot", TOKEN), BotConfig("other", "43:sandbox-other"))
    application = create_app(SandboxConfig(bots=bots))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        made = Rig(broker, session, runner, url, path)
        try:
            yield made
        finally:
            made.stop_processes()
            await runner.cleanup()
