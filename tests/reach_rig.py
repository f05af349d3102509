"""Nodes, a bot worker and a local Telegram together, for what reaches a user by either way."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from bot_worker.worker import serve
from mini_apps.audience import Audience
from mini_apps.database import Database
from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, Page, RunningNode
from sandbox.config import BotConfig, SandboxConfig
from sandbox_desk import ADA, APP_URL, Desk, desk
from shared.broker import Broker
from shared.lifecycle import Process
from shared.nodes import live_nodes
from shared.settings import load
from support import TOKEN, eventually

ROOT = Path(__file__).parents[1]
APP = "chat"
PATIENCE = 300.0  # seconds; processes start slowly where many tests run


class Rig:
    """One deployment of `reach_app`."""

    def __init__(
        self, cluster: Cluster, telegram: Desk, broker: Broker, audience: Audience, database: Database, folder: Path
    ) -> None:
        self.cluster, self.telegram, self.broker = cluster, telegram, broker
        self.audience, self.database = audience, database
        self.keys = broker.keys.app(APP)
        self._folder = folder

    async def command(self, text: str, user: int = ADA) -> None:
        """Write to the bot."""
        await self.telegram.act(user, "messages", text=text)

    async def ways(self, count: int) -> list[str]:
        """Wait for so many notices to be done, and give which way each went."""

        async def done() -> list[str] | None:
            found: list[str] = []
            with contextlib.suppress(RedisError):  # a test may restart it
                found = [way.decode() for way in await self.broker.client.lrange(self.keys.own("ways"), 0, -1)]
            return found if len(found) >= count else None

        found: list[str] = await eventually(done, seconds=PATIENCE, what=f"{count} notices")
        return found

    async def written(self, user: int = ADA) -> list[str]:
        """Give what the bot wrote to a user, but its hello."""
        messages = (await self.telegram.chat(user))["messages"]
        return [m["text"] for m in messages if m["from"]["is_bot"] and m.get("text", "hello") != "hello"]

    async def start_bot(self, user: int = ADA) -> None:
        """Press the start button, and wait until the bot has greeted the user and its audience has them."""
        await self.command("/start", user)
        await eventually(lambda: self._is_in(user), seconds=PATIENCE, what="the user in the audience")
        await eventually(lambda: self._greeted(user), what="the bot's hello")

    async def _greeted(self, user: int) -> bool:
        return any(message.get("text") == "hello" for message in (await self.telegram.chat(user))["messages"])

    async def _is_in(self, user: int) -> bool | None:
        with contextlib.suppress(OperationalError):  # the tables are not made yet
            return await self.audience.may_write(APP, user)
        return None

    def node_process(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """Run a node, named `victim`, as a process of its own."""
        return self._process("ws_server", WS__NODE_ID="victim")

    def bot_process(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """Run a bot worker as a process of its own."""
        return self._process("bot_worker")

    @contextlib.contextmanager
    def _process(self, module: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        settings = {**self.cluster.settings, **more}
        env = {**os.environ, **{f"MINI_APPS__{key}": value for key, value in settings.items()}}
        env["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        with (self._folder / f"{module}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", module], env=env, cwd=self._folder, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def victim(self, process: subprocess.Popen[bytes]) -> RunningNode:
        """Wait for the node that is a process of its own."""

        async def found() -> str | None:
            assert process.poll() is None
            return next((node.address for node in await live_nodes(self.broker, "ws") if node.id == "victim"), None)

        return RunningNode(Process("ws", drain_seconds=1), await eventually(found, seconds=PATIENCE))


async def confirm(page: Page, message: dict[str, Any]) -> None:
    """Confirm a message as the browser client does."""
    await page.send(type="ack", ack=message["ack"])


@contextlib.asynccontextmanager
async def running_worker(cluster: Cluster) -> AsyncIterator[None]:
    """Run a bot worker in this process."""
    settings = load(None, {f"MINI_APPS__{key}": value for key, value in cluster.settings.items()})
    process = Process("bot", drain_seconds=10)
    task = asyncio.create_task(serve(process, settings))

    def ready() -> bool:
        if task.done():
            task.result()
        return not process.troubles()

    try:
        await eventually(ready, seconds=PATIENCE, what="the worker's readiness")
        yield
    finally:
        process.stopping.set()
        await asyncio.wait([task], timeout=15)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def reach(
    valkey: EmbeddedValkey, broker: Broker, folder: Path, url: str = APP_URL, *, worker: bool = True, **more: str
) -> AsyncIterator[Rig]:
    """Start the local Telegram with a mini app at `url`, and a worker; nodes come by `rig.cluster.node()`."""
    bots = (BotConfig("counter", TOKEN, url, "counter"),)
    async with contextlib.AsyncExitStack() as stack:
        telegram = await stack.enter_async_context(desk(SandboxConfig(bots=bots)))
        settings = {
            "APPS__CHAT__CLASS": "reach_app:Reach",
            "APPS__CHAT__API_SERVER": telegram.base,
            "APPS__CHAT__URL": url,
            "BOT__RETRY_DELAYS": json.dumps([0.1, 0.1, 0.1]),
            "BOT__PORT": "0",
            "REDIS__LEASE_SECONDS": "2",
            **more,
        }
        cluster = Cluster(folder, valkey.url, broker.keys.prefix, **settings)
        stack.push_async_callback(cluster.aclose)
        database = Database(cluster.settings["DATABASE__URL"], folder)
        stack.push_async_callback(database.aclose)
        if worker:
            await stack.enter_async_context(running_worker(cluster))
        yield Rig(cluster, telegram, broker, Audience(database), database, folder)
