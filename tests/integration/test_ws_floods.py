"""Clients that send too much, too slowly or too oddly: a documented end, a bound, and others are served on."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from websockets.frames import Frame, Opcode

from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, Page, RunningNode, metric
from support import TOKEN, eventually
from ws_server.node import Node

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
HANDSHAKE = UPGRADE + KEY + VERSION + b"\r\n"
MANY = 300


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    yield cluster
    await cluster.aclose()


@pytest.fixture
async def node(cluster: Cluster) -> RunningNode:
    return await cluster.node()


@contextlib.asynccontextmanager
async def _served(node: RunningNode) -> AsyncIterator[Page]:
    """Have somebody logged in who must be served before and after."""
    async with node.user(1) as other:
        await _echo(other)
        yield other
        await _echo(other)


async def _echo(page: Page) -> None:
    await page.send(type="echo", value="served", id="served")
    assert (await page.receive("reply", id="served"))["data"] == "served"


async def _open(node: RunningNode) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", node.process.port)


def _login(user: int) -> bytes:
    login = {"type": "login", "app": "chat", "data": sign_init_data(TOKEN, user={"id": user, "first_name": "Raw"})}
    return Frame(Opcode.TEXT, json.dumps(login).encode()).serialize(mask=True)


async def test_hundreds_of_handshakes_that_dribble_end_with_408(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__LOGIN_TIMEOUT="2")
    async with _served(node) as other:
        sockets = [await _open(node) for _ in range(MANY)]
        dribble = UPGRADE + b"X-Slow: " + b"x" * 1_000
        answers = [asyncio.create_task(reader.read()) for reader, _ in sockets]
        for place in range(len(dribble)):  # a byte at a time, until the node has had enough of all of them
            for _, writer in sockets[1:] if place else sockets:  # the first stops after its first byte
                if not writer.is_closing():
                    writer.write(dribble[place : place + 1])
            if place % 50 == 0:
                await _echo(other)
            done, _ = await asyncio.wait(answers, timeout=0.02)
            if len(done) == MANY:
                break
        async with asyncio.timeout(180):
            ends = await asyncio.gather(*answers, return_exceptions=True)
        # Who writes on after the end may lose the answer to a reset; nobody is left, and nobody gets another one.
        told = [end for end in ends if isinstance(end, bytes) and end]
        assert ends[0] in told
        assert all(end.startswith(b"HTTP/1.1 408 ") for end in told)
        assert all(isinstance(end, bytes | ConnectionError) for end in ends)
        for _, writer in sockets:
            writer.close()


async def test_a_request_that_grows_without_end_is_refused(node: RunningNode) -> None:
    async with _served(node):
        reader, writer = await _open(node)
        with contextlib.suppress(ConnectionError):
            for number in range(100):
                writer.write(b"GET /ws HTTP/1.1\r\n" if not number else b"X-%d: %b\r\n" % (number, b"x" * 1_000))
                await writer.drain()
        async with asyncio.timeout(180):
            assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
        writer.close()


async def test_sockets_that_never_log_in_are_closed_with_4001(cluster: Cluster, nodes: list[Node]) -> None:
    node = await cluster.node("ws-9", WS__LOGIN_TIMEOUT="2")

    async def idle() -> bytes:
        reader, writer = await _open(node)
        writer.write(HANDSHAKE)
        try:
            return await reader.readuntil(b"\x88\x0f" + (4001).to_bytes(2, "big"))
        finally:
            writer.transport.abort()

    async with _served(node):
        async with asyncio.timeout(180):
            answers = await asyncio.gather(*(idle() for _ in range(MANY)))
        assert all(b'"retry_after":' in answer for answer in answers)
        assert await metric(node, "mini_apps_ws_closes_total", 'code="4001"') == MANY
        await eventually(lambda: len(nodes[0].connections) == 1, what="the idle ones being gone")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (UPGRADE + VERSION + b"\r\n", 400),
        (UPGRADE + b"Sec-WebSocket-Key: short\r\n" + VERSION + b"\r\n", 400),
        (UPGRADE + KEY + b"Sec-WebSocket-Version: 7\r\n\r\n", 400),
        (UPGRADE + KEY + VERSION + b"Sec-WebSocket-Protocol: chat\r\n\r\n", 400),
        (b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n" + KEY + VERSION + b"\r\n", 426),
        (b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 426),
    ],
    ids=["no-key", "short-key", "version", "subprotocol", "no-upgrade", "other-upgrade"],
)
async def test_half_a_handshake_gets_a_status(node: RunningNode, request_: bytes, status: int) -> None:
    async with _served(node):
        reader, writer = await _open(node)
        writer.write(request_)
        async with asyncio.timeout(180):
            assert (await reader.readline()).startswith(b"HTTP/1.1 %d " % status)
            await reader.read()
        writer.close()


async def test_a_flood_of_pings_that_are_never_read_is_cut_off(cluster: Cluster, nodes: list[Node]) -> None:
    node = await cluster.node("ws-9", WS__SEND_BUFFER_BYTES="65536", WS__MESSAGES_PER_SECOND="0")
    async with _served(node):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", node.process.port))
        _, writer = await asyncio.open_connection(sock=raw, limit=1)
        writer.write(HANDSHAKE + _login(2))
        ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)
        most = 0

        async def cut() -> bool:
            nonlocal most
            if not writer.is_closing():
                writer.write(ping)
                writer.write(ping[:5])  # in pieces, which the library reads, so that each gets its pong
                await asyncio.sleep(0)
                writer.write(ping[5:] + ping * 2_000)
            most = max(most, int(nodes[0].queue_bytes()))
            return await metric(node, "mini_apps_ws_closes_total", 'code="4002"') == 1

        await eventually(cut, what="the end of the flood")
        assert most < 4 * 65_536
        writer.transport.abort()


async def test_pings_count_like_messages(node: RunningNode) -> None:
    async with _served(node):
        reader, writer = await _open(node)
        writer.write(HANDSHAKE + _login(2) + Frame(Opcode.PING, b"").serialize(mask=True) * 20_000)
        async with asyncio.timeout(180):
            assert b'"code":4003' in await reader.readuntil(b"too many messages")
        writer.close()


@pytest.mark.parametrize("piece", [0, 1, 60])
async def test_a_flood_of_fragments_ends_with_4503(node: RunningNode, piece: int) -> None:
    async with _served(node):
        reader, writer = await _open(node)
        first = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
        more = Frame(Opcode.CONT, b"x" * piece, fin=False).serialize(mask=True)
        with contextlib.suppress(ConnectionError):
            writer.write(HANDSHAKE + first + more * 3_000)
            await writer.drain()
        async with asyncio.timeout(180):
            assert b'"code":4503' in await reader.readuntil(b"fragments")
        writer.transport.abort()


async def test_fragments_that_add_up_to_too_much_end_with_4503(node: RunningNode) -> None:
    async with _served(node), node.page() as page:
        first = Frame(Opcode.TEXT, b"x" * 40_000, fin=False).serialize(mask=True)
        page.socket.transport.write(first + Frame(Opcode.CONT, b"x" * 40_000).serialize(mask=True))
        assert (await page.receive("disconnect"))["code"] == 4503
        assert await page.closed() == 4503


@pytest.mark.parametrize(
    "frames",
    [
        Frame(Opcode.TEXT, b'{"type":"\xc3', fin=False).serialize(mask=True)
        + Frame(Opcode.CONT, b'\x28"}').serialize(mask=True),
        Frame(Opcode.TEXT, b"\xed\xa0\x80").serialize(mask=True),  # half of a surrogate pair
        Frame(Opcode.TEXT, b"\xf8\x88\x80\x80\x80").serialize(mask=True),
        Frame(Opcode.CLOSE, b"\x03\xe8\xff").serialize(mask=True),
        b"\x83\x80\x00\x00\x00\x00",  # an opcode that means nothing
        b"\xc1\x80\x00\x00\x00\x00",  # a bit of an extension nobody agreed on
        b"\x80\x80\x00\x00\x00\x00",  # goes on with what never began
        b"\x81\xff" + b"\xff" * 8 + b"\x00" * 4,  # 2 ** 64 - 1 bytes
        b"\x89\xff" + b"\x00" * 4 + b"\x00\x10\x00\x00" + b"\x00" * 4,  # a ping of a megabyte
        b"\x09\x80\x00\x00\x00\x00",  # a ping in pieces
    ],
    ids=["split", "surrogate", "five", "reason", "opcode", "reserved", "continued", "huge", "ping", "ping-pieces"],
)
async def test_broken_frames_end_with_4503(node: RunningNode, frames: bytes) -> None:
    async with _served(node), node.page() as page:
        page.socket.transport.write(frames)
        assert (await page.receive("disconnect"))["code"] == 4503
        assert await page.closed() == 4503


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * 5_000 + b"\xc0",
        b"\x81\xa1a" * 5_000 + b"\xc0",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x82\xa4type\xa1x\xc4\x01a\xc0",
        b"\x81\xa4type\xd4\x01\x00",
        b"\x81\xa4type\xa1\xff",
        b"\xc1",
        b"",
    ],
    ids=["arrays", "maps", "large-map", "large-bytes", "bytes-key", "extension", "not-utf8", "unused", "empty"],
)
async def test_odd_msgpack_is_answered_and_the_connection_lives(node: RunningNode, body: bytes) -> None:
    async with _served(node):
        reader, writer = await _open(node)
        writer.write(UPGRADE + KEY + VERSION + b"Sec-WebSocket-Protocol: mini-apps.msgpack\r\n\r\n")
        writer.write(Frame(Opcode.BINARY, body).serialize(mask=True))
        ping = msgpack.packb({"type": "ping"})
        writer.write(Frame(Opcode.BINARY, ping).serialize(mask=True))
        async with asyncio.timeout(180):
            everything = await reader.readuntil(b"pong")
        assert b"format" in everything
        writer.close()


GOOD = ["x", "*", "kept:*", "open:{a}", "open:../..", "open: ü", "open:\U0001f600", "x" * 256]
BAD = ["", "x" * 257, "x" * 10_000, "ü" * 129, "a\nb", "a\x00b", "a\x7f", "a\u202eb", "a\u2028b", "\ufeff"]


@pytest.mark.parametrize("name", GOOD + BAD)
async def test_odd_channel_names_are_taken_or_refused_by_name(node: RunningNode, name: str) -> None:
    async with _served(node), node.user(2) as page:
        await page.send(type="subscribe", channel=name, id=1)
        answer = await _answer(page)
        if name in BAD:
            assert (answer["type"], answer["code"]) == ("error", "limit" if name else "format")
        elif name.startswith(("open:", "kept:")):
            assert (answer["type"], answer["channel"]) == ("joined", name)
        else:
            assert (answer["type"], answer["code"]) == ("error", "refused")


async def test_a_surrogate_in_a_channel_name_is_no_json(node: RunningNode) -> None:
    async with node.user(2) as page:
        await page.socket.send('{"type":"subscribe","channel":"\\ud800","id":1}')
        assert (await page.receive("error"))["code"] == "format"


async def _answer(page: Page) -> dict[str, Any]:
    def answered() -> list[dict[str, Any]]:
        return [message for message in page.messages if message.get("id") == 1]

    answers = await eventually(answered, what="the answer")
    found: dict[str, Any] = answers[0]
    return found
