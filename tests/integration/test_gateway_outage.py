"""Redis away: what goes on, what says no, and that all comes back by itself."""

import json
import os
import signal
from pathlib import Path

from gateway_support import SETTINGS, Gateway, running, settings_of
from mini_apps.embedded import EmbeddedValkey, free_port
from shared.broker import Broker
from shared.nodes import Node, Registration
from support import eventually

SECRET = "X-Telegram-Bot-Api-Secret-Token"


def page_in(folder: Path) -> None:
    (folder / "pages").mkdir()
    (folder / "pages" / "index.html").write_text("hello")


async def post(gateway: Gateway, number: int) -> tuple[int, str | None]:
    app = gateway.settings.apps["counter"]
    headers = {SECRET: app.effective_webhook_secret() or ""}
    body = json.dumps({"update_id": number, "message": {"chat": {"id": 1}}})
    url = f"{gateway.url}/webhook/{app.webhook_path()}"
    async with gateway.session.post(url, data=body, headers=headers) as answer:
        return answer.status, answer.headers.get("Retry-After")


async def test_redis_is_killed_and_comes_back(own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    page_in(tmp_path)
    text = "[redis]\nlease-seconds = 2\n" + SETTINGS
    settings = settings_of(tmp_path, own_valkey.url, prefix, text=text, negotiate_per_minute=0)
    async with (
        Broker(settings.redis) as broker,
        Registration(broker, Node("ws-1", "ws", "ws://one/ws")),
        running(settings) as gateway,
    ):
        assert await gateway.status("/negotiate") == 200
        assert (await post(gateway, 1))[0] == 200
        own_valkey.kill()

        async def refused() -> bool:
            return await gateway.status("/negotiate") == 503 and await gateway.status("/readyz") == 503

        await eventually(refused, what="negotiate and readyz refusing")
        assert await post(gateway, 2) == (503, "2")
        assert await gateway.status("/apps/counter/") == 200
        assert await gateway.status("/healthz") == 200
        own_valkey.start()

        async def back() -> bool:
            return (
                await gateway.status("/readyz") == 200
                and await gateway.status("/negotiate") == 200
                and (await post(gateway, 2))[0] == 200
            )

        await eventually(back, what="everything resuming")


async def test_redis_is_frozen(own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    """A connection that is alive and silent is a harder case than one that is refused."""
    page_in(tmp_path)
    async with running(settings_of(tmp_path, own_valkey.url, prefix)) as gateway:
        assert own_valkey.process is not None
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        try:
            assert (await post(gateway, 1)) == (503, "2")
            assert await gateway.status("/apps/counter/") == 200

            async def unready() -> bool:
                return await gateway.status("/readyz") == 503

            await eventually(unready)
        finally:
            os.kill(own_valkey.process.pid, signal.SIGCONT)

        async def back() -> bool:
            return await gateway.status("/readyz") == 200 and (await post(gateway, 1))[0] == 200

        await eventually(back, what="everything resuming")


async def test_redis_is_not_there_at_start(prefix: str, tmp_path: Path) -> None:
    page_in(tmp_path)
    port = free_port()
    settings = settings_of(tmp_path, f"redis://127.0.0.1:{port}/0", prefix)
    async with running(settings, wait_for="/healthz") as gateway:
        assert await gateway.status("/apps/counter/") == 200
        status, body, _ = await gateway.get("/readyz")
        assert (status, json.loads(body)["troubles"]) == (503, ["starting"])
        assert await gateway.status("/negotiate") == 503
        assert await post(gateway, 1) == (503, "2")
        folder = tmp_path / "valkey"
        folder.mkdir()
        with EmbeddedValkey(folder, port=port):

            async def ready() -> bool:
                return await gateway.status("/readyz") == 200 and (await post(gateway, 1))[0] == 200

            await eventually(ready, what="the gateway getting ready")
