"""One run of every process at level debug, much of it going wrong, and one look for secrets in all it leaves behind."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from sandbox.config import BotConfig, SandboxConfig
from sandbox.server import create_app
from shared.init_data import webapp_key
from shared.settings import load
from support import eventually

ROOT = Path(__file__).parents[2]
TOKEN = "7412589630:AAFq3vT9zWk5xYbN1mPl7sRd2uGh8jCe4oA"
WEBHOOK_SECRET = "Wh-s3cret_of-this-scan-0123456789"
API_KEY = "Ap1-key_of-this-scan-0123456789"
NAME = "Zaphod <b>Beeblebrox</b>"
ADA = 1001
PROCESSES = ("gateway", "bot_worker", "ws_server")


@dataclass
class Scene:
    """A running deployment, and what it said.

    Attributes:
        folder: with settings, secrets, logs, pages, media and the database.
        valkey: a durable one of its own.
        sandbox: address of the local Telegram.
        ports: where the processes listen.
        secrets: what must not be found, by name.
        replies: everything that was answered, to anybody.
        commands: what Redis was told to do.
    """

    folder: Path
    valkey: EmbeddedValkey
    sandbox: str
    web: aiohttp.ClientSession
    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    replies: list[str] = field(default_factory=list)
    commands: bytearray = field(default_factory=bytearray)

    def init_data(self, user: int = ADA, **more: Any) -> str:
        """Sign init data that must not be found."""
        raw = sign_init_data(TOKEN, user={"id": user, "first_name": NAME}, **more)
        number = len(self.secrets)
        self.secrets |= {f"init data {number}": raw, f"its hash {number}": parse_qs(raw)["hash"][0]}
        return raw

    async def http(self, method: str, url: str, **options: Any) -> int:
        """Ask, and keep the answer with its headers."""
        async with self.web.request(method, url, **options) as answer:
            self.replies.append(f"{answer.status} {answer.headers} {await answer.text()}")
            return answer.status

    async def talk(self, *said: dict[str, Any], until: str = "") -> dict[str, Any]:
        """Say things on a socket of its own, and return the first message of a type, or the last one.

        A session token is noted down as a secret, and taken out of the one message that may hold it.
        """
        last: dict[str, Any] = {}
        async with connect(f"ws://127.0.0.1:{self.ports['ws_server']}/ws") as socket:
            for message in said:
                await socket.send(json.dumps(message))
            with contextlib.suppress(ConnectionClosed):
                async with asyncio.timeout(30):
                    while not last or last["type"] != until:
                        last = json.loads(await socket.recv())
                        if last["type"] == "welcome":
                            self.secrets[f"session token {len(self.secrets)}"] = last["session"]
                        shown = {name: value for name, value in last.items() if name != "session"}
                        self.replies.append(json.dumps(shown))
        return last

    def cli(self, *arguments: str) -> None:
        """Run a command of `mini-apps`, and keep what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "mini_apps", "--settings", str(self.folder / "mini-apps.toml"), *arguments],
            capture_output=True, text=True, check=False, cwd=self.folder, env=environment(self), timeout=120,
        )  # fmt: skip
        self.replies.append(done.stdout + done.stderr)


def environment(scene: Scene) -> dict[str, str]:
    given = {
        "LOG__LEVEL": "debug",
        "REDIS__URL": scene.valkey.url,
        "DATABASE__URL": f"sqlite+aiosqlite:///{scene.folder}/users.sqlite",
        "TELEGRAM__API_SERVER": scene.sandbox,
        "GATEWAY__API_KEYS": API_KEY,
        "GATEWAY__PORT": "0",
        "BOT__PORT": "0",
        "BOT__RETRY_DELAYS": "0.05",
        "WS__PORT": "0",
        "WS__DRAIN_SECONDS": "5",
        "APPS__SCAN__BOT_TOKEN_FILE": str(scene.folder / "secrets" / "bot_token"),
        "APPS__SCAN__WEBHOOK_SECRET_FILE": str(scene.folder / "secrets" / "webhook_secret"),
    }
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return {**os.environ, **{f"MINI_APPS__{name}": value for name, value in given.items()}, "PYTHONPATH": paths}


@contextlib.contextmanager
def processes(scene: Scene) -> Iterator[None]:
    """Run all three; leaving stops them in good order."""
    started = []
    for name in PROCESSES:
        with (scene.folder / "logs" / name).open("wb") as log:
            command = [sys.executable, "-m", name, "--settings", str(scene.folder / "mini-apps.toml")]
            started.append(subprocess.Popen(command, cwd=scene.folder, env=environment(scene), stdout=log, stderr=log))
    try:
        yield
        for process in started:
            process.terminate()
        for process in started:
            assert process.wait(30) == 0
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture
async def scene(own_valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[Scene]:
    folder = tmp_path / "deployment"
    for name in ("secrets", "logs", "pages", "media"):
        (folder / name).mkdir(parents=True)
    (folder / "secrets" / "bot_token").write_text(TOKEN)
    (folder / "secrets" / "webhook_secret").write_text(WEBHOOK_SECRET)
    (folder / "pages" / "index.html").write_text("hello")
    (folder / "mini-apps.toml").write_text(
        '[log]\nformat = "json"\n[apps.scan]\nclass = "scan_app:Careless"\npages = "pages"\n'
    )
    runner = web.AppRunner(create_app(SandboxConfig(bots=(BotConfig("scan", TOKEN),), allow_real_token=True)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Scene(folder, own_valkey, f"http://127.0.0.1:{runner.addresses[0][1]}", session)
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def monitored(scene: Scene) -> AsyncIterator[None]:
    """Write down every command of Redis, scripts' and pub/sub frames included."""
    host, _, port = scene.valkey.url.removeprefix("redis://").partition("/")[0].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"MONITOR\r\n")
    assert await reader.readline() == b"+OK\r\n"

    async def listen() -> None:
        while piece := await reader.read(1 << 16):
            scene.commands.extend(piece)

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        listening.cancel()
        writer.close()


async def everything_happens(scene: Scene) -> None:
    """Use it well, badly and with bad luck."""
    await _logins(scene)
    await _requests(scene)
    await _updates(scene)
    await asyncio.to_thread(scene.cli, "settings")


async def _logins(scene: Scene) -> None:
    good = scene.init_data(start_param="ref")
    login = {"type": "login", "app": "scan", "data": good}
    welcome = await scene.talk(login, until="welcome")
    session = welcome["session"]
    again = {"type": "login", "app": "scan", "session": session}
    await scene.talk(
        again, {"type": "subscribe", "channel": "room:1"}, {"type": "post", "text": "x", "id": 1}, until="reply"
    )
    mine = {"text": good, "session": session, "data": good, "id": 1}
    for kind in ("bug", "token"):
        answer = await scene.talk(login, {"type": kind, **mine}, until="error")
        assert answer["msg"] == "Internal server error"
    await scene.talk(again, {"type": "call", "text": "x", "id": 1}, until="error")  # the bot may not write first
    refusals = (
        {"data": good.replace("first_name", "last_name")},
        {"data": scene.init_data(auth_date=int(time.time()) - 200_000)},
        {"data": good + "&hash=" + "0" * 64},
        {"session": session[:-4] + "AAAA"},
        {"session": good},
        {"app": "other", "data": good},
        {"app": good, "session": session},
    )
    for wrong in refusals:
        ended = await scene.talk({"type": "login", "app": "scan", **wrong})
        assert ended["type"] in ("disconnect", "error"), wrong
    await scene.talk(login, {"type": "nonsense", "app": session}, until="error")


async def _requests(scene: Scene) -> None:
    gateway, node = (f"http://127.0.0.1:{scene.ports[name]}" for name in ("gateway", "ws_server"))
    data = scene.init_data(2002)
    query = {"tgWebAppData": data}
    bearer = {"Authorization": f"Bearer {API_KEY}", "Cookie": f"session={data}"}
    for url in (
        f"{gateway}/apps/scan/",
        f"{gateway}/apps/scan/nowhere",
        f"{gateway}/negotiate",
        f"{node}/ws",
        f"{node}/x",
    ):
        await scene.http("GET", url, params=query, headers=bearer)
    app = load(scene.folder / "mini-apps.toml", environment(scene)).apps["scan"]
    path = app.webhook_path()
    scene.secrets["webhook path"] = str(path)
    hook, header = f"{gateway}/webhook/{path}", "X-Telegram-Bot-Api-Secret-Token"
    person = {"id": ADA, "is_bot": False, "first_name": NAME}
    message = {"message_id": 1, "date": 1, "chat": {"id": ADA, "type": "private"}, "from": person, "text": "fail"}
    update = json.dumps({"update_id": 5, "message": message})
    assert await scene.http("POST", hook, data=update, headers={header: WEBHOOK_SECRET}) == 200
    for tried, secret, body in (
        (hook, "guessed", update),
        (hook, WEBHOOK_SECRET, "no JSON"),
        (hook, WEBHOOK_SECRET, '{"update_id": "' + WEBHOOK_SECRET + '"}'),
        (hook + "/x", WEBHOOK_SECRET, update),
        (hook, WEBHOOK_SECRET, "x" * 3_000_000),
    ):
        assert await scene.http("POST", tried, data=body, headers={header: secret}) >= 400


async def _updates(scene: Scene) -> None:
    bots = f"{scene.sandbox}/sandbox/api/bots/scan"
    for kind in ("error", "reset", "flood"):
        async with scene.web.post(
            f"{bots}/faults", json={"kind": kind, "method": "sendMessage", "seconds": 1}
        ) as answer:
            assert answer.status == 200
    for text in ("one", "two", "three", "four"):
        async with scene.web.post(f"{bots}/users/{ADA}/messages", json={"text": text}) as answer:
            assert answer.status == 200

    async def answered() -> bool:
        async with scene.web.get(f"{bots}/users/{ADA}/chat") as answer:
            return "heard: four" in await answer.text()

    await eventually(answered, seconds=300, what="the bot's answer")
    client = Redis.from_url(scene.valkey.url)
    try:
        await eventually(lambda: client.exists("ma:scan:dead"), seconds=300, what="the failing update's dead letter")
    finally:
        await client.aclose()


async def every_key(url: str) -> str:
    """Read all of Redis as redis-cli would show it."""
    client = Redis.from_url(url)
    readers: dict[bytes, Callable[[bytes], Awaitable[Any]]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    try:
        return "\n".join(
            [f"{key!r} {await readers[await client.type(key)](key)!r}" async for key in client.scan_iter()]
        )
    finally:
        await client.aclose()


async def left_behind(scene: Scene) -> dict[str, tuple[str, str]]:
    """Give each place with all that is in it, and something that has to be in it."""
    found = {f"log of {name}": ((scene.folder / "logs" / name).read_text(), '"event"') for name in PROCESSES}
    found["replies"] = ("\n".join(scene.replies), "Internal server error")
    found["commands of Redis"] = (scene.commands.decode("latin-1"), '"PUBLISH"')
    found["keys of Redis"] = (await every_key(scene.valkey.url), "'ma:scan:")
    files = [path for path in (scene.folder.parent / "valkey").rglob("*") if path.is_file()]
    found["files of Redis"] = ("".join(path.read_text("latin-1") for path in files), "ma:scan:")
    database = scene.folder.glob("users.sqlite*")
    found["database"] = ("".join(path.read_text("latin-1") for path in database), NAME)
    media = [path for path in (scene.folder / "media").rglob("*") if path.is_file()]
    found["media"] = ("".join(path.read_text("latin-1") for path in media), "")
    if not media:
        del found["media"]
    return found


async def metrics(scene: Scene) -> dict[str, tuple[str, str]]:
    """Give what each process tells Prometheus."""
    found = {}
    for name, port in scene.ports.items():
        async with scene.web.get(f"http://127.0.0.1:{port}/metrics") as answer:
            found[f"metrics of {name}"] = (await answer.text(), "# HELP")
    return found


async def test_no_secret_is_left_behind_anywhere(scene: Scene) -> None:
    scene.secrets |= {
        "token": TOKEN,
        "the token's secret half": TOKEN.partition(":")[2],
        "webapp key": webapp_key(TOKEN).hex(),
        "webhook secret": WEBHOOK_SECRET,
        "API key": API_KEY,
    }
    async with monitored(scene):
        with processes(scene):
            for name in PROCESSES:
                await eventually(lambda it=name: _is_ready(scene, it), seconds=240, what=f"readiness of {name}")
            await everything_happens(scene)
            places = await metrics(scene)
    places |= await left_behind(scene)
    assert sum(name.startswith("session token") for name in scene.secrets) >= 5
    found = [
        f"{secret} in {place}"
        for place, (text, _) in places.items()
        for secret, value in scene.secrets.items()
        if value in text
    ]
    assert not found
    empty = [place for place, (text, sign) in places.items() if sign not in text]
    assert not empty, "nothing was looked at there"


async def _is_ready(scene: Scene, name: str) -> bool:
    """Find out where a process listens by what it logs, and ask it."""
    for line in (scene.folder / "logs" / name).read_text().splitlines():
        if line.startswith("{") and (said := json.loads(line))["event"] == "listening":
            scene.ports[name] = said.get("port") or int(said["url"].rpartition(":")[2])
            async with scene.web.get(f"http://127.0.0.1:{scene.ports[name]}/readyz") as answer:
                return answer.status == 200
    return False
