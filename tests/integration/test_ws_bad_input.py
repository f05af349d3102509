"""What clients send that they should not: each has its answer, and everybody else is served on."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, Page, RunningNode
from support import TOKEN, eventually

ADA = {"id": 1001, "first_name": "Ada"}


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix, APPS__CHAT__BANNED="[666]")
    yield cluster
    await cluster.aclose()


@pytest.fixture
async def node(cluster: Cluster) -> RunningNode:
    return await cluster.node()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", "format"),
        ("[]", "format"),
        ('"text"', "format"),
        ("null", "format"),
        ("{}", "format"),
        ('{"type":5}', "format"),
        ('{"type":""}', "format"),
        ('{"type":"login"}', "app"),
        ('{"type":"login","app":5}', "format"),
        ('{"type":"login","app":"chat","data":{}}', "format"),
        ('{"type":"click"}', "login"),
        ('{"type":"click","app":"chat"}', "login"),
        ('{"type":"subscribe","channel":"x"}', "login"),
        ('{"type":"subscribe"}', "format"),
        ('{"type":"click","id":[1]}', "format"),
        ("[" * 5000 + "]" * 5000, "format"),
        ('{"type":"x","deep":' + "[" * 5000 + "]" * 5000 + "}", "format"),
    ],
)
async def test_a_mistake_is_answered_and_the_connection_lives(node: RunningNode, sent: str, code: str) -> None:
    async with node.page() as page:
        await page.socket.send(sent)
        assert (await page.receive("error"))["code"] == code
        await page.login()


async def test_texts_of_the_original(node: RunningNode) -> None:
    async with node.page() as page:
        await page.send(type="click")
        assert (await page.receive("error"))["msg"] == "You need to login first"
        await page.send(type="login", data="x")
        assert (await page.receive("error"))["msg"] == "Missing App ID"


def _expired() -> str:
    return sign_init_data(TOKEN, user=ADA, auth_date=int(time.time()) - 100_000)


@pytest.mark.parametrize(
    ("login", "code", "reason"),
    [
        ({"app": "nope", "data": ""}, 4500, "app"),
        ({"app": "chat"}, 4500, "format"),
        ({"app": "chat", "data": ""}, 4500, "format"),
        ({"app": "chat", "data": "rubbish"}, 4500, "format"),
        ({"app": "chat", "data": lambda: sign_init_data("43:other", user=ADA)}, 4500, "hash"),
        ({"app": "chat", "data": _expired}, 4500, "expired"),
        ({"app": "chat", "data": lambda: sign_init_data(TOKEN, user={"id": 666, "first_name": "X"})}, 4501, "banned"),
        ({"app": "chat", "session": "rubbish"}, 4500, "session"),
    ],
)
async def test_a_refused_login_says_why_and_ends(
    node: RunningNode, login: dict[str, Any], code: int, reason: str
) -> None:
    filled = {name: value() if callable(value) else value for name, value in login.items()}
    async with node.user(1) as other, node.page() as page:
        await page.send(type="login", **filled)
        assert await page.receive("disconnect") == {"type": "disconnect", "code": code, "reason": reason}
        assert await page.closed() == code
        await other.send(type="echo", value=1, id=1)
        await other.receive("reply", id=1)


async def test_a_message_for_another_app_never_reaches_it(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", APPS__OTHER__CLASS="chat_app:Chat", APPS__OTHER__BOT_TOKEN="44:other")
    async with node.user(1) as page:
        await page.send(type="click", app="other", id=1)
        assert (await page.receive("error", id=1))["code"] == "app"
        await page.send(type="click", app="chat", id=2)
        assert (await page.receive("clicks"))["clicks"] == 1


async def test_frames_that_break_the_protocol_end_with_4503(node: RunningNode) -> None:
    async def broken(send: Any) -> int:
        async with node.page() as page:
            await page.login()
            await send(page)
            assert (await page.receive("disconnect"))["code"] == 4503
            return await page.closed()

    async def oversized(page: Page) -> None:
        await page.send(type="echo", value="x" * 70_000)

    async def binary(page: Page) -> None:
        await page.socket.send(b"\x00\xff garbage")

    async def not_utf8(page: Page) -> None:
        page.socket.transport.write(Frame(Opcode.TEXT, b'{"type":"\xff"}').serialize(mask=True))

    async def unmasked(page: Page) -> None:
        page.socket.transport.write(Frame(Opcode.TEXT, b"{}").serialize(mask=False))

    async def huge_ping(page: Page) -> None:
        page.socket.transport.write(b"\x89\xfe\x01\x00" + b"\x00" * 4 + b"x" * 256)

    async def fragments(page: Page) -> None:
        out = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
        out += Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 1100
        page.socket.transport.write(out)

    async with node.user(2) as other:
        for send in (oversized, binary, not_utf8, unmasked, huge_ping, fragments):
            assert await broken(send) == 4503, send.__name__
        await other.send(type="echo", value=1, id=1)
        await other.receive("reply", id=1)


async def test_fragmented_messages_are_put_together(node: RunningNode) -> None:
    async with node.user() as page:
        await page.socket.send(['{"type":"echo",', '"id":1,', '"value":"ü"}'])
        assert (await page.receive("reply", id=1))["data"] == "ü"


async def test_talking_too_fast_ends_with_4003(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__MESSAGES_PER_SECOND="5")
    async with node.user() as page:
        for number in range(50):
            await page.send(type="echo", value=number)
        assert (await page.receive("reconnect"))["code"] == 4003
        assert await page.closed() == 4003


async def test_no_login_in_time_ends_with_4001(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__LOGIN_TIMEOUT="0.3")
    async with node.page() as page:
        assert (await page.receive("reconnect"))["code"] == 4001
        assert await page.closed() == 4001


async def test_a_slow_handshake_is_dropped(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__LOGIN_TIMEOUT="0.3")
    reader, writer = await asyncio.open_connection("127.0.0.1", node.process.port)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
    async with asyncio.timeout(180):
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_client_that_does_not_answer_pings_is_closed(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__PING_INTERVAL="0.5", WS__PING_TIMEOUT="0.5")
    async with node.user(1) as alive:
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        reader, writer = await asyncio.open_connection("127.0.0.1", node.process.port)
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        login = {"type": "login", "app": "chat", "data": sign_init_data(TOKEN, user=ADA)}
        writer.write(Frame(Opcode.TEXT, json.dumps(login).encode()).serialize(mask=True))
        async with asyncio.timeout(180):
            everything = await reader.readuntil((1011).to_bytes(2, "big") + b"keepalive ping timeout")
        assert b'"welcome"' in everything
        writer.close()
        await alive.send(type="echo", value=1, id=1)
        await alive.receive("reply", id=1)


async def test_a_client_that_does_not_read_is_cut_off_and_others_are_served(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__SEND_BUFFER_BYTES="65536", WS__MESSAGES_PER_SECOND="0")
    async with node.user(1) as reading:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", node.process.port))
        async with connect(node.url, sock=raw, max_queue=1) as deaf:
            await deaf.send(json.dumps({"type": "login", "app": "chat", "data": sign_init_data(TOKEN, user=ADA)}))
            deaf.transport.pause_reading()

            async def cut() -> bool:
                await reading.send(type="whisper", to=1001, text="x" * 50_000, id=1)
                await reading.receive("reply", id=1)
                metrics = await asyncio.to_thread(_metrics, node)
                return 'mini_apps_ws_closes_total{code="4002"} 1.0' in metrics

            await eventually(cut, what="the slow client being cut off")
            await reading.send(type="echo", value=1, id=2)
            await reading.receive("reply", id=2)
            deaf.transport.abort()


def _metrics(node: RunningNode) -> str:
    with socket.create_connection(("127.0.0.1", node.process.port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


async def test_a_foreign_origin_is_told_not_to_come_back(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__ALLOWED_ORIGINS='["https://app.example"]')
    async with node.user(origin="https://app.example"):
        pass
    async with connect(node.url, origin="https://evil.example") as raw:
        assert json.loads(await raw.recv())["code"] == 4504
        await raw.wait_closed()
        assert raw.close_code == 4504


async def test_a_full_node_sends_clients_elsewhere(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__MAX_CONNECTIONS="1")
    async with node.user(1), connect(node.url) as raw:
        assert json.loads(await raw.recv())["code"] == 4004
        await raw.wait_closed()
        assert raw.close_code == 4004


async def test_clients_stay_while_redis_is_away_and_logins_are_told_to_wait(
    own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, own_valkey.url, prefix)
    try:
        node = await cluster.node()
        async with node.user(1001) as ada:
            own_valkey.kill()
            await eventually(node.process.troubles, what="readiness telling of the outage")
            await ada.send(type="echo", value="alone", id=1)
            assert (await ada.receive("reply", id=1))["data"] == "alone"
            await ada.send(type="click", id=2)
            await ada.receive("error", id=2)
            async with node.page() as late:
                await late.send(type="login", app="chat", data=sign_init_data(TOKEN, user={"id": 2, "first_name": "B"}))
                assert (await late.receive("reconnect"))["code"] == 4007
            own_valkey.start()
            await eventually(lambda: not node.process.troubles(), what="readiness")
            assert (await ada.receive("resync"))["reason"] == "broker"
            await ada.send(type="click", id=3)
            await ada.receive("clicks")
    finally:
        await cluster.aclose()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST /ws HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"\x16\x03\x01 a TLS hello\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /ws HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n", 431),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
async def test_what_is_no_handshake_gets_a_status(node: RunningNode, request_: bytes, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.process.port)
    writer.write(request_)
    async with asyncio.timeout(180):
        answer = await reader.readline()
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    writer.close()


async def test_what_comes_with_the_handshake_is_answered_after_it(node: RunningNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.process.port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        + Frame(Opcode.PING, b"early").serialize(mask=True)
    )
    async with asyncio.timeout(180):
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        assert b"early" in await reader.readuntil(b"early")
    writer.close()


async def test_hundreds_of_sockets_that_never_log_in_leave_nothing(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__LOGIN_TIMEOUT="1")
    async with node.user(1) as other:
        idle = [await asyncio.open_connection("127.0.0.1", node.process.port) for _ in range(300)]
        await other.send(type="echo", value=1, id=1)
        await other.receive("reply", id=1)
        async with asyncio.timeout(180):
            assert all([(await reader.read()).startswith(b"HTTP/1.1 408 ") for reader, _ in idle])
        for _, writer in idle:
            writer.close()

        async def alone() -> bool:
            return "mini_apps_ws_connections 2.0" in await asyncio.to_thread(_metrics, node)  # and the one that asks

        await eventually(alone, what="the idle sockets being gone")
