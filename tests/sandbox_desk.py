"""A running sandbox for tests: the real server on a free port, people who act, real aiogram bots."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiohttp import web

from sandbox.config import BotConfig, SandboxConfig
from sandbox.server import RUNTIME, create_app

TOKEN = "42:sandbox-counter"
APP_URL = "http://127.0.0.1:8080/apps/counter/"
ADA, BEN = 1001, 1002


class Desk:
    """One sandbox, its address and an HTTP client."""

    def __init__(self, app: web.Application, port: int, http: aiohttp.ClientSession) -> None:
        self.runtime = app[RUNTIME]
        self.base = f"http://127.0.0.1:{port}"
        self.http = http

    async def act(self, user: int, action: str, *, bot: str = "counter", expect: int = 200, **fields: Any) -> Any:
        """Do something as a user; the answer's status must be `expect`."""
        path = f"{self.base}/sandbox/api/bots/{bot}/users/{user}/{action}"
        async with self.http.post(path, json=fields) as response:
            answer = await response.json()
            assert response.status == expect, answer
            return answer

    async def chat(self, user: int, *, bot: str = "counter", chat_id: int = 0) -> Any:
        """Read a chat as its user."""
        path = f"{self.base}/sandbox/api/bots/{bot}/users/{user}/chat"
        async with self.http.get(path, params={"chat_id": chat_id}) as response:
            assert response.status == 200
            return await response.json()

    async def post(self, path: str, **fields: Any) -> Any:
        """Post to the page API; `path` is what follows `/sandbox/api/`."""
        async with self.http.post(f"{self.base}/sandbox/api/{path}", json=fields) as response:
            assert response.status == 200
            return await response.json()

    async def raw(self, method: str, *, token: str = TOKEN, **options: Any) -> tuple[int, Any]:
        """Call the Bot API without a library; options go to aiohttp."""
        async with self.http.post(f"{self.base}/bot{token}/{method}", **options) as response:
            return response.status, await response.json()

    @asynccontextmanager
    async def bot(self, token: str = TOKEN) -> AsyncIterator[Bot]:
        """A real aiogram Bot that talks to this sandbox."""
        session = AiohttpSession(api=TelegramAPIServer.from_base(self.base))
        try:
            yield Bot(token, session=session)
        finally:
            # Not session.close(), which sleeps a quarter of a second for the sake of TLS.
            await (await session.create_session()).close()

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """Follow the page's event stream from now on."""
        async with self.http.get(f"{self.base}/sandbox/api/events") as response:
            stream = _events(response)
            assert (await anext(stream))[0] == "hello"
            yield stream


@asynccontextmanager
async def desk(config: SandboxConfig | None = None, **options: Any) -> AsyncIterator[Desk]:
    """Serve a sandbox on a free port; options go to `create_app`."""
    config = config or SandboxConfig(
        bots=(BotConfig("counter", TOKEN, APP_URL, "counter"), BotConfig("other", "43:sandbox-other"))
    )
    app = create_app(config, **options)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Desk(app, runner.addresses[0][1], http)
    finally:
        await runner.cleanup()


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    kind = ""
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)
