"""A process for apps in tests: real Valkey, real SQLite, without sockets."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mini_apps.app import App
from mini_apps.database import Database
from mini_apps.mesh import Mesh
from shared.broker import Broker
from shared.bus import Bus
from shared.bus_frames import Frame, unpack
from shared.settings import Settings, load
from support import TOKEN


def make_settings(folder: Path, url: str, prefix: str, **apps: dict[str, Any]) -> Settings:
    """Write and load a settings file with these apps; each has the tests' token unless it says otherwise."""
    file = folder / "mini-apps.json"
    redis = {"url": url, "prefix": prefix, "lease-seconds": 2}
    file.write_text(
        json.dumps({"redis": redis, "apps": {name: {"bot-token": TOKEN, **app} for name, app in apps.items()}})
    )
    return load(file, {})


@contextlib.asynccontextmanager
async def open_mesh(settings: Settings, node_id: str = "ws-1", kind: Any = "ws") -> AsyncIterator[Mesh]:
    """Open what the apps of one process share."""
    async with Broker(settings.redis) as broker, Bus(broker, node_id) as bus:
        database = Database(settings.database.url.get_secret_value(), settings.folder)
        try:
            yield Mesh(settings, broker, bus, database, node_id, kind)
        finally:
            await database.aclose()


async def bound(app_class: type[App], mesh: Mesh, name: str) -> App:
    """Make and bind an app, with its tables."""
    app = app_class(mesh.settings.apps[name], name)
    app.bind(mesh)
    app.register_models()
    await mesh.database.create_tables([app], mesh.broker, mesh.node_id)
    return app


@contextlib.asynccontextmanager
async def in_process(settings: Settings, name: str = "bot", kind: Any = "ws") -> AsyncIterator[App]:
    """Give an app in a process that is no bot worker."""
    async with open_mesh(settings, f"{kind}-1", kind) as mesh:
        app = App(settings.apps[name], name)
        app.bind(mesh)
        yield app


async def listen(mesh: Mesh, channel: str) -> list[Frame]:
    """Collect what is published on a channel from now on."""
    heard: list[Frame] = []
    await mesh.bus.subscribe(channel, lambda data: heard.append(unpack(data)))
    return heard


class Link:
    """The end of a client that a test holds: what it would have written to a socket."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.channels: set[str] = set()
        self.closed: tuple[int, str] | None = None

    def send(self, body: bytes) -> None:
        self.sent.append(json.loads(body))

    async def join(self, channel: str) -> None:
        self.channels.add(channel)

    async def leave(self, channel: str) -> None:
        self.channels.discard(channel)

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)
