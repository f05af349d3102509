"""How many may come, how fast, and for how long they may be silent: each with its close code."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, RunningNode, metric


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    yield cluster
    await cluster.aclose()


async def _first(node: RunningNode, **options: object) -> dict[str, object]:
    async with connect(node.url, **options) as socket:  # type: ignore[arg-type]  # options of the library
        message: dict[str, object] = json.loads(await socket.recv())
        if message["type"] != "connect":
            await socket.wait_closed()
            assert socket.close_code == message["code"]
        return message


@pytest.mark.parametrize("limit", ["WS__ACCEPTS_PER_SECOND", "WS__CONNECTS_PER_MINUTE"])
async def test_too_many_new_connections_are_told_when_to_come_back(cluster: Cluster, limit: str) -> None:
    node = await cluster.node("ws-9", **{limit: "1"})
    async with contextlib.AsyncExitStack() as stack:
        page = await stack.enter_async_context(node.user(1))
        for _ in range(100):
            told = await _first(node)
            if told["type"] == "reconnect":
                break
        assert (told["type"], told["code"]) == ("reconnect", 4004)
        assert float(str(told["retry_after"])) > 0
        await page.send(type="echo", value="still here", id=1)
        await page.receive("reply", id=1)
    assert await metric(node, "mini_apps_ws_closes_total", 'code="4004"') >= 1


async def test_each_address_has_its_own_share(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__CONNECTS_PER_MINUTE="1", GATEWAY__TRUSTED_PROXIES='["127.0.0.1/32"]')
    for address in ("192.0.2.1", "192.0.2.2"):
        behind = {"X-Forwarded-For": address}
        assert (await _first(node, additional_headers=behind))["type"] == "connect"
        assert (await _first(node, additional_headers=behind))["code"] == 4004


async def test_a_client_that_only_gives_signs_of_life_is_closed_for_good(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__IDLE_TIMEOUT="1", WS__PING_INTERVAL="0.5", WS__MESSAGES_PER_SECOND="0")
    async with node.user(1) as page:
        with contextlib.suppress(ConnectionClosed):
            while not any(message["type"] == "disconnect" for message in page.messages):
                await page.send(type="ping")
                await asyncio.sleep(0.05)
        assert await page.receive("disconnect") == {"type": "disconnect", "code": 4505, "reason": "idle"}
        assert await page.closed() == 4505
        assert any(message["type"] == "pong" for message in page.messages)


async def test_a_client_that_says_something_is_not_idle(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__IDLE_TIMEOUT="3", WS__PING_INTERVAL="0", WS__MESSAGES_PER_SECOND="0")
    async with node.user(1) as busy, node.user(2) as idle:
        number = 0
        while not any(m["type"] == "disconnect" for m in idle.messages):
            await busy.send(type="echo", value=1, id=number)
            await busy.receive("reply", id=number)
            number += 1
        assert await idle.closed() == 4505
        await busy.send(type="echo", value=1, id="last")
        await busy.receive("reply", id="last")
