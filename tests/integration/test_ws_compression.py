"""permessage-deflate where it is on: frames of both kinds side by side, and none of it where it is off."""

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
import pytest
from websockets.asyncio.client import connect

from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, RunningNode
from support import TOKEN, eventually

LONG = "the same words again and again; " * 1_000


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    yield cluster
    await cluster.aclose()


@pytest.fixture
async def node(cluster: Cluster) -> RunningNode:
    return await cluster.node("ws-9", WS__COMPRESSION="true")


async def test_off_by_default(cluster: Cluster) -> None:
    node = await cluster.node()
    async with node.user() as page:
        assert page.socket.protocol.extensions == []
        await page.send(type="echo", value=LONG, id=1)
        assert (await page.receive("reply", id=1))["data"] == LONG


async def test_compressed_and_plain_frames_come_side_by_side(node: RunningNode) -> None:
    async with node.user(1) as page, node.user(2, compression=None) as plain:
        assert "no_context_takeover" in repr(page.socket.protocol.extensions)
        assert plain.socket.protocol.extensions == []
        for count in range(3):
            for value in ("short", LONG, random.randbytes(3_000).hex()):
                await page.send(type="echo", value=value, id=1)
                assert (await page.receive("reply", id=1))["data"] == value
            await plain.send(type="whisper", to=1, text=LONG + str(count))
            assert (await page.receive("whispered"))["text"] == LONG + str(count)
        await page.socket.send([json.dumps({"type": "echo", "id": 2})[:-1], ',"value":', f'"{LONG}"}}'])
        assert (await page.receive("reply", id=2))["data"] == LONG


async def test_a_long_answer_is_shorter_on_the_wire(node: RunningNode) -> None:
    async with node.user() as page:
        read = 0
        received = page.socket.data_received

        def count(data: bytes) -> None:
            nonlocal read
            read += len(data)
            received(data)

        page.socket.transport.get_protocol().data_received = count  # type: ignore[attr-defined,method-assign]  # counts what it is given
        await page.send(type="echo", value=LONG, id=1)
        assert (await page.receive("reply", id=1))["data"] == LONG
        assert 0 < read < len(LONG) / 10


async def test_what_unpacks_to_too_much_ends_with_4503(node: RunningNode) -> None:
    async with node.user(2) as other:
        async with node.user(1) as page:
            await page.send(type="echo", value="x" * 10_000_000)
            assert (await page.receive("disconnect"))["code"] == 4503
            assert await page.closed() == 4503
        await other.send(type="echo", value=1, id=1)
        await other.receive("reply", id=1)


async def test_msgpack_is_compressed_too(node: RunningNode) -> None:
    async with connect(node.url, subprotocols=["mini-apps.msgpack"]) as socket:
        data = sign_init_data(TOKEN, user={"id": 1, "first_name": "Binary"})
        await socket.send(msgpack.packb({"type": "login", "app": "chat", "data": data}))
        await socket.send(msgpack.packb({"type": "echo", "id": 1, "value": LONG}))
        while (message := msgpack.unpackb(await socket.recv()))["type"] != "reply":
            pass
        assert message["data"] == LONG


async def test_what_was_missed_is_compressed_too(node: RunningNode) -> None:
    async with node.user(1) as page:
        await page.send(type="subscribe", channel="kept:room", id=1)
        start = (await page.receive("joined"))["offset"]
        for number in range(3):
            await page.send(type="tick", room="kept:room", n=number, pad=LONG, policy="must", id=number)
            await page.receive("reply", id=number)
        async with node.user(1) as again:
            await again.send(type="subscribe", channel="kept:room", offset=start, id=1)
            await eventually(lambda: len([m for m in again.messages if m["type"] == "tick"]) == 3)
            assert [m["pad"] for m in again.messages if m["type"] == "tick"] == [LONG] * 3
