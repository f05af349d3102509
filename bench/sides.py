"""Who is measured: how each side is started, what its clients say first, and what publishes to it."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.processes import SERVER_CORE, Server, serving, stop
from bench.publisher import USERS
from bench.tools import CACHE, PEERS, Toolbox
from mini_apps.embedded import free_port
from mini_apps.testing import sign_init_data

TOKEN = "42:bench"
ROOT = Path(__file__).parents[1]
OURS, LIMIT = "ours", "C limit"


@dataclass(frozen=True, slots=True)
class Site:
    """What the sides of one run share.

    Attributes:
        folder: for settings, logs and the database.
        redis_port: of the broker.
        toolbox: the tools and peers.
    """

    folder: Path
    redis_port: int
    toolbox: Toolbox

    @property
    def env(self) -> dict[str, str]:
        """The environment of every process."""
        return {
            **os.environ,
            "REDIS_PORT": str(self.redis_port),
            "NODE_PATH": str(CACHE / "node/node_modules"),
            "PYTHONPATH": str(ROOT),
        }

    @property
    def settings(self) -> Path:
        """Our settings file."""
        return self.folder / "mini-apps.json"

    @property
    def logins(self) -> Path:
        """The file with the login frame of each user."""
        return self.folder / "logins.jsonl"

    def write_files(self) -> None:
        """Write the settings, all defaults but the message rate, and a login with signed init data for each user."""
        settings = {
            "log": {"level": "warning"},
            "redis": {"url": f"redis://127.0.0.1:{self.redis_port}/0"},
            "database": {"url": f"sqlite+aiosqlite:///{self.folder}/bench.sqlite"},
            "ws": {"messages-per-second": 0},
            "apps": {"bench": {"class": "bench.app:Bench", "bot-token": TOKEN}},
        }
        self.settings.write_text(json.dumps(settings))
        with self.logins.open("w") as out:
            for user in range(1, USERS + 1):
                data = sign_init_data(
                    TOKEN, user={"id": user, "first_name": f"User {user}"}, query_id="AAHdF6IQAAAAAN0Xoh"
                )
                out.write(json.dumps({"type": "login", "app": "bench", "data": data}) + "\n")


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: as the table shows it.
        command: of the server, given the site and the port.
        client: what the load tool needs to log in.
        publisher: command that publishes COUNT messages at RATE, given the site.
    """

    name: str
    command: Callable[[Site, int], Sequence[str | Path]]
    client: Callable[[Site], Sequence[str | Path]]
    publisher: Callable[[Site], Sequence[str | Path]] = field(default=lambda _site: ())

    def start(self, site: Site, nodes: int = 1, cores: str = SERVER_CORE) -> "AbstractContextManager[list[Server]]":
        """Run so many of its servers."""
        return _started(self, site, nodes, cores)


@contextmanager
def _started(side: Side, site: Site, nodes: int, cores: str) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        servers = []
        for _ in range(nodes):
            port = free_port()
            log = site.folder / f"{side.name.replace(' ', '-')}.log"
            command = side.command(site, port)
            servers.append(stack.enter_context(serving(side.name, command, port, env=site.env, log=log, cores=cores)))
        yield servers


@contextmanager
def publisher(site: Site, *arguments: str | int | float) -> Iterator[Callable[[], float]]:
    """Run our publisher up to the point where it is connected; calling what this gives publishes and waits.

    Yields:
        Publishes, and returns the seconds that took.
    """
    command = [sys.executable, "-m", "bench.publisher", *map(str, arguments), "--settings", str(site.settings)]
    with (site.folder / "publisher.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=site.env, text=True, cwd=ROOT
        )

    def publish() -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        done: dict[str, Any] = json.loads(process.stdout.readline())
        return float(done["seconds"])

    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield publish
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close() if process.stdin is not None else None
        stop(process)


def _python(script: str) -> Callable[[Site, int], Sequence[str | Path]]:
    return lambda site, port: [site.toolbox.python, PEERS / script, str(port)]


def _node(script: str) -> Callable[[Site, int], Sequence[str | Path]]:
    return lambda _site, port: ["node", PEERS / script, str(port)]


def _socketio(_site: Site) -> list[str | Path]:
    return ["-P", "/socket.io/?EIO=4&transport=websocket", "-H", "40", "-r", "2"]


def _plain(_site: Site) -> list[str | Path]:
    return ["-H", '{"type":"login"}', "-r", "2"]


def _ours(site: Site) -> list[str | Path]:
    return ["-F", site.logins, "-r", "2"]


def _our_node(site: Site, port: int) -> list[str | Path]:
    return [sys.executable, "-m", "ws_server", "--settings", site.settings, "--port", str(port)]


US = Side(OURS, _our_node, _ours)
SOCKET_IO = Side("Socket.IO", _node("sio.js"), _socketio, lambda _: ["node", PEERS / "siopub.js"])
WS = Side("ws", _node("wsn.js"), _plain, lambda site: [site.toolbox.python, PEERS / "pub.py"])
PYTHON_SOCKETIO = Side(
    "python-socketio", _python("sio.py"), _socketio, lambda site: [site.toolbox.python, PEERS / "siopub.py"]
)
CHANNELS = Side("Django Channels", _python("chan.py"), _plain, lambda site: [site.toolbox.python, PEERS / "chanpub.py"])
SOCKET_IO_ECHO = Side("Socket.IO", _node("echo.js"), _socketio)
PYTHON_SOCKETIO_ECHO = Side("python-socketio", _python("sioecho.py"), _socketio)
SOCKET_IO_RELAY = Side("Socket.IO", _node("relay.js"), _socketio)
PYTHON_SOCKETIO_RELAY = Side("python-socketio", _python("siorelay.py"), _socketio)
