"""A client that does not read: what it gets of each policy, and that nobody else notices."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from mini_apps import Send
from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, Page, RunningNode, metric
from support import TOKEN, eventually

PAD = "x" * 20_000


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix, WS__MESSAGES_PER_SECOND="0", WS__PING_INTERVAL="0")
    yield cluster
    await cluster.aclose()


@contextlib.asynccontextmanager
async def _deaf(node: RunningNode, room: str) -> AsyncIterator[ClientConnection]:
    """Give a client in a room that has stopped reading."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", node.process.port))
    async with connect(node.url, sock=raw, max_queue=None, ping_interval=None) as deaf:
        data = sign_init_data(TOKEN, user={"id": 2, "first_name": "Deaf"})
        await deaf.send(json.dumps({"type": "login", "app": "chat", "data": data}))
        await deaf.send(json.dumps({"type": "subscribe", "channel": room, "id": 1}))
        while json.loads(await deaf.recv())["type"] != "joined":
            pass
        deaf.transport.pause_reading()
        yield deaf
        deaf.transport.abort()


async def _tick(page: Page, room: str, n: int, policy: str, key: str = "", pad: str = PAD) -> None:
    await page.send(type="tick", room=room, n=n, policy=policy, key=key, pad=pad, id=n)
    await page.receive("reply", id=n)


async def _read_to(deaf: ClientConnection, last: int) -> list[int]:
    deaf.transport.resume_reading()
    numbers: list[int] = []
    async with asyncio.timeout(180):
        while last not in numbers:
            message: dict[str, Any] = json.loads(await deaf.recv())
            if message["type"] == "tick":
                numbers.append(message["n"])
    return numbers


@pytest.mark.parametrize("room", ["open:room", "kept:room"])
async def test_what_may_be_dropped_is_dropped_and_the_client_stays(cluster: Cluster, room: str) -> None:
    node = await cluster.node()
    async with node.user(1) as page, _deaf(node, room) as deaf:
        await page.send(type="subscribe", channel=room, id=0)
        await page.receive("joined")
        count = 0
        while await metric(node, "mini_apps_ws_dropped_total") < 20:
            count += 1
            assert count < 5_000
            await _tick(page, room, count, "drop")
        await eventually(lambda: len([m for m in page.messages if m["type"] == "tick"]) == count)
        await _tick(page, room, 0, "must")
        numbers = await _read_to(deaf, 0)
        assert numbers[:-1] == list(range(1, len(numbers))), "what it got came in order, from the first on"
        assert len(numbers) <= count - 19
        assert await metric(node, "mini_apps_ws_closes_total", 'code="4002"') == 0


@pytest.mark.parametrize("room", ["open:room", "kept:room"])
async def test_of_the_latest_one_of_each_key_arrives_late_but_in_order(cluster: Cluster, room: str) -> None:
    node = await cluster.node()
    async with node.user(1) as page, _deaf(node, room) as deaf:
        count = 0
        while await metric(node, "mini_apps_ws_replaced_total") < 20:
            count += 1
            assert count < 5_000
            await _tick(page, room, count, "latest", "ab"[count % 2])
        assert await metric(node, "mini_apps_ws_queue_bytes") > len(PAD)
        numbers = await _read_to(deaf, count)
        assert numbers[-2:] == [count - 1, count]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= count - 20
        await _tick(page, room, count + 1, "latest", "a")
        assert (await _read_to(deaf, count + 1)) == [count + 1]
        assert await metric(node, "mini_apps_ws_queue_bytes") < len(PAD)


async def test_too_much_that_must_arrive_cuts_the_client_off(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__SEND_BUFFER_BYTES="300000")
    async with node.user(1) as page, _deaf(node, "open:room"):
        count = 0
        while not await metric(node, "mini_apps_ws_closes_total", 'code="4002"'):
            count += 1
            assert count < 5_000
            await _tick(page, "open:room", count, "must")
        assert count * len(PAD) > 300_000, "it was cut off before so much could wait"
        await eventually(
            lambda: _is(node, "mini_apps_ws_connections", 2), what="only the page and this question being there"
        )


async def _is(node: RunningNode, name: str, value: float) -> bool:
    return await metric(node, name) == value


@pytest.mark.parametrize(
    "wrong",
    [{"policy": "perhaps"}, {"policy": "must", "key": "k"}, {"key": "k"}, {"policy": "latest", "key": "k" * 257}],
)
def test_options_that_cannot_be_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=re.escape("Send(")):
        Send(**wrong)
