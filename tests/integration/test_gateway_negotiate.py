"""Where clients are sent, with real registrations in a real Valkey."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from gateway_support import SETTINGS, Gateway, running, settings_of
from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.nodes import Node, Registration
from support import eventually


async def ask(gateway: Gateway, path: str = "/negotiate", **headers: str) -> tuple[int, Any]:
    status, body, _ = await gateway.get(path, **headers)
    return status, json.loads(body)


async def test_clients_go_to_live_nodes_that_have_room(
    broker: Broker, valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    def ws(name: str, **more: Any) -> Node:
        return Node(name, "ws", f"ws://{name}/ws", **more)

    async with (
        Registration(broker, ws("ws-1", connections=3)),
        Registration(broker, ws("ws-2", connections=3)) as second,
        Registration(broker, ws("ws-full", connections=5, capacity=5)),
        Registration(broker, Node("bot-1", "bot", "http://bot")),
        running(settings_of(tmp_path, valkey.url, prefix, negotiate_per_minute=0)) as gateway,
    ):
        seen = Counter([(await ask(gateway, "/negotiate?app=counter"))[1]["node"] for _ in range(40)])
        assert set(seen) == {"ws-1", "ws-2"}
        assert await ask(gateway) in [(200, {"url": f"ws://{name}/ws", "node": name}) for name in ("ws-1", "ws-2")]

        await second.drain()

        async def only_first() -> bool:
            return {(await ask(gateway))[1]["node"] for _ in range(10)} == {"ws-1"}

        await eventually(only_first, what="the draining node being left out")


async def test_nobody_to_send_to(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    async with running(settings_of(tmp_path, valkey.url, prefix)) as gateway:
        status, body, headers = await gateway.get("/negotiate")
        assert status == 503
        assert headers["Retry-After"] == "2"
        assert headers["Cache-Control"] == "no-store"
        assert json.loads(body)["retry_after"] == 2
        assert (await ask(gateway, "/negotiate?app=nobody"))[0] == 404


async def test_each_address_has_its_rate(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    text = '[gateway]\ntrusted-proxies = ["127.0.0.1"]\n' + SETTINGS
    settings = settings_of(tmp_path, valkey.url, prefix, text=text, negotiate_per_minute=3)
    async with running(settings) as gateway:
        statuses = [(await ask(gateway, **{"X-Forwarded-For": "198.51.100.1"}))[0] for _ in range(4)]
        assert statuses == [503, 503, 503, 429]
        # Another left-most hop is only what the caller wrote.
        assert (await ask(gateway, **{"X-Forwarded-For": "6.6.6.6, 198.51.100.1"}))[0] == 429
        assert (await ask(gateway, **{"X-Forwarded-For": "198.51.100.2"}))[0] == 503
        _, body, headers = await gateway.get("/negotiate", **{"X-Forwarded-For": "198.51.100.1"})
        assert 1 <= int(headers["Retry-After"]) <= 20
        assert json.loads(body)["retry_after"] == int(headers["Retry-After"])


async def test_forwarding_headers_of_strangers_mean_nothing(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    async with running(settings_of(tmp_path, valkey.url, prefix, negotiate_per_minute=2)) as gateway:
        statuses = [(await ask(gateway, **{"X-Forwarded-For": f"198.51.100.{i}"}))[0] for i in range(3)]
        assert statuses == [503, 503, 429]


async def test_settings_for_pages(broker: Broker, valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    common = {"protocol": 1, "negotiate": "/negotiate", "apps": ["bare", "counter"]}
    async with running(settings_of(tmp_path, valkey.url, prefix)) as gateway:
        assert await ask(gateway, "/settings.json") == (200, {**common, "socket": None})
        async with Registration(broker, Node("ws-1", "ws", "ws://one/ws")):
            found = {**common, "socket": "ws://one/ws", "app": "counter"}

            async def told() -> bool:
                return (await ask(gateway, "/apps/counter/settings.json")) == (200, found)

            await eventually(told, what="the new node in settings.json")
        assert (await ask(gateway, "/apps/nobody/settings.json"))[0] == 404


async def test_the_public_address_of_sockets(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    text = '[ws]\npublic-url = "wss://example.com/ws"\n' + SETTINGS
    async with running(settings_of(tmp_path, valkey.url, prefix, text=text)) as gateway:
        assert (await ask(gateway, "/settings.json"))[1]["socket"] == "wss://example.com/ws"


async def test_only_allowed_origins_may_read_from_elsewhere(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    text = '[ws]\nallowed-origins = ["https://pages.example.com"]\n' + SETTINGS
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("hello")
    async with running(settings_of(tmp_path, valkey.url, prefix, text=text)) as gateway:
        allow = "Access-Control-Allow-Origin"
        for path in ("/negotiate", "/settings.json", "/apps/counter/settings.json", "/client/nothing.js"):
            _, _, headers = await gateway.get(path, Origin="https://pages.example.com")
            assert headers[allow] == "https://pages.example.com"
            assert "Origin" in headers["Vary"]
            assert allow not in (await gateway.get(path, Origin="https://evil.example.com"))[2]
            assert allow not in (await gateway.get(path))[2]
        assert allow not in (await gateway.get("/apps/counter/", Origin="https://pages.example.com"))[2]
