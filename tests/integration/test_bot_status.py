"""How a bot is doing, as every process and `mini-apps bots` tell: flood waits, crashes, and siblings that go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app_mesh import bound, open_mesh
from bot_rig import ROOT, TOKEN, Rig, rig
from dev_support import environment, run
from mini_apps import App, BotStatus
from shared.broker import Broker
from support import eventually

OTHER = "43:sandbox-other"


@pytest.fixture
async def deployment(broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def bots(deployment: Rig, *words: str) -> str:
    """Run `mini-apps bots` on the deployment."""
    env = {**environment(deployment.path), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = ("--settings", str(deployment.path / "settings.json"), "bots", *words)
    done = await asyncio.to_thread(run, *command, cwd=deployment.path, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_flood_wait_at_the_start_shows_with_the_seconds_left(deployment: Rig) -> None:
    deployment.apps = {
        "bot": {"class": "bot_apps:Recorder", "bot-token": TOKEN},
        "other": {"class": "bot_apps:Recorder", "bot-token": OTHER},
    }
    await deployment.fault(kind="flood", method="getMe", seconds=300)
    async with deployment.worker(), open_mesh(deployment.settings(), "look") as mesh:
        await eventually(lambda: deployment.runs("other"))
        app = await bound(App, mesh, "bot")

        async def waits() -> bool:
            return await app.bot_status() is BotStatus.StartFlood

        await eventually(waits, what="the flood wait")
        report = await app.bot_report()
        assert 200 < report.wait <= 300
        assert report.reason == "Telegram wants a pause of 300 s before the bot starts"
        told: dict[str, Any] = json.loads(await bots(deployment, "--json"))
        assert told["bot"]["status"] == "start_flood"
        assert 100 < told["bot"]["wait"] <= 300
        assert told["other"]["bot"]["username"] == "other_bot"
        first, second = (await bots(deployment)).splitlines()[1:]
        assert first.startswith("bot    start_flood")
        assert first.endswith("s left: Telegram wants a pause of 300 s before the bot starts")
        assert second.startswith("other  running")
    assert "offline" in await bots(deployment)


async def test_a_short_flood_wait_is_waited_for(deployment: Rig) -> None:
    await deployment.fault(kind="flood", method="getMe", seconds=1)
    async with deployment.worker(), open_mesh(deployment.settings(), "look") as mesh:
        await eventually(deployment.runs)
        app = await bound(App, mesh, "bot")
        report = await app.bot_report()
        assert (report.status, report.reason, report.wait) == (BotStatus.Running, "", 0)


async def test_a_bot_that_ends_in_any_way_starts_again_and_its_sibling_goes_on(
    deployment: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_worker.api_errors.DELAYS", (0.05,))
    deployment.apps = {
        "bot": {"class": "bot_apps:Recorder", "bot-token": TOKEN},
        "other": {"class": "bot_apps:Shaky", "bot-token": OTHER},
    }
    async with deployment.worker():
        await eventually(deployment.runs)
        since = (await deployment.status())["since"]
        await eventually(lambda: deployment.runs("other"), what="the shaky bot to run")
        assert await deployment.broker.client.get(deployment.broker.keys.app("other").own("runs")) == b"4"
        assert (await deployment.status())["since"] == since
        await deployment.say("echo me")
        await eventually(deployment.answers)


async def test_a_worker_that_died_is_a_crash(deployment: Rig) -> None:
    worker = deployment.start_worker()
    await eventually(deployment.runs, seconds=300)
    worker.kill()
    worker.wait()
    async with open_mesh(deployment.settings(), "look") as mesh:
        app = await bound(App, mesh, "bot")

        async def crashed() -> bool:
            return await app.bot_status() is BotStatus.Crashed

        await eventually(crashed)
        assert (await app.bot_report()).reason.endswith("is gone")
