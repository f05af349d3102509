"""What happens between two awaits: clients that go, commands that come, and hooks that fail while Redis is asked."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from mini_apps import Client
from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, Page, RunningNode
from support import TOKEN, eventually
from ws_server.node import Node
from ws_server.session import Stage

ROOM = "kept:room"


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix, WS__MESSAGES_PER_SECOND="0")
    yield cluster
    await cluster.aclose()


@contextlib.contextmanager
def _slow_subscribe(node: Node, part: str) -> Iterator[asyncio.Event]:
    """Let subscriptions whose name has `part` in it wait, as if Redis were slow."""
    bus, go = node.channels.subscriptions._bus, asyncio.Event()
    subscribing = bus.subscribing

    async def confirmed(channel: str, asked: "asyncio.Future[None]") -> None:
        await asked
        if part in channel:
            await go.wait()

    def slow(channel: str, handler: Any) -> "asyncio.Future[None]":
        return asyncio.ensure_future(confirmed(channel, subscribing(channel, handler)))

    bus.subscribing = slow  # type: ignore[method-assign]  # a slow server, at the place where it is felt
    try:
        yield go
    finally:
        go.set()
        bus.subscribing = subscribing  # type: ignore[method-assign]  # back to normal


async def test_what_the_app_said_last_holds_while_a_client_is_on_its_way_in(
    cluster: Cluster, nodes: list[Node]
) -> None:
    running = await cluster.node()
    async with running.user(1) as ada, running.user(2) as ben:
        with _slow_subscribe(nodes[0], "open:slow") as go:
            await ada.send(type="summon", user=2, room="open:slow", id=1)
            await ada.receive("reply", id=1)
            await eventually(lambda: nodes[0].channels._entering, what="ben waiting for Redis")
            await ada.send(type="dismiss", user=2, room="open:slow", id=2)
            await ben.receive("left", channel="open:slow")
            go.set()
            await eventually(lambda: not nodes[0].channels._entering, what="Redis having answered")
        await ada.send(type="say", room="open:slow", text="secret", id=3)
        await ada.receive("reply", id=3)
        assert not [m for m in await ben.settle() if m["type"] in ("said", "joined")]


async def test_who_is_taken_out_while_logging_in_is_not_welcomed_into_the_channel(
    cluster: Cluster, nodes: list[Node]
) -> None:
    running = await cluster.node()
    async with running.user(1) as ada, running.page() as ben:
        async with running.page() as before:
            session = (await before.login(2))["session"]
        with _slow_subscribe(nodes[0], "open:") as go:
            await ben.send(type="login", app="chat", session=session, channels={"open:a": {}})
            await eventually(lambda: nodes[0].channels._entering, what="ben waiting for Redis")
            await ada.send(type="dismiss", user=2, room="open:a", id=1)
            await ada.receive("reply", id=1)
            await ada.send(type="kick", user=3, id=2)
            await ada.receive("reply", id=2)
            await asyncio.sleep(0)
            go.set()
            assert (await ben.receive("welcome"))["channels"] == {}
        assert nodes[0].hub.size(nodes[0].keys(nodes[0].apps["chat"]).channel("open:a")) == 0


async def test_who_is_disconnected_while_logging_in_is_told_so(cluster: Cluster, nodes: list[Node]) -> None:
    running = await cluster.node()
    async with running.user(1) as ada, running.page() as ben:
        with _slow_subscribe(nodes[0], "open:"):
            data = sign_init_data(TOKEN, user={"id": 2, "first_name": "Ben"})
            await ben.send(type="login", app="chat", data=data, channels={"open:a": {}})
            await eventually(lambda: nodes[0].channels._entering, what="ben waiting for Redis")
            await ada.send(type="ban", user=2, id=1)
            await ada.receive("reply", id=1)
            assert await ben.closed() == 4501


async def test_subscribing_again_during_a_replay_loses_nothing(cluster: Cluster, nodes: list[Node]) -> None:
    running = await cluster.node()
    async with running.user(1) as ada, running.page() as ben:
        session = (await ben.login(2))["session"]
        await ben.send(type="subscribe", channel=ROOM, id=1)
        joined = await ben.receive("joined", id=1)
        position = {"offset": joined["offset"], "grant": joined["grant"]}
        await ben.send(type="unsubscribe", channel=ROOM)
        await ben.receive("left")
        for number in range(45):
            await ada.send(type="post", room=ROOM, n=[number, "x" * 60_000], id=number)
            await ada.receive("reply", id=number)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", running.process.port))
        async with running.page(sock=raw) as again:
            again.socket.transport.pause_reading()
            for connection in nodes[0].connections:  # or the kernel takes the whole replay
                transport: Any = connection.transport
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            login = {"type": "login", "app": "chat", "session": session, "channels": {ROOM: position}}
            await again.socket.send(json.dumps(login))
            await eventually(lambda: any(c.behind for c in nodes[0].connections), what="a replay that waits")
            await again.socket.send(json.dumps({"type": "subscribe", "channel": ROOM, "id": 2}))
            await ada.send(type="echo", id="later")
            await ada.receive("reply", id="later")
            again.socket.transport.resume_reading()
            assert (await again.receive("welcome"))["channels"][ROOM]["recovered"] is True
            await again.receive("joined", id=2)

            def numbers() -> list[int]:
                return [m["n"][0] for m in again.messages if m["type"] == "said"]

            await eventually(lambda: 44 in numbers(), what="the last message")
            assert numbers() == list(range(45))


async def test_who_enters_twice_at_a_time_stands_where_both_answers_say(cluster: Cluster, nodes: list[Node]) -> None:
    running = await cluster.node("ws-1", APPS__CHAT__CLASS="presence_app:Present")
    room = "both:room"
    async with running.user(1) as ada, running.user(2) as ben:
        await ben.send(type="subscribe", channel=room, id=1)
        joined = await ben.receive("joined", id=1)
        await ben.send(type="unsubscribe", channel=room)
        await ben.receive("left")
        await _post(ada, room, range(3))
        with _slow_presence(nodes[0], room) as go:
            await ben.send(type="subscribe", channel=room, id=2, offset=joined["offset"])
            await ada.send(type="summon", user=2, room=room)
            await eventually(lambda: sum(map(len, nodes[0].channels._entering.values())) == 2, what="both on their way")
            await _post(ada, room, range(3, 5))
            go.set()
        await _post(ada, room, range(5, 7))
        await eventually(lambda: _said(ben)[-1:] == [6], what="the last message")
        at = joined["offset"]
        news = [message for message in ben.messages if message["type"] in ("joined", "said")]
        for message in news:  # each `joined` says where the client stands by what it got before
            if message["type"] == "joined":
                assert message["offset"] == at
            at = message["offset"]
        assert len(news) == 2 + 7
        assert _said(ben) == list(range(7))


async def test_who_leaves_while_presence_waits_is_neither_in_nor_present(cluster: Cluster, nodes: list[Node]) -> None:
    running = await cluster.node("ws-1", APPS__CHAT__CLASS="presence_app:Present")
    room = "both:room"
    async with running.user(1) as ada, running.user(2) as ben:
        with _slow_presence(nodes[0], room) as go:
            await ada.send(type="summon", user=2, room=room)
            await eventually(lambda: nodes[0].channels._entering, what="ben waiting for Redis")
            await ada.send(type="dismiss", user=2, room=room)
            await ben.receive("left", channel=room)
            go.set()
            await eventually(lambda: not nodes[0].channels._entering, what="Redis having answered")

        async def nobody() -> bool:
            await ada.send(type="who", room=room, id="who")
            return bool((await ada.receive("reply", id="who"))["data"] == [])

        await eventually(nobody, what="nobody being present")
        await _post(ada, room, range(1))
        assert not [m for m in await ben.settle() if m["type"] in ("said", "joined")]


@contextlib.contextmanager
def _slow_presence(node: Node, room: str) -> Iterator[asyncio.Event]:
    """Let who enters a channel wait before Redis is told, as if it were slow."""
    presence, go = node.presence, asyncio.Event()
    enter = presence.enter

    async def slow(connection: Any, channel: str) -> None:
        if channel == room:
            await go.wait()
        await enter(connection, channel)

    presence.enter = slow  # type: ignore[method-assign]  # a slow server, at the place where it is felt
    try:
        yield go
    finally:
        go.set()
        presence.enter = enter  # type: ignore[method-assign]  # back to normal


async def _post(page: Page, room: str, numbers: range) -> None:
    for number in numbers:
        await page.send(type="post", room=room, n=number, id=f"post {number}")
        await page.receive("reply", id=f"post {number}")


def _said(page: Page) -> list[int]:
    return [message["n"] for message in page.messages if message["type"] == "said"]


async def test_a_cancellation_of_a_hooks_own_is_answered_and_the_next_message_handled(
    cluster: Cluster, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await cluster.node()
    app = nodes[0].apps["chat"]
    handle = app.handle_message

    async def cancelled(client: Client, type_: str, data: dict[str, Any]) -> Any:
        if type_ != "cancelled":
            return await handle(client, type_, data)
        task = asyncio.create_task(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(task.cancel)
        return await task

    monkeypatch.setattr(app, "handle_message", cancelled)
    async with running.user(7) as page:
        await page.send(type="cancelled", id=1)
        await page.send(type="echo", value="after", id=2)
        assert (await page.receive("error", id=1))["code"] == "internal"
        assert (await page.receive("reply", id=2))["data"] == "after"
    await eventually(lambda: not app.clients, what="the client being gone from the app")


async def test_a_handler_that_swallows_its_end_can_be_ended_again(
    cluster: Cluster, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await cluster.node("ws-1", APPS__CHAT__HANDLER_TIMEOUT="0.2")
    app = nodes[0].apps["chat"]
    handle = app.handle_message

    async def stubborn(client: Client, type_: str, data: dict[str, Any]) -> Any:
        if type_ != "stubborn":
            return await handle(client, type_, data)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "went on"

    monkeypatch.setattr(app, "handle_message", stubborn)
    async with running.user(7) as page:
        await page.send(type="stubborn", id=1)
        await page.send(type="slow", id=2)
        await page.send(type="echo", id=3)
        await page.receive("reply", id=1)
        await page.receive("error", id=2)
        await page.receive("reply", id=3)


async def test_a_client_that_joined_in_login_leaves_nothing_behind_when_the_login_fails(
    cluster: Cluster, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await cluster.node()
    node = nodes[0]
    app = node.apps["chat"]
    login = app.login

    async def joining(client: Client, message: dict[str, Any]) -> None:
        await login(client, message)
        await client.join("open:lobby")
        raise ZeroDivisionError

    monkeypatch.setattr(app, "login", joining)
    async with running.page() as page:
        await page.send(type="login", app="chat", data=sign_init_data(TOKEN, user={"id": 5, "first_name": "Eve"}))
        assert await page.closed() == 1011
    await eventually(lambda: not node.connections and not app.clients, what="the client being gone")
    assert len(node.hub) == 0


async def test_a_half_closed_client_does_not_end_the_watch_over_the_others(cluster: Cluster, nodes: list[Node]) -> None:
    running = await cluster.node("ws-1", WS__PING_INTERVAL="0.5", WS__PING_TIMEOUT="30", WS__LOGIN_TIMEOUT="3")
    async with running.user(1) as ada:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", running.process.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=1)
        await _log_in_raw(writer, 9)
        node = nodes[0]
        key = node.keys(node.apps["chat"]).user(9)
        await eventually(lambda: node.hub.size(key), what="the raw login")
        connection: Any = node.hub.members(key)[0]

        async def stuck() -> bool:
            await ada.send(type="whisper", to=9, text="x" * 60_000)
            return connection.transport.get_write_buffer_size() > 60_000

        await eventually(stuck, what="bytes that wait for a client that does not read")
        raw.shutdown(socket.SHUT_WR)
        await eventually(lambda: connection.stage is Stage.CLOSED, what="the end of the stream being noticed")
        async with running.page() as silent:
            assert await silent.closed() == 4001
        writer.transport.abort()
        await reader.read(0)


async def _log_in_raw(writer: asyncio.StreamWriter, user: int) -> None:
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    data = sign_init_data(TOKEN, user={"id": user, "first_name": "Raw"})
    login = json.dumps({"type": "login", "app": "chat", "data": data}).encode()
    writer.write(Frame(Opcode.TEXT, login).serialize(mask=True))
    await writer.drain()


async def test_foreign_origins_do_not_make_room_for_an_address(cluster: Cluster, nodes: list[Node]) -> None:
    running = await cluster.node(
        "ws-1", WS__MAX_CONNECTIONS_PER_ADDRESS="1", WS__ALLOWED_ORIGINS='["https://app.example"]'
    )
    async with running.user(1):
        await _refused(running, "https://evil.example", 4504)
        await eventually(lambda: len(nodes[0].connections) == 1, what="the foreign page being gone")
        await _refused(running, "https://app.example", 4004)


async def _refused(running: RunningNode, origin: str, code: int) -> None:
    async with connect(running.url, origin=origin) as raw:  # type: ignore[arg-type]  # a NewType of str
        await raw.wait_closed()
        assert raw.close_code == code


async def test_nothing_is_left_of_clients_that_came_and_went(cluster: Cluster, nodes: list[Node]) -> None:
    running = await cluster.node()
    node = nodes[0]
    app = node.apps["chat"]

    async def cycle(number: int) -> None:
        async with running.page() as page:
            await page.login(100 + number % 7, channels={f"open:{number}": {}, f"kept:{number % 5}": {"offset": 1}})
            await page.send(type="join", room=f"open:also-{number % 3}", id=1)
            await page.receive("reply", id=1)
            if number % 2:
                page.socket.transport.abort()

    for start in range(0, 200, 20):
        await asyncio.gather(*(cycle(number) for number in range(start, start + 20)))
    await eventually(lambda: not node.connections and not node.busy, what="everybody being gone")
    node.channels.subscriptions.expire(node.now() + 60)
    await eventually(lambda: not node.channels.recovery._followed, what="channels being forgotten")
    everyone = node.keys(app).everyone()
    subscriptions = node.channels.subscriptions
    assert len(node.hub) == 0
    assert set(subscriptions._holds) == set(subscriptions._heard) == {everyone}
    assert not subscriptions._lingering
    assert not app.clients
    assert not node.channels._entering
    assert len(node.admission) == 0
    assert not node._unwritten
    assert sum(len(slot) for slot in node._wheel._slots.values()) == 0
    await eventually(lambda: len(node._tasks) == 1, what="only the tick being left")
