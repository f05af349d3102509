"""Signals on real nodes: each node runs each of them once, and learns when it may have missed some."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app_mesh import bound, make_settings, open_mesh
from chat_app import Chat
from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster
from support import eventually
from ws_server.signals import BOUND, Signals


class Listening(Chat):
    """Writes down what each node's instance hears."""

    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        if type == "signal":
            return await self.signal(data["name"], **data["data"])
        return await super().handle_message(client, type, data)

    async def on_signal(self, name: str, data: dict[str, Any]) -> None:
        if name == "bug":
            raise ZeroDivisionError
        await self.redis.rpush(self.key("heard"), f"{self.mesh.node_id} {name} {data}")


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix, APPS__CHAT__CLASS=f"{__name__}:Listening")
    yield cluster
    await cluster.aclose()


async def test_every_node_runs_each_signal_once_in_order_and_outlives_a_bug(
    cluster: Cluster, valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    one, _ = await cluster.node("ws-1"), await cluster.node("ws-2")
    async with one.user() as page, open_mesh(make_settings(tmp_path, valkey.url, prefix, chat={}), "look") as mesh:
        await page.send(type="signal", name="drop", data={"key": [1, None]}, id=1)
        await page.receive("reply", id=1)
        await page.send(type="signal", name="bug", data={}, id=2)
        await page.receive("reply", id=2)
        command = await bound(Chat, mesh, "chat")  # any process may signal
        await command.signal("name", name="x")

        async def heard() -> list[str] | None:
            lines = [raw.decode() for raw in await mesh.broker.client.lrange(command.key("heard"), 0, -1)]
            return lines if len(lines) >= 4 else None

        lines = await eventually(heard)
        assert sorted(lines) == [
            *("ws-1 drop {'key': [1, None]}", "ws-1 name {'name': 'x'}"),
            *("ws-2 drop {'key': [1, None]}", "ws-2 name {'name': 'x'}"),
        ]
        with pytest.raises(ValueError, match="name"):
            await command.signal("")
        with pytest.raises(TypeError):
            await command.signal("drop", key=object())


async def test_a_node_hears_resync_after_a_gap(own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, own_valkey.url, prefix, APPS__CHAT__CLASS=f"{__name__}:Listening")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(cluster.aclose)
        await cluster.node("ws-1")
        mesh = await stack.enter_async_context(
            open_mesh(make_settings(tmp_path, own_valkey.url, prefix, chat={}), "look")
        )
        await mesh.broker.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        key = mesh.broker.keys.app("chat").own("heard")

        async def resync() -> bool:
            return b"ws-1 resync {}" in await mesh.broker.client.lrange(key, 0, -1)

        await eventually(resync, what="resync after the connection was rebuilt")


async def test_more_signals_than_may_wait_become_one_resync(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    from shared.bus_frames import Signal, pack

    heard: list[str] = []
    gate = asyncio.Event()

    class Slow(Chat):
        async def on_signal(self, name: str, data: dict[str, Any]) -> None:
            await gate.wait()
            heard.append(name)

    async with open_mesh(make_settings(tmp_path, valkey.url, prefix, chat={})) as mesh, asyncio.TaskGroup() as group:
        signals = Signals(await bound(Slow, mesh, "chat"), group.create_task)
        for number in range(BOUND + 2):
            signals.take(pack(Signal(f"s{number}", b"{}")))
        gate.set()
    assert heard == ["resync", f"s{BOUND}", f"s{BOUND + 1}"]
