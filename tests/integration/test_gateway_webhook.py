"""Telegram's updates by webhook: what is taken, what is refused and how, and what Redis then holds."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY

from gateway import webhook
from gateway_support import SETTINGS, Gateway, running, settings_of
from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.updates import LANE_BOUND, lane_of
from support import eventually

SECRET = "X-Telegram-Bot-Api-Secret-Token"
LANES = 16


@pytest.fixture
async def gateway(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(settings_of(tmp_path, valkey.url, prefix, max_update_bytes=2000)) as started:
        yield started


def update(number: int, chat: int = 7, text: str = "/start") -> dict[str, Any]:
    return {"update_id": number, "message": {"message_id": 1, "date": 0, "chat": {"id": chat}, "text": text}}


async def post(
    gateway: Gateway, body: Any, *, secret: str | bytes | None = "right", path: str | None = None
) -> tuple[int, dict[str, str]]:
    app = gateway.settings.apps["counter"]
    headers: dict[str, Any] = {}
    if secret is not None:
        headers[SECRET] = app.effective_webhook_secret() if secret == "right" else secret
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{gateway.url}/webhook/{path or app.webhook_path()}"
    async with gateway.session.post(url, data=data, headers=headers) as answer:
        await answer.read()
        return answer.status, dict(answer.headers)


async def stored(broker: Broker) -> list[dict[bytes, bytes]]:
    keys = broker.keys.app("counter")
    lanes = [await broker.client.xrange(keys.updates(lane)) for lane in range(LANES)]
    return [fields for lane in lanes for _, fields in lane]


def counted(verdict: str) -> float:
    labels = {"app": "counter", "verdict": verdict}
    return REGISTRY.get_sample_value("mini_apps_gateway_updates_total", labels) or 0.0


async def test_an_update_is_stored_before_the_answer_and_once(gateway: Gateway, broker: Broker) -> None:
    taken, again = counted("taken"), counted("duplicate")
    raw = b'{"update_id": 10,  "message": {"chat": {"id": 7}, "text": "\\/start"}}'
    assert (await post(gateway, raw))[0] == 200
    (entry,) = await stored(broker)
    assert entry[b"update"] == raw
    assert (entry[b"id"], entry[b"via"]) == (b"10", b"webhook")
    assert (await post(gateway, raw))[0] == 200
    assert len(await stored(broker)) == 1
    assert (counted("taken") - taken, counted("duplicate") - again) == (1, 1)


async def test_many_at_once_are_each_stored_once(gateway: Gateway, broker: Broker) -> None:
    posts = [post(gateway, update(number, chat=number)) for number in range(100, 150) for _ in range(2)]
    assert {status for status, _ in await asyncio.gather(*posts)} == {200}
    assert sorted(int(entry[b"id"]) for entry in await stored(broker)) == list(range(100, 150))


@pytest.mark.parametrize("secret", [None, "", "wrong", "42:sandbox-counter"])
async def test_a_wrong_secret(gateway: Gateway, broker: Broker, secret: str | None) -> None:
    before = counted("wrong secret")
    assert (await post(gateway, update(1), secret=secret))[0] == 401
    assert await stored(broker) == []
    assert counted("wrong secret") == before + 1


async def test_a_secret_that_is_not_ascii(gateway: Gateway, broker: Broker) -> None:
    """aiohttp's own client refuses to send such a header, so it goes over a bare socket."""
    path = gateway.settings.apps["counter"].webhook_path()
    for secret in (b"\xc3\xa4", b"\xff\xfe"):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        head = f"POST /webhook/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{SECRET}: ".encode()
        writer.write(head + secret + b"\r\n\r\n{}")
        assert (await reader.readline()).split()[1] == b"401"
        writer.close()
        await writer.wait_closed()
    assert await stored(broker) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"{}",
        b'{"update_id": "7"}',
        b'{"update_id": true}',
        b'{"update_id": 1.5}',
        b'{"update_id": -1}',
        b"[" * 1500,
    ],
)
async def test_what_is_no_update(gateway: Gateway, broker: Broker, body: bytes) -> None:
    assert (await post(gateway, body))[0] == 400
    assert await stored(broker) == []


async def test_too_large_with_and_without_a_length(gateway: Gateway, broker: Broker) -> None:
    app = gateway.settings.apps["counter"]
    headers = {SECRET: app.effective_webhook_secret() or ""}
    url = f"{gateway.url}/webhook/{app.webhook_path()}"
    assert (await post(gateway, update(1, text="x" * 3000)))[0] == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    async with gateway.session.post(url, data=pieces(), headers=headers) as answer:
        assert answer.status == 413
    bomb = aiohttp.BytesPayload(json.dumps(update(1, text="x" * 50_000)).encode())
    async with gateway.session.post(url, data=bomb, headers=headers, compress="gzip") as answer:
        assert answer.status == 413
    broken = {**headers, "Content-Encoding": "gzip"}
    async with gateway.session.post(url, data=b"no gzip at all", headers=broken) as answer:
        assert answer.status == 400
    assert await stored(broker) == []
    assert (await post(gateway, update(2)))[0] == 200


async def test_no_hook_here(gateway: Gateway) -> None:
    path = gateway.settings.apps["counter"].webhook_path()
    for other in ("x", path[:-1], path.upper(), path + "/"):
        assert (await post(gateway, update(1), path=other))[0] == 404
    assert await gateway.status(f"/webhook/{path}") == 405


async def test_a_full_lane_is_refused_until_it_is_worked_off(gateway: Gateway, broker: Broker) -> None:
    key = broker.keys.app("counter").updates(lane_of(update(1), LANES))
    async with broker.client.pipeline(transaction=False) as pipe:
        for _ in range(LANE_BOUND):
            pipe.xadd(key, {"id": 0})
        await pipe.execute()
    status, headers = await post(gateway, update(1))
    assert (status, headers["Retry-After"]) == (503, "10")
    await broker.client.xtrim(key, maxlen=10)
    assert (await post(gateway, update(1)))[0] == 200


async def test_a_disabled_app_takes_nothing(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    text = SETTINGS.replace("[apps.bare]", "enabled = false\n[apps.bare]")
    async with running(settings_of(tmp_path, valkey.url, prefix, text=text)) as gateway:
        assert (await post(gateway, update(1)))[0] == 404


async def test_an_own_secret_is_enough(valkey: EmbeddedValkey, prefix: str, tmp_path: Path, broker: Broker) -> None:
    text = '[apps.counter]\nwebhook-secret = "only-the-secret"\n'
    async with running(settings_of(tmp_path, valkey.url, prefix, text=text)) as gateway:
        assert (await post(gateway, update(1), secret="only-the-secret"))[0] == 200
    assert len(await stored(broker)) == 1


async def test_a_stopped_body_ends_alone(gateway: Gateway) -> None:
    """A caller that goes away in the middle of its body leaves the others alone, and no request behind."""
    path = gateway.settings.apps["counter"].webhook_path()
    secret = gateway.settings.apps["counter"].effective_webhook_secret()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST /webhook/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n{SECRET}: {secret}\r\n\r\n"
    writer.write(head.encode() + b'{"update_id":')
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    async def noted() -> bool:
        return (await post(gateway, update(5)))[0] == 200

    await eventually(noted)


async def test_a_body_that_does_not_come_is_not_waited_for_forever(
    gateway: Gateway, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "BODY_SECONDS", 0.1)
    app = gateway.settings.apps["counter"]
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST /webhook/{app.webhook_path()} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    writer.write(f"{head}{SECRET}: {app.effective_webhook_secret()}\r\n\r\n{{".encode())
    assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == b"408"
    writer.close()
    await writer.wait_closed()
    assert await stored(broker) == []


@pytest.mark.parametrize(
    ("proxies", "forwarded", "status"),
    [
        ("[]", [], 403),
        ("[]", ["149.154.167.220"], 403),  # the header of somebody who is no proxy of ours
        ('["127.0.0.0/8"]', ["149.154.167.220"], 200),
        ('["127.0.0.0/8"]', ["91.108.7.255"], 200),
        ('["127.0.0.0/8"]', ["91.108.8.0"], 403),
        ('["127.0.0.0/8"]', ["149.154.167.220, 203.0.113.9"], 403),  # the left end is whatever the caller wrote
        ('["127.0.0.0/8"]', ["149.154.167.220", "203.0.113.9"], 403),
        ('["127.0.0.0/8"]', ["203.0.113.9, 149.154.167.220"], 200),
        ('["127.0.0.0/8"]', ["nonsense"], 403),
    ],
)
async def test_updates_from_telegram_s_networks_only(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path, proxies: str, forwarded: list[str], status: int
) -> None:
    settings = settings_of(tmp_path, valkey.url, prefix, webhook_from='["Telegram"]', trusted_proxies=proxies)
    async with running(settings) as gateway:
        app = gateway.settings.apps["counter"]
        headers = [(SECRET, app.effective_webhook_secret()), *(("X-Forwarded-For", hop) for hop in forwarded)]
        url = f"{gateway.url}/webhook/{app.webhook_path()}"
        async with gateway.session.post(url, json=update(1), headers=headers) as answer:
            assert answer.status == status
