"""Pictures that pages send to the gateway: who may, what is taken, and what a bad one is told."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import uploads
from gateway_support import Gateway, answers, running, settings_of, started
from mini_apps.embedded import EmbeddedValkey, free_port
from mini_apps.sessions import Sessions
from pictures import ALL, JPEG, PNG, png
from shared.broker import Broker
from shared.settings import Settings
from support import TOKEN, eventually

APPS = f"""
[gateway]
upload-max-bytes = 2000
media-max-bytes = 20000
uploads-per-minute = 0
[ws]
allowed-origins = ["https://pages.example.com"]
[apps.open]
bot-token = "{TOKEN}"
uploads = "everybody"
banned = [66]
[apps.club]
bot-token = "{TOKEN}"
admins = [1]
media-url = "https://cdn.example.com/m/"
[apps.shut]
bot-token = "{TOKEN}"
uploads = "nobody"
[apps.keyless]
"""
EACH = [(suffix, raw) for suffix, raws in ALL.items() for raw in raws]


@pytest.fixture
async def gateway(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(settings_of(tmp_path, valkey.url, prefix, text=APPS)) as gateway:
        yield gateway


def token(settings: Settings, app: str = "open", user: int = 7, issued: float | None = None) -> str:
    """Seal a session as a node does for a user who logs in."""
    someone = SimpleNamespace(telegram_id=user, telegram_data={}, first_login=None)
    return Sessions(app, settings.apps[app]).seal(someone, issued or time.time())[0]


async def upload(
    gateway: Gateway, raw: Any = PNG, *, app: str = "open", bearer: str | None = None, **headers: str
) -> tuple[int, dict[str, Any], Any]:
    """Post a picture; return status, answer and headers."""
    given = token(gateway.settings) if bearer is None else bearer
    every = {"Authorization": f"Bearer {given}", **headers}
    async with gateway.session.post(f"{gateway.url}/apps/{app}/media", data=raw, headers=every) as answer:
        return answer.status, json.loads(await answer.read()), answer.headers


def stored(gateway: Gateway) -> list[Path]:
    folder = gateway.settings.resolve("media")
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("suffix", "raw"), EACH)
async def test_a_picture_is_stored_and_served_for_good(gateway: Gateway, suffix: str, raw: bytes) -> None:
    status, says, headers = await upload(gateway, raw, **{"Content-Type": "text/html"})
    assert status == 201
    assert says["url"].startswith("/media/open/")
    assert says["url"].endswith(f".{suffix}")
    assert (says["width"], says["height"], says["bytes"]) == (3, 2, len(raw))
    assert headers["Location"] == says["url"]
    status, body, headers = await gateway.get(says["url"])
    assert (status, body) == (200, raw)
    assert headers["Content-Type"] == says["type"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"


async def test_the_same_picture_twice_has_two_addresses_and_media_url_is_what_pages_see(gateway: Gateway) -> None:
    one, two = [(await upload(gateway))[1]["url"] for _ in range(2)]
    assert one != two
    club = token(gateway.settings, "club", 1)
    assert (await upload(gateway, app="club", bearer=club))[1]["url"].startswith("https://cdn.example.com/m/club/")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", 415),
        (b"<!doctype html><script>alert(1)</script>", 415),
        (b"--x\r\nContent-Disposition: form-data; name=a; filename=../../a.png\r\n\r\n" + PNG + b"\r\n--x--", 415),
        (PNG[:-1], 422),
        (JPEG[:-2], 422),
        (png(20_000, 20_000), 422),
        (png(3, 2, more=2_000), 413),
    ],
)
async def test_what_is_no_whole_picture_is_refused_and_leaves_nothing(
    gateway: Gateway, raw: bytes, status: int
) -> None:
    found, says, _ = await upload(gateway, raw)
    assert found == status
    assert says["error"]
    assert stored(gateway) == []


async def test_a_picture_without_a_length_is_counted_while_it_comes(gateway: Gateway) -> None:
    async def pieces(count: int) -> AsyncIterator[bytes]:
        for at in range(count):
            yield png(3, 2, more=1_000) if not at else b"-" * 500

    assert (await upload(gateway, pieces(1)))[0] == 201
    assert (await upload(gateway, pieces(4)))[0] == 413
    assert (await upload(gateway, PNG, **{"Content-Encoding": "gzip"}))[0] == 415
    assert len(stored(gateway)) == 1


async def test_who_bears_no_good_token_is_refused(gateway: Gateway) -> None:
    settings = gateway.settings
    good = token(settings)
    old = token(settings, issued=time.time() - settings.ws.session_ttl - 1)
    for bearer in ("", "x", good[:-1], good + "A", old, token(settings, "club"), "é"):
        status, says, headers = await upload(gateway, bearer=bearer)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), says
        assert good[:20] not in says["error"]
    address = f"{gateway.url}/apps/open/media?session={good}&token={good}"
    async with gateway.session.post(address, data=PNG) as answer:
        assert answer.status == 401, "a token in an address is no proof"
    assert stored(gateway) == []


async def test_bans_ended_sessions_and_admins_hold_as_they_stand_now(gateway: Gateway, broker: Broker) -> None:
    settings = gateway.settings
    keys = broker.keys.app("open")
    assert (await upload(gateway, bearer=token(settings, user=66)))[0] == 403
    await broker.client.sadd(keys.banned, 7)
    assert (await upload(gateway))[0] == 403
    await broker.client.srem(keys.banned, 7)
    await broker.client.set(keys.valid_after(7), f"{time.time() + 1:.3f}")
    assert (await upload(gateway))[0] == 401
    await broker.client.delete(keys.valid_after(7))
    assert (await upload(gateway))[0] == 201

    async def to_club(user: int) -> int:
        return (await upload(gateway, app="club", bearer=token(settings, "club", user)))[0]

    assert [await to_club(1), await to_club(2)] == [201, 403]
    await broker.client.sadd(broker.keys.app("club").admins, 2)
    assert await to_club(2) == 201


async def test_what_the_settings_lack_is_named(gateway: Gateway) -> None:
    assert (await upload(gateway, app="none"))[0] == 404
    assert (await upload(gateway, app="shut"))[0] == 403
    status, says, _ = await upload(gateway, app="keyless")
    assert status == 501
    assert "session-keys" in says["error"]


async def test_without_a_folder_nothing_is_taken(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    async with running(settings_of(tmp_path, valkey.url, prefix, text=APPS, media="")) as gateway:
        status, says, _ = await upload(gateway)
    assert status == 501
    assert "gateway.media" in says["error"]


async def test_a_user_has_a_rate_and_the_folder_a_bound(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, valkey.url, prefix, text=APPS, uploads_per_minute=3, media_max_bytes=2 * len(PNG))
    async with running(settings) as gateway:
        assert [(await upload(gateway))[0] for _ in range(4)] == [201, 201, 507, 429]
        _, says, headers = await upload(gateway)
        assert says["retry_after"] == int(headers["Retry-After"]) >= 1
        assert (await upload(gateway, bearer=token(settings, user=8)))[0] == 507
    assert len(stored(gateway)) == 2


async def test_a_body_that_stops_is_given_up_and_one_that_breaks_off_leaves_nothing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SILENCE_SECONDS", 0.1)
    stop = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield PNG[:20]
        await stop.wait()

    assert (await upload(gateway, stuck()))[0] == 408
    monkeypatch.setattr(uploads, "SILENCE_SECONDS", 20)
    head = f"POST /apps/open/media HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(gateway.settings)}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"{head}Content-Length: {len(PNG)}\r\n\r\n".encode() + PNG[:-5])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await reader.read()
    assert (await upload(gateway))[0] == 201, "the place of the one that broke off is free"
    assert len(stored(gateway)) == 1


async def test_one_user_cannot_hold_every_place(gateway: Gateway) -> None:
    go_on = asyncio.Event()
    arrived = 0

    async def waiting() -> AsyncIterator[bytes]:
        nonlocal arrived
        arrived += 1
        yield PNG[:20]
        await go_on.wait()
        yield PNG[20:]

    slow = [asyncio.create_task(upload(gateway, waiting())) for _ in range(uploads.MOST_OF_ONE)]
    await eventually(lambda: arrived == len(slow), what="the slow uploads on their way")

    async def is_refused() -> bool:
        return (await upload(gateway))[0] == 429

    await eventually(is_refused, what="the places of one user taken")
    assert (await upload(gateway, bearer=token(gateway.settings, user=8)))[0] == 201
    go_on.set()
    assert [status for status, *_ in await asyncio.gather(*slow)] == [201] * len(slow)
    assert (await upload(gateway))[0] == 201


async def test_pages_on_allowed_origins_may_upload(gateway: Gateway) -> None:
    origin = "https://pages.example.com"
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with gateway.session.options(f"{gateway.url}/apps/open/media", headers=asks) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert (await upload(gateway, Origin=origin))[2]["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Origin" not in (await upload(gateway, Origin="https://evil.example"))[2]


async def test_no_token_reaches_log_or_metrics_and_redis_may_be_away(tmp_path: Path, prefix: str) -> None:
    settings = settings_of(tmp_path, f"redis://127.0.0.1:{free_port()}", prefix, text=APPS)
    bearer = token(settings)
    async with running(settings, wait_for="/healthz") as gateway:
        status, says, headers = await upload(gateway, bearer=bearer)
        assert (status, headers["Retry-After"]) == (503, str(says["retry_after"]))
        assert 'verdict="unavailable"' in (await gateway.get("/metrics"))[1].decode()
        assert bearer not in (await gateway.get("/metrics"))[1].decode()


async def test_a_real_process_tells_what_it_stored_and_no_token(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, valkey.url, prefix, text=APPS)
    port = free_port()
    with started(tmp_path, valkey.url, prefix, "--port", str(port)):
        await answers(f"http://127.0.0.1:{port}/readyz")
        async with running(settings) as other:  # only for its client session
            bearer = token(settings)
            headers = {"Authorization": f"Bearer {bearer}"}
            for raw in (PNG, b"<html>"):
                async with other.session.post(f"http://127.0.0.1:{port}/apps/open/media", data=raw, headers=headers):
                    pass
    log = (tmp_path / "log").read_text()
    assert "a picture was stored" in log
    assert "/apps/open/media" in log
    assert bearer[4:20] not in log
    assert "Bearer" not in log
