"""Corners of one connection's life: a close that meets a close, a pause that looks like silence, hooks without end."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from mini_apps import Client
from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, RunningNode
from shared.broker import Broker
from shared.bus_frames import Message
from shared.codec import encode_json
from shared.settings import RedisSettings
from support import TOKEN, eventually
from ws_server.node import Node
from ws_server.session import Stage

ROOM = "kept:room"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix, WS__MESSAGES_PER_SECOND="0")
    yield cluster
    await cluster.aclose()


def _text(**message: Any) -> bytes:
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)


def _login(user: int) -> bytes:
    return _text(type="login", app="chat", data=sign_init_data(TOKEN, user={"id": user, "first_name": "Raw"}))


async def _raw(running: RunningNode, *frames: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a socket that answers nothing by itself, neither pings nor close frames."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.process.port)
    writer.write(HANDSHAKE + b"".join(frames))
    return reader, writer


async def test_joined_comes_before_what_is_written_in_the_same_turn(
    cluster: Cluster, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await cluster.node()
    node, app = nodes[0], nodes[0].apps["chat"]
    other, room = (node.keys(app).channel(name) for name in ("open:other", "open:room"))

    async def handle(client: Client, type_: str, data: dict[str, Any]) -> None:
        node.hub.deliver(other, b'{"type":"said","channel":"open:other"}')  # so that the hub writes first in this turn
        await client.join("open:room")
        node.hub.deliver(room, b'{"type":"said","channel":"open:room"}')

    async with running.user(1) as ada, running.user(2) as ben:
        for page, channel in ((ada, "open:room"), (ada, "open:other"), (ben, "open:other")):
            await page.send(type="subscribe", channel=channel)
            await page.receive("joined", channel=channel)
        monkeypatch.setattr(app, "handle_message", handle)
        await ben.send(type="go")
        await eventually(lambda: len(ben.messages) > 2, what="all three messages")
        got = [(m["type"], m.get("channel")) for m in ben.messages if m["type"] != "hello"]
        assert got.index(("joined", "open:room")) < got.index(("said", "open:room"))


async def test_a_close_that_meets_the_clients_own_is_no_failure(
    cluster: Cluster, nodes: list[Node], caplog: pytest.LogCaptureFixture
) -> None:
    running = await cluster.node()
    goodbye = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
    reader, writer = await _raw(running, Frame(Opcode.BINARY, b"wrong kind").serialize(mask=True), goodbye)
    async with asyncio.timeout(180):
        everything = await reader.read()
    assert everything.endswith(b"\x88\x02\x03\xe8"), "its own code comes back"
    writer.close()
    await eventually(lambda: not nodes[0].connections, what="the socket being gone")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_is_not_read_is_not_taken_for_silent(
    cluster: Cluster, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await cluster.node("ws-1", WS__PING_INTERVAL="0.5", WS__PING_TIMEOUT="0.5", WS__CLIENT_QUEUE="2")
    go = asyncio.Event()

    async def handle(client: Client, type_: str, data: dict[str, Any]) -> str:
        await go.wait()
        return "done"

    async with running.user(1) as ada:
        monkeypatch.setattr(nodes[0].apps["chat"], "handle_message", handle)
        for number in range(10):
            await ada.send(type="wait", id=number)
        await eventually(lambda: any(c.held for c in nodes[0].connections), what="the full queue")
        reader, writer = await _raw(running, _login(2))  # when this one is given up, the other's time would be over
        async with asyncio.timeout(180):
            await reader.readuntil(b"keepalive ping timeout")
        writer.close()
        go.set()
        for number in range(10):
            await ada.receive("reply", id=number)


async def test_a_read_that_redis_refuses_is_tried_again(
    own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, own_valkey.url, prefix)
    settings = RedisSettings.model_validate({"url": own_valkey.url, "prefix": prefix})
    try:
        async with Broker(settings) as broker:
            running = await cluster.node()
            async with running.user(1) as ada:
                await ada.send(type="subscribe", channel=ROOM)
                joined = await ada.receive("joined")
                await broker.client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
                await _lose(broker, after=joined["offset"])
                await eventually(lambda: broker.client.execute_command("ACL", "LOG"), what="the refusal")
                await broker.client.execute_command("ACL", "SETUSER", "default", "+@all")
                assert (await ada.receive("said", n=1))["offset"] == joined["offset"] + 1
                assert (await ada.receive("said", n=2))["offset"] == joined["offset"] + 2
    finally:
        await cluster.aclose()


async def _lose(broker: Broker, after: int) -> None:
    """Append two messages, of which only the second is published."""
    keys = broker.keys.app("chat")
    bodies = [encode_json({"type": "said", "n": n, "channel": ROOM}) for n in (1, 2)]
    for place, body in enumerate(bodies):
        entry = {"data": body, "prev": after + place}
        await broker.client.xadd(keys.channel_stream(ROOM), entry, id=f"{after + place + 1}-0")
    await broker.client.hset(keys.channel_meta(ROOM), "last", after + 2)
    live = Message(bodies[1], offset=after + 2, prev=after + 1)
    await broker.client.publish(keys.channel(ROOM), _with_offset(live))


def _with_offset(message: Message) -> bytes:
    import msgpack

    header: bytes = msgpack.packb({"offset": message.offset, "prev": message.prev})
    return header + message.body


async def test_a_login_hook_without_end_is_ended(
    cluster: Cluster, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await cluster.node("ws-1", APPS__CHAT__HANDLER_TIMEOUT="0.2", WS__LOGIN_TIMEOUT="0")
    node = nodes[0]

    async def never(client: Client, message: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(node.apps["chat"], "login", never)
    before = len(node._tasks)
    reader, writer = await _raw(running, _login(1))
    async with asyncio.timeout(180):
        assert (1011).to_bytes(2, "big") in await reader.readuntil(b"Internal server error")
    writer.close()
    await eventually(lambda: len(node._tasks) == before, what="the login being over")


async def test_a_login_that_takes_the_node_long_is_not_cut_off(
    cluster: Cluster, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await cluster.node("ws-1", WS__LOGIN_TIMEOUT="0.5")
    app, go = nodes[0].apps["chat"], asyncio.Event()
    login = app.login

    async def slow(client: Client, message: dict[str, Any]) -> None:
        await go.wait()
        await login(client, message)

    monkeypatch.setattr(app, "login", slow)
    async with running.page() as page:
        data = sign_init_data(TOKEN, user={"id": 1, "first_name": "Ada"})
        await page.send(type="login", app="chat", data=data)
        for _ in range(2):  # each of these is given up when its time is over, so the other's is too
            async with running.page() as silent:
                assert await silent.closed() == 4001
        go.set()
        await page.receive("welcome")


async def test_who_is_closing_already_takes_nobodys_place(cluster: Cluster, nodes: list[Node]) -> None:
    running = await cluster.node("ws-1", WS__MAX_CONNECTIONS_PER_USER="2")
    async with running.user(1) as first:
        _, writer = await _raw(running, _login(1), _text(type="close"))  # and does not answer the close frame
        node = nodes[0]
        await eventually(lambda: any(c.stage is Stage.CLOSED for c in node.connections), what="the closing one")
        async with running.user(1) as third:
            assert len(node._clients(node.keys(node.apps["chat"]).user(1))) == 3, "the closing one is there still"
            for page in (first, third):
                await page.send(type="echo", value=1, id=1)
                await page.receive("reply", id=1)
        writer.close()
