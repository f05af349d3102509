"""The correlation id: from a click or an update into other processes, their logs and what clients are told."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app_mesh import bound, listen, make_settings, open_mesh
from bot_rig import Rig, message, rig
from chat_app import Chat
from mini_apps import App
from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster
from shared import trace
from shared.broker import Broker
from shared.bus_frames import AdminChanged, Disconnect, Join, Leave, Message, Signal
from support import TOKEN, eventually

ROOT = Path(__file__).parents[2]


class Telling(App):
    """Its bot makes nodes do every kind of thing."""

    async def on_telegram_message(self, event: Any) -> None:
        user = event.chat.id
        await self.broadcast(type="said", text=event.text)
        await self.publish("kept", type="said", text=event.text)
        await self.signal("said")
        await self.subscribe(user, "room")
        await self.unsubscribe(user, "room")
        await self.set_admin(user)
        await self.disconnect_user(user)
        await asyncio.create_task(self.send_to_user(user, type="said", text=event.text))


@pytest.fixture
def other_node(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> Iterator[Path]:
    """A WebSocket node as a process of its own; gives the file it logs to."""
    environ = {
        **{f"MINI_APPS__{key}": value for key, value in Cluster(tmp_path, valkey.url, prefix).settings.items()},
        "MINI_APPS__APPS__CHAT__CLASS": "trace_app:Traced",
        "MINI_APPS__WS__NODE_ID": "ws-2",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
    }
    log = tmp_path / "ws-2.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ws_server"], cwd=tmp_path, env={**os.environ, **environ}, stderr=out
        )
    yield log
    process.kill()
    process.wait()


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix, APPS__CHAT__CLASS="trace_app:Traced")
    yield cluster
    await cluster.aclose()


@pytest.fixture
async def deployment(broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


def logged(log: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


async def test_a_click_is_found_in_the_log_of_another_process(other_node: Path, cluster: Cluster) -> None:
    one = await cluster.node("ws-1")
    await eventually(lambda: logged(other_node, "ready"), seconds=300, what="the other node's readiness")
    async with one.user(1001) as page:
        await page.send(type="echo")
        await page.send(type="tell", id="a")
        client = (await page.receive("reply", id="a"))["data"]
        (line,) = await eventually(lambda: logged(other_node, "heard of it"))
    assert (line["node"], line["by"], line["signal"]) == ("ws-2", 1001, "clicked")
    assert line["trace"] == f"{client}-2"


async def test_an_error_names_the_message_it_is_about(cluster: Cluster) -> None:
    one = await cluster.node("ws-1")
    async with one.user(1001) as page:
        await page.send(type="tell", id=1)
        client = (await page.receive("reply", id=1))["data"]
        await page.send(type="bug", id=2)
        assert (await page.receive("error", id=2))["trace"] == f"{client}-2"
        await page.send(type="wrong", id=3)
        assert (await page.receive("error", id=3))["trace"] == f"{client}-3"
        await page.send(type="subscribe", channel="secret", id=4)
        assert (await page.receive("error", id=4))["trace"] == f"{client}-4"


async def test_what_follows_from_an_update_carries_its_id(
    deployment: Rig, valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    deployment.apps = {"bot": {"class": f"{__name__}:Telling", "bot-token": "42:sandbox-bot"}}
    folder = tmp_path / "ears"
    folder.mkdir()
    async with open_mesh(make_settings(folder, valkey.url, prefix, bot={"bot-token": TOKEN}), "ears") as mesh:
        app = await bound(App, mesh, "bot")
        heard = [
            await listen(mesh, channel)
            for channel in (app.keys.everyone(), app.keys.channel("kept"), app.keys.signals, app.keys.user(7))
        ]
        async with deployment.worker():
            await deployment.feed(message(17, 7, "hello"))
            await eventually(lambda: len(heard[3]) == 5)
    broadcast, published, signalled, user = heard
    assert [type(frame) for frame in user] == [Join, Leave, AdminChanged, Disconnect, Message]
    assert [type(*frames) for frames in (broadcast, published, signalled)] == [Message, Message, Signal]
    assert {frame.trace for frames in heard for frame in frames} == {"update-17"}


async def test_a_click_is_found_at_the_call_it_led_to(
    deployment: Rig, valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    deployment.apps = {"bot": {"class": "trace_app:Calling", "bot-token": "42:sandbox-bot"}}
    deployment.start_worker()
    await eventually(deployment.runs, seconds=300)
    app = {"APPS__BOT__CLASS": "trace_app:Calling", "APPS__BOT__BOT_TOKEN": "42:sandbox-bot"}
    database = f"sqlite+aiosqlite:///{deployment.path}/db.sqlite"  # the worker's: they are one deployment
    cluster = Cluster(tmp_path, valkey.url, prefix, DATABASE__URL=database, **app)
    try:
        one = await cluster.node("ws-1")
        async with one.page() as page:
            await page.login(1001, app="bot", token="42:sandbox-bot")
            await page.send(type="who", id=1)
            client = (await page.receive("reply", id=1))["data"]
            await page.send(type="write", chat=987_654_321, id=2)  # nobody the bot knows
            assert (await page.receive("error", id=2))["trace"] == f"{client}-2"
            log = deployment.path / "worker-0.log"
            [line] = await eventually(lambda: logged(log, "a call for another process did not succeed"))
        assert (line["trace"], line["method"], line["asker"]) == (f"{client}-2", "sendMessage", "ws-1")
    finally:
        await cluster.aclose()


async def test_a_message_kept_in_history_carries_the_id(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    async with open_mesh(make_settings(tmp_path, valkey.url, prefix, chat={}), "look") as mesh:
        app = await bound(Chat, mesh, "chat")
        heard = await listen(mesh, app.keys.channel("kept:1"))
        with trace.bound("update-18"):
            await app.publish("kept:1", type="said")
        await app.publish("kept:1", type="said")
        await eventually(lambda: len(heard) == 2)
    assert [frame.trace for frame in heard] == ["update-18", ""]
