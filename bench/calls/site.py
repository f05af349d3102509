"""A deployment under a run: a local Telegram and bot workers, each a process of its own."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import insert

from bench.processes import MeasurementFailed
from mini_apps.audience import Audience
from mini_apps.broadcast_jobs import BroadcastJobs
from mini_apps.database import Database
from mini_apps.embedded import free_port
from mini_apps.models import AudienceMember
from shared.broker import Broker
from shared.bus import Bus
from shared.nodes import live_nodes
from shared.settings import Settings, load
from shared.updates import UpdateLog

ROOT = Path(__file__).parents[2]
APP = "run"
TOKEN = "42:sandbox-run"
FIRST = 1_000_000  # the lowest id of the crowd
LANES = 16


@dataclass
class Site:
    """What a run may do.

    Attributes:
        broker, bus: open.
        settings: of the deployment.
        workers: those that were started and not killed, by the port of their health server.
        telegram: the address of the sandbox.
    """

    broker: Broker
    bus: Bus
    settings: Settings
    folder: Path
    telegram: str
    http: aiohttp.ClientSession
    workers: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    _updates: int = 0

    async def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask the sandbox about the bot, or tell it something."""
        url = f"{self.telegram}/sandbox/api/bots/{APP}/{path}"
        async with self.http.request("GET" if body is None else "POST", url, json=body) as answer:
            found: dict[str, Any] = await answer.json()
            if answer.status != 200:
                raise MeasurementFailed(f"{path}: {found}")
            return found

    async def sent(self) -> int:
        """Return how many messages Telegram took."""
        return int((await self.ask("counts"))["calls"].get("sendmessage", 0))

    async def start_workers(self, count: int) -> None:
        """Start bot workers and wait until each of them is ready and has joined the others."""
        started = [await self._start(free_port()) for _ in range(count)]
        crew = self.broker.keys.app(APP).workers

        async def there() -> bool:
            if ended := [log for process, log in started if process.returncode is not None]:
                raise MeasurementFailed(f"a worker ended: {ended[0].read_text()[-500:]}")
            members: Any = await self.broker.client.zrange(crew, 0, -1)
            names = await self._names()
            joined = {raw.decode() for raw in members}
            return all(names.get(port, "") in joined for port in self.workers)

        await until(there, 300.0, "a bot worker")

    async def _start(self, port: int) -> "tuple[asyncio.subprocess.Process, Path]":
        log = self.folder / f"worker-{port}.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot_worker", "--settings", str(self.folder / "settings.json")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "MINI_APPS__BOT__PORT": str(port)},
            )
        self.workers[port] = process
        return process, log

    async def kill_worker(self, node: str) -> None:
        """End the worker with this node id as a crash would."""
        port = next(port for port, name in (await self._names()).items() if name == node)
        process = self.workers.pop(port)
        process.kill()
        await process.wait()

    async def _names(self) -> dict[int, str]:
        """Return the node ids of the workers, by the port of their health server."""
        nodes = await live_nodes(self.broker, "bot")
        return {int(node.address.rpartition(":")[2]): node.id for node in nodes}

    async def feed(self, log: UpdateLog, chat: int) -> None:
        """Let somebody write to the bot."""
        self._updates += 1
        person = {"id": abs(chat), "is_bot": False, "first_name": "P"}
        place = {"id": chat, "type": "private" if chat > 0 else "group"}
        content = {"message_id": self._updates, "date": 1, "chat": place, "from": person, "text": "there?"}
        await log.append(APP, {"update_id": self._updates, "message": content}, "webhook")

    def log(self) -> UpdateLog:
        """Return where updates go in."""
        return UpdateLog(self.broker, self.bus, LANES)

    async def add_audience(self, users: Iterable[int]) -> None:
        """Let the bot know people it may write to."""
        rows = [{"app": APP, "telegram_id": user, "since": 0, "blocked_at": None} for user in users]
        database = Database(self.settings.database.url.get_secret_value(), self.folder)
        try:
            async with database.session() as session:
                await session.execute(insert(AudienceMember), rows)
                await session.commit()
        finally:
            await database.aclose()

    async def audience_count(self) -> int:
        """Return how many people the bot may write to."""
        database = Database(self.settings.database.url.get_secret_value(), self.folder)
        try:
            return await Audience(database).count(APP)
        finally:
            await database.aclose()

    def jobs(self) -> BroadcastJobs:
        """Return the bot's broadcast jobs."""
        return BroadcastJobs(self.bus, self.broker.keys.app(APP))

    async def stop(self) -> None:
        """End the workers in good order."""
        for process in self.workers.values():
            process.terminate()
        for process in self.workers.values():
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


@contextlib.asynccontextmanager
async def site(
    folder: Path, redis: str, prefix: str, *, crowd: Mapping[str, int], limits: bool, **telegram: Any
) -> AsyncIterator[Site]:
    """Start a sandbox with a crowd before its bot; everything is gone afterwards.

    Args:
        folder: for settings, database and logs.
        redis: its address.
        prefix: of the keys.
        crowd: as the sandbox takes it, without `first`.
        limits: whether the sandbox enforces Telegram's limits.
        **telegram: more settings of the app.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = {"class": "bench.calls.app:Answering", "bot-token": TOKEN, "api-server": url, **telegram}
    content = {
        "redis": {"url": redis, "prefix": prefix, "lease-seconds": 3},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/db.sqlite"},
        "bot": {"port": 0, "lanes": LANES, "hook-timeout": 60},
        "apps": {APP: app},
    }
    (folder / "settings.json").write_text(json.dumps(content))
    settings = load(folder / "settings.json", {})
    flags = ["--port", str(port), "--app", f"{APP}={TOKEN},", *(["--limits"] if limits else [])]
    with (folder / "sandbox.log").open("wb") as out:
        sandbox = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sandbox", *flags), stdout=out, stderr=out, cwd=ROOT
        )
    try:
        async with (
            aiohttp.ClientSession() as http,
            Broker(settings.redis) as broker,
            Bus(broker, "run") as bus,
        ):
            made = Site(broker, bus, settings, folder, url, http)
            await until(lambda: _answers(http, url), 180.0, "the sandbox")
            await made.ask("crowd", {"first": FIRST, **crowd})
            try:
                yield made
            finally:
                await made.stop()
    finally:
        sandbox.terminate()
        await sandbox.wait()


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        async with http.get(f"{url}/healthz") as answer:
            return answer.status == 200
    return False


async def until(condition: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """Wait until a condition gives something and return that.

    Raises:
        MeasurementFailed: not in time.
    """
    end = time.monotonic() + seconds
    while True:
        if found := await condition():
            return found
        if time.monotonic() > end:
            raise MeasurementFailed(f"{what} did not come within {seconds:g} s")
        await asyncio.sleep(0.05)
