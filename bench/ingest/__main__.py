"""`python -m bench.ingest`: measure, and write bench/results/ingest.json and ingest.md."""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from bench.ingest.aiogram_side import PATH, SECRET
from bench.ingest.app import UNMEASURED
from bench.ingest.load import Load, Result
from bench.ingest.updates import TOKEN, update
from bench.processes import MeasurementFailed, pin_self, serving
from bench.report import RESULTS, commit, machine
from mini_apps.embedded import EmbeddedValkey, free_port
from sandbox.config import BotConfig, SandboxConfig
from sandbox.server import create_app
from shared import log
from shared.broker import Broker
from shared.bus import Bus
from shared.keys import AppKeys
from shared.settings import LogSettings, Settings, load
from shared.updates import UpdateLog

ROOT = Path(__file__).parents[2]
CONNECTIONS = 40
RATE = 2_000.0
WARM_UP = 1_000
LANES = 16


class Bench:
    """One repetition.

    Args:
        folder: for settings and logs.
        valkey: the broker.
        count: updates of one measurement; a few also make the paced one short.
    """

    def __init__(self, folder: Path, valkey: EmbeddedValkey, count: int) -> None:
        self._folder = folder
        self._valkey = valkey
        self._count = count
        self._first = 0

    async def run(self) -> dict[str, float]:
        """Measure everything once."""
        return {**await self.webhooks(), **await self._workers()}

    async def webhooks(self) -> dict[str, float]:
        """Measure how updates come in.

        Raises:
            MeasurementFailed: not every post was answered with 200 and stored.
        """
        ours, peer = free_port(), free_port()
        settings = self._settings("Hook", "http://127.0.0.1:9", gateway=ours)
        path = f"/webhook/{settings.apps['bench'].webhook_path()}"
        secret = settings.apps["bench"].effective_webhook_secret() or ""
        found: dict[str, float] = {}
        command = [sys.executable, "-m", "gateway", "--settings", str(self._folder / "settings.json")]
        with serving("gateway", command, ours, env=_env(), log=self._folder / "gateway.log") as server:
            await _ready(ours)
            await self._load(ours, path, secret, WARM_UP)
            before = server.cpu()
            fast = await self._load(ours, path, secret, self._count)
            found["webhook_us"] = 1e6 * (server.cpu() - before) / self._count
            found["webhook_per_s"] = self._count / fast.seconds
            steady = min(self._count, int(4 * RATE))
            paced = await self._load(ours, path, secret, steady, RATE)
            found["webhook_p99_ms"] = 1e3 * statistics.quantiles(paced.latencies, n=100)[98]
            await self._check_stored(settings, WARM_UP + self._count + steady)
        command = [sys.executable, "-m", "bench.ingest.aiogram_side", "hook", str(peer)]
        with serving("aiogram", command, peer, env=_env(), log=self._folder / "aiogram.log") as server:
            await self._load(peer, PATH, SECRET, WARM_UP)
            before = server.cpu()
            slow = await self._load(peer, PATH, SECRET, self._count)
            found["aiogram_webhook_us"] = 1e6 * (server.cpu() - before) / self._count
            found["aiogram_webhook_per_s"] = self._count / slow.seconds
        found["webhook_ratio"] = found["webhook_per_s"] / found["aiogram_webhook_per_s"]
        return found

    async def _workers(self) -> dict[str, float]:
        found: dict[str, float] = {}
        command = [sys.executable, "-m", "bench.ingest.aiogram_side", "feed", str(self._count)]
        pinned = ["taskset", "-c", "0", *command]
        done = await asyncio.to_thread(subprocess.run, pinned, env=_env(), cwd=ROOT, capture_output=True, check=True)
        found["aiogram_dispatcher_us"] = float(done.stdout)
        async with _sandbox() as url:
            for kind in ("Hook", "Routed"):
                found[f"worker_{kind.lower()}_us"] = await self._worker(kind, url)
        for kind in ("hook", "routed"):
            found[f"worker_{kind}_ratio"] = found["aiogram_dispatcher_us"] / found[f"worker_{kind}_us"]
        return found

    async def _worker(self, kind: str, sandbox: str) -> float:
        """Return the CPU microseconds a worker takes for an update, from the lane to the acknowledgement."""
        port = free_port()
        settings = self._settings(kind, sandbox, bot=port)
        notes = self._folder / "notes"
        notes.unlink(missing_ok=True)
        async with Broker(settings.redis) as broker, Bus(broker, "bench") as bus:
            await broker.client.flushdb()
            updates = UpdateLog(broker, bus, LANES)
            total = self._count + UNMEASURED
            for start in range(0, total, 500):
                some = range(start, min(total, start + 500))
                await asyncio.gather(*(updates.append("bench", update(number), "webhook") for number in some))
            command = [sys.executable, "-m", "bot_worker", "--settings", str(self._folder / "settings.json")]
            with serving("bot worker", command, port, env=_env(), log=self._folder / "bot.log"):
                keys = broker.keys.app("bench")
                until = time.monotonic() + 120
                while await _waiting(broker, keys):
                    if time.monotonic() > until:
                        raise MeasurementFailed("the worker did not come to the end of the updates")
                    await asyncio.sleep(0.2)
        lines = [line.split() for line in notes.read_text().splitlines()]
        first, last = lines[0], lines[-1]
        return 1e6 * (float(last[1]) - float(first[1])) / (int(last[0]) - int(first[0]))

    async def _load(self, port: int, path: str, secret: str, count: int, rate: float = 0.0) -> Result:
        result = await Load(port, path, secret, self._first).run(count, CONNECTIONS, rate)
        self._first += count
        if result.failed:
            raise MeasurementFailed(f"{result.failed} of {count} posts were not answered with 200")
        return result

    async def _check_stored(self, settings: Settings, count: int) -> None:
        async with Broker(settings.redis) as broker:
            stored = await _waiting(broker, broker.keys.app("bench"))
        if stored != count:
            raise MeasurementFailed(f"{count} updates were answered with 200, and {stored} are in the lanes")

    def _settings(self, kind: str, sandbox: str, *, gateway: int = 0, bot: int = 0) -> Settings:
        app = {"class": f"bench.ingest.app:{kind}", "bot-token": TOKEN, "notes": str(self._folder / "notes")}
        content = {
            "redis": {"url": self._valkey.url},
            "database": {"url": f"sqlite+aiosqlite:///{self._folder}/bench.sqlite"},
            "telegram": {"api-server": sandbox},
            "gateway": {"port": gateway},
            "bot": {"port": bot, "lanes": LANES},
            "apps": {"bench": app},
        }
        path = self._folder / "settings.json"
        path.write_text(json.dumps(content))
        return load(path, {})


@contextlib.asynccontextmanager
async def _sandbox() -> AsyncIterator[str]:
    runner = web.AppRunner(create_app(SandboxConfig(bots=(BotConfig("bench", TOKEN),))), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _waiting(broker: Broker, keys: AppKeys) -> int:
    return sum([await broker.client.xlen(keys.updates(lane)) for lane in range(LANES)])


async def _ready(port: int) -> None:
    """Wait until a gateway has reached Redis."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(30):
        while True:
            async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.05)


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def table(found: dict[str, Any]) -> str:
    """Show the medians."""
    median: dict[str, float] = found["median"]
    rows = [
        ("webhook: durable updates/s on one core", f"{median['webhook_per_s']:,.0f}"),
        ("… aiogram's own handler, in background mode", f"{median['aiogram_webhook_per_s']:,.0f}"),
        ("… ours to aiogram's", f"{median['webhook_ratio']:.1f} ×"),
        (
            "… CPU of the server for an update, ours / aiogram's",
            f"{median['webhook_us']:.0f} / {median['aiogram_webhook_us']:.0f} µs",
        ),
        ("… p99 at 2,000/s", f"{median['webhook_p99_ms']:.1f} ms"),
        (
            "worker: CPU for an update, by a hook / by the router",
            f"{median['worker_hook_us']:.0f} / {median['worker_routed_us']:.0f} µs",
        ),
        ("… a bare aiogram Dispatcher", f"{median['aiogram_dispatcher_us']:.0f} µs"),
        (
            "… ours to the bare one, by a hook / by the router",
            f"{median['worker_hook_ratio']:.2f} / {median['worker_routed_ratio']:.2f}",
        ),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.ingest", description="How fast updates come in and are worked off.")
    parser.add_argument("--updates", type=int, default=30_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    log.configure(LogSettings(level="error"), process="bench")
    pin_self()
    started, runs = time.time(), []
    try:
        for _ in range(arguments.repeat):
            with tempfile.TemporaryDirectory(prefix="ingest-") as name, EmbeddedValkey(Path(name)) as valkey:
                runs.append(uvloop.run(Bench(Path(name), valkey, arguments.updates).run()))
    except MeasurementFailed as error:
        print(f"ingest: {error}", file=sys.stderr)
        return 1
    median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started))
    found = {"date": when, "commit": commit(), "machine": dict(machine()), "median": median, "runs": runs}
    print(table(found))
    if not arguments.dry:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "ingest.json").write_text(json.dumps(found, indent=1) + "\n")
        about = f"Run {when} at commit {found['commit']}; server on one core, load and broker on the other."
        (RESULTS / "ingest.md").write_text(f"# Updates coming in\n\n{table(found)}\n\n{about}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
