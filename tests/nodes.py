"""Real nodes on real sockets, and clients that speak only the protocol page."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from mini_apps.testing import sign_init_data
from shared.lifecycle import Process
from shared.settings import load
from support import TOKEN, eventually
from ws_server.server import serve

PATIENCE = 180.0


class Page:
    """What a page's socket sees: every message in order, and how it ended."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self._reader = asyncio.create_task(self._read())
        self._news = asyncio.Event()

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for data in self.socket:
                self.messages.append(json.loads(data))
                self._news.set()

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def login(self, user: int = 1001, *, app: str = "chat", token: str = TOKEN, **more: Any) -> dict[str, Any]:
        data = sign_init_data(token, user={"id": user, "first_name": f"User {user}"})
        await self.send(type="login", app=app, data=data, **more)
        return await self.receive("welcome")

    async def receive(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Take the first message of this type and with these fields out, waiting for it."""

        def found() -> dict[str, Any] | None:
            for message in self.messages:
                if message["type"] == type_ and all(message.get(name) == value for name, value in fields.items()):
                    return message
            if self._reader.done():
                raise AssertionError(f"closed ({self.socket.close_code}) before {type_} {fields}: {self.messages}")
            return None

        message: dict[str, Any] = await eventually(found, seconds=PATIENCE, what=f"message {type_} {fields}")
        self.messages.remove(message)
        return message

    async def settle(self) -> list[dict[str, Any]]:
        """Return what came up to the answer to a question asked now, and take it out."""
        await self.send(type="echo", value="settle", id="settle")
        await eventually(lambda: any(m.get("id") == "settle" for m in self.messages), seconds=PATIENCE)
        taken = [m for m in self.messages if m.get("id") != "settle"]
        self.messages.clear()
        return taken

    async def closed(self) -> int:
        """Wait for the end and return the close code."""
        async with asyncio.timeout(PATIENCE):
            await self._reader
            await self.socket.wait_closed()
        return self.socket.close_code or 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await asyncio.gather(self._reader, return_exceptions=True)


class RunningNode:
    """One node in this process's loop."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url

    @contextlib.asynccontextmanager
    async def page(self, **options: Any) -> AsyncIterator[Page]:
        """Open a socket and take its `connect`."""
        async with connect(self.url, max_size=None, **options) as socket, Page(socket) as page:
            await page.receive("connect")
            yield page

    @contextlib.asynccontextmanager
    async def user(self, user: int = 1001, *, app: str = "chat", **options: Any) -> AsyncIterator[Page]:
        """Open a socket and log in."""
        async with self.page(**options) as page:
            await page.login(user, app=app)
            yield page

    async def stop(self) -> None:
        """Ask it to drain and stop."""
        self.process.stopping.set()


async def metric(node: RunningNode, name: str, labels: str = "") -> float:
    """Return a metric of a node, 0 where it has none of that name and those labels."""

    def read() -> str:
        with urlopen(node.url.replace("ws://", "http://").replace("/ws", "/metrics")) as response:
            body: bytes = response.read()
            return body.decode()

    wanted = f"{name}{{{labels}}}" if labels else name
    for line in (await asyncio.to_thread(read)).splitlines():
        found, _, value = line.rpartition(" ")
        if found == wanted:
            return float(value)
    return 0.0


class Cluster:
    """Starts nodes on one Redis and prefix.

    Args:
        folder: for the settings file and the database.
        url: of Redis.
        prefix: of the keys.
        settings: more settings, as environment variables without `MINI_APPS__`.
    """

    def __init__(self, folder: Path, url: str, prefix: str, **settings: str) -> None:
        self.settings = {
            "REDIS__URL": url,
            "REDIS__PREFIX": prefix,
            "DATABASE__URL": f"sqlite+aiosqlite:///{folder}/users.sqlite",
            "WS__PORT": "0",
            "APPS__CHAT__CLASS": "chat_app:Chat",
            "APPS__CHAT__BOT_TOKEN": TOKEN,
            **settings,
        }
        self._folder = folder
        self._tasks: list[asyncio.Task[None]] = []

    async def node(self, name: str = "ws-1", **settings: str) -> RunningNode:
        """Start a node and wait until it is ready."""
        environ = {f"MINI_APPS__{key}": value for key, value in {**self.settings, **settings}.items()}
        environ["MINI_APPS__WS__NODE_ID"] = name
        loaded = load(None, environ)
        process = Process("ws", drain_seconds=5)
        task = asyncio.create_task(serve(process, loaded))
        self._tasks.append(task)

        def ready() -> bool:
            if task.done():
                task.result()
            return not process.troubles()

        await eventually(ready, what=f"readiness of {name}")
        return RunningNode(process, f"ws://127.0.0.1:{process.port}/ws")

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
