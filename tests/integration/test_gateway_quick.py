"""Webhook requests byte by byte: what the short way takes, what it leaves to aiohttp, and that nobody sees a seam."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import heads, quick
from gateway.quick import LARGEST_WAITING
from gateway_support import Gateway, running, settings_of
from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker

SECRET = "X-Telegram-Bot-Api-Secret-Token"
LANES = 16


@pytest.fixture
async def gateway(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(settings_of(tmp_path, valkey.url, prefix)) as started:
        yield started


def request(gateway: Gateway, number: int, *more: str, secret: str = "", body: bytes | None = None) -> bytes:
    """Make a whole request; what is in `more` stands between the other header lines."""
    app = gateway.settings.apps["counter"]
    content = body or json.dumps({"update_id": number, "message": {"chat": {"id": number}, "text": "x"}}).encode()
    lines = [f"POST /webhook/{app.webhook_path()} HTTP/1.1", "Host: x"]
    lines += [*more, f"{SECRET}: {secret or app.effective_webhook_secret()}", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


async def say(gateway: Gateway, *pieces: bytes, answers: int) -> list[int]:
    """Send pieces over one connection, and return the status of so many answers, or fewer where it was closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # a chance to arrive by itself
        async with asyncio.timeout(180):
            return [status for _ in range(answers) if (status := await _status(reader))]
    finally:
        writer.close()


async def _status(reader: asyncio.StreamReader) -> int:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    except asyncio.IncompleteReadError:
        return 0
    length = next((int(line.partition(":")[2]) for line in head if line.startswith("content-length:")), 0)
    await reader.readexactly(length)
    return int(head[0].split()[1])


async def stored(broker: Broker) -> list[int]:
    keys = broker.keys.app("counter")
    lanes = [await broker.client.xrange(keys.updates(lane)) for lane in range(LANES)]
    return sorted(int(fields[b"id"]) for lane in lanes for _, fields in lane)


async def test_requests_on_one_connection_are_answered_in_order(gateway: Gateway, broker: Broker) -> None:
    many = b"".join(request(gateway, number) for number in range(1, 41))
    assert await say(gateway, many, answers=40) == [200] * 40
    assert await stored(broker) == list(range(1, 41))


async def test_a_request_may_come_in_any_pieces(gateway: Gateway, broker: Broker) -> None:
    whole = request(gateway, 1)
    cuts = range(1, len(whole), 7)
    answers = [await say(gateway, request(gateway, cut)[:cut], request(gateway, cut)[cut:], answers=1) for cut in cuts]
    assert answers == [[200]] * len(cuts)
    assert await stored(broker) == list(cuts)


async def test_what_follows_a_refusal_is_still_heard(gateway: Gateway, broker: Broker) -> None:
    wrong = request(gateway, 2, secret="wrong")
    page = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    pieces = [request(gateway, 1), wrong, page, request(gateway, 3)]
    assert await say(gateway, b"".join(pieces), answers=4) == [200, 401, 200, 200]
    assert await stored(broker) == [1, 3]


async def test_much_at_once_waits_its_turn(gateway: Gateway, broker: Broker) -> None:
    text = "x" * 20_000
    bodies = [json.dumps({"update_id": at, "message": {"chat": {"id": 1}, "text": text}}).encode() for at in range(20)]
    many = b"".join(request(gateway, at, body=body) for at, body in enumerate(bodies))
    assert len(many) > 4 * LARGEST_WAITING
    assert await say(gateway, many, answers=20) == [200] * 20
    assert await stored(broker) == list(range(20))


@pytest.mark.parametrize(
    "line",
    [
        "Transfer-Encoding: chunked",
        "Content-Length: 1",
        "X: a\nTransfer-Encoding: chunked",
        "X: a\rY: b",
        "X : a",
        "\tX: a",
        "X: a\0b",
        f"{SECRET}: another",
    ],
)
async def test_what_two_readers_could_read_differently_is_refused(gateway: Gateway, broker: Broker, line: str) -> None:
    (status,) = await say(gateway, request(gateway, 1, line), answers=1) or [400]
    assert status in (400, 401)
    assert await stored(broker) == []


@pytest.mark.parametrize("line", ["Expect: 100-continue", "Connection: close", "connection: Keep-Alive", "X-é: a"])
async def test_what_is_unusual_is_answered_all_the_same(gateway: Gateway, broker: Broker, line: str) -> None:
    answers = await say(gateway, request(gateway, 1, line), answers=2 if line.startswith("Expect") else 1)
    assert answers[-1] in ((400,) if "é" in line else (200,))
    assert await stored(broker) == ([] if "é" in line else [1])


async def dribbled(gateway: Gateway, head: bytes) -> bytes:
    """Send a head byte by byte, and on with one that never ends, and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    answer = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(60):
            for at in range(1_000_000):
                writer.write(head[at : at + 1] or b"x")
                await asyncio.wait((answer,), timeout=0.01)
                if answer.done():
                    return answer.result()
        raise AssertionError("unreachable")
    finally:
        answer.cancel()
        writer.close()


async def test_a_head_that_dribbles_ends_with_408(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert heads.HEAD_SECONDS <= 10
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(quick, "PATIENCE_SECONDS", 0.1)
    whole = request(gateway, 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(whole[:-1])  # its head is there, so its body has the time that bodies have
    path = gateway.settings.apps["counter"].webhook_path()
    for head in (b"GET /healthz HTTP/1.1\r\nX: ", f"POST /webhook/{path} HTTP/1.1\r\nX: ".encode(), b"POST /webhook/"):
        answer = await dribbled(gateway, head)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert answer.endswith(b'{"error":"The request took too long."}\n')
    writer.write(whole[-1:])
    assert await _status(reader) == 200
    writer.close()
    _, metrics, _ = await gateway.get("/metrics")
    assert b'mini_apps_gateway_requests_total{route="unreadable",status="408"} 3.0' in metrics
