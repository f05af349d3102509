"""A whole deployment on some Redis: a gateway, a bot worker, two WebSocket nodes and a local Telegram."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from bot_worker import worker
from chat_app import Chat
from gateway import server as gateway
from mini_apps import App, Channel, Client
from nodes import Cluster, Page, RunningNode
from sandbox.config import BotConfig, SandboxConfig
from sandbox_desk import ADA, APP_URL, BEN, Desk, desk
from shared.broker import Broker
from shared.bus import Bus
from shared.dead_letters import DeadLetters
from shared.lifecycle import Process
from shared.settings import Settings, load
from support import TOKEN, eventually


class Everything(Chat):
    """Uses all that needs Redis."""

    channels: ClassVar = {**Chat.channels, "game:*": Channel(presence=True)}

    def on_user_offline(self, telegram_id: int) -> None: ...

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        match type:
            case "who":
                return sorted(user["telegram_id"] for user in await self.presence(data["room"]))
            case "ring":
                return await self.signal("ring", text=data["text"])
            case "write":
                sent = await self.telegram.send_message(client.user.telegram_id, data["text"])
                return sent.text
        return await super().handle_message(client, type, data)

    async def on_signal(self, name: str, data: dict[str, Any]) -> None:
        for client in self.clients.values():
            await client.send(type="signal", name=name, **data)

    async def on_telegram_message(self, event: Any) -> Any:
        if event.text == "fail":
            raise ValueError("as asked")
        await self.broadcast(type="written", text=event.text)
        return event.answer(f"heard {event.text}")

    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Say hello."""
        return event.answer("hello")


class Deployment:
    """What runs, and its sides to the world."""

    def __init__(self, cluster: Cluster, telegram: Desk, settings: Settings) -> None:
        self.cluster = cluster
        self.telegram = telegram
        self.settings = settings
        self.processes: list[Process] = []
        self.one: RunningNode
        self.two: RunningNode
        self._updates = 900_000

    async def update(self, text: str, *, user: int = ADA, expect: int = 200) -> int:
        """Bring a message of a user in by the webhook; returns its `update_id`."""
        app = self.settings.apps["chat"]
        self._updates += 1
        sender = {"id": user, "is_bot": False, "first_name": f"User {user}"}
        message = {"message_id": 1, "date": 0, "chat": {"id": user, "type": "private"}, "from": sender, "text": text}
        address = f"http://127.0.0.1:{self.processes[-1].port}/webhook/{app.webhook_path()}"
        headers = {"X-Telegram-Bot-Api-Secret-Token": app.effective_webhook_secret() or ""}
        update = {"update_id": self._updates, "message": message}
        async with aiohttp.ClientSession() as http, http.post(address, json=update, headers=headers) as answer:
            assert answer.status == expect, await answer.text()
        return self._updates

    def troubles(self) -> list[str]:
        """Return why some process is not ready."""
        everybody = (*self.processes, self.one.process, self.two.process)
        return [trouble for process in everybody for trouble in process.troubles()]


@contextlib.asynccontextmanager
async def deployed(folder: Path, url: str, prefix: str, **more: str) -> AsyncIterator[Deployment]:
    """Run a deployment; `more` are further settings, as environment variables without `MINI_APPS__`."""
    async with contextlib.AsyncExitStack() as stack:
        bots = (BotConfig("counter", TOKEN, APP_URL, "counter"),)
        telegram = await stack.enter_async_context(desk(SandboxConfig(bots=bots)))
        fixed = {
            "APPS__CHAT__CLASS": f"{__name__}:Everything",
            "APPS__CHAT__API_SERVER": telegram.base,
            "BOT__RETRY_DELAYS": "0.1",
            "BOT__LANES": "4",
            "REDIS__LEASE_SECONDS": "2",
            "BOT__PORT": "0",
            "GATEWAY__PORT": "0",
            "WS__PRESENCE_GRACE": "0.2",
            **more,
        }
        cluster = Cluster(folder, url, prefix, **fixed)
        stack.push_async_callback(cluster.aclose)
        settings = load(None, {f"MINI_APPS__{key}": value for key, value in cluster.settings.items()})
        deployment = Deployment(cluster, telegram, settings)
        for kind, serve in (("bot", worker.serve), ("gateway", gateway.serve)):
            deployment.processes.append(await stack.enter_async_context(_served(kind, serve, settings)))
        deployment.one, deployment.two = await asyncio.gather(cluster.node("ws-1"), cluster.node("ws-2"))
        await _meet(telegram)
        yield deployment


async def _meet(telegram: Desk) -> None:
    """Let a person write to the bot, which may write to them from then on; the update is polled in."""
    await telegram.act(ADA, "messages", text="/start")

    async def answered() -> bool:
        return any(message.get("text") == "hello" for message in (await telegram.chat(ADA))["messages"])

    await eventually(answered, seconds=300, what="the bot's answer to /start")


@contextlib.asynccontextmanager
async def _served(kind: str, serve: Any, settings: Settings) -> AsyncIterator[Process]:
    process = Process(kind, drain_seconds=10)
    task = asyncio.create_task(serve(process, settings))

    def ready() -> bool:
        if task.done():
            task.result()
        return not process.troubles()

    try:
        await eventually(ready, seconds=300, what=f"readiness of {kind}")
        yield process
    finally:
        process.stopping.set()
        await asyncio.wait([task], timeout=15)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def put_through_its_paces(deployment: Deployment, *, room: str = "1") -> None:
    """Let two users on two nodes, the bot and the gateway do everything that goes over Redis."""
    async with deployment.one.user(ADA) as ada, deployment.two.user(BEN) as ben:
        await _talk(ada, ben, room)
        await _write(deployment, ada, ben)
    await _come_back(deployment, room)
    await _give_up(deployment)


async def _talk(ada: Page, ben: Page, room: str) -> None:
    """Broadcasts, rooms, a user's own channel, presence and signals."""
    clicks = 0
    for page in (ada, ben):  # the broadcasts of each node reach both
        await page.send(type="click")
        heard = [await each.receive("clicks") for each in (ada, ben)]
        assert heard[0] == heard[1]
        assert (clicks := clicks or heard[0]["clicks"]) <= heard[0]["clicks"]
    for page in (ada, ben):
        await page.send(type="join", room=f"game:{room}")
        await page.receive("joined", channel=f"game:{room}")
    await ada.send(type="say", room=f"game:{room}", text="hello")
    assert (await ben.receive("said"))["text"] == "hello"
    await ada.send(type="who", room=f"game:{room}", id=1)
    assert (await ada.receive("reply"))["data"] == [ADA, BEN]
    await ben.send(type="leave", room=f"game:{room}")
    await ada.receive("presence", event="leave")
    await ada.send(type="whisper", to=BEN, text="psst")
    await ben.receive("whispered", text="psst")
    await ben.send(type="ring", text="now")
    for page in (ada, ben):
        await page.receive("signal", name="ring", text="now")


async def _write(deployment: Deployment, ada: Page, ben: Page) -> None:
    """An update to the hook of another process, whose broadcast reaches the pages; a call from a node to Telegram."""
    await deployment.update("knock")
    for page in (ada, ben):
        await page.receive("written", text="knock")
    await ada.send(type="write", text="by the bot", id=2)
    assert (await ada.receive("reply", id=2))["data"] == "by the bot"
    answers = [message.get("text") for message in (await deployment.telegram.chat(ADA))["messages"]]
    assert "by the bot" in answers


async def _come_back(deployment: Deployment, room: str) -> None:
    """A position of one node is good on the other: what was published meanwhile comes, in order, once."""
    channel = f"kept:{room}"
    async with deployment.one.user(BEN) as ben:
        async with deployment.one.user(ADA) as ada:
            await ada.send(type="subscribe", channel=channel)
            await ada.receive("joined", channel=channel)
            await ben.send(type="post", room=channel, n=1, id=3)
            await ben.receive("reply", id=3)
            said = await ada.receive("said", n=1)
            await ada.send(type="subscribe", channel=channel, id=4)
            standing = await ada.receive("joined", id=4)
        for n in (2, 3):
            await ben.send(type="post", room=channel, n=n, id=n)
            await ben.receive("reply", id=n)
        async with deployment.two.page() as ada:
            positions = {channel: {"offset": said["offset"], "grant": standing["grant"]}}
            welcome = await ada.login(ADA, channels=positions)
            assert welcome["channels"][channel]["recovered"]
            await ben.send(type="post", room=channel, n=4)
            assert [(await ada.receive("said"))["n"] for _ in range(3)] == [2, 3, 4]


async def _give_up(deployment: Deployment) -> None:
    """An update that fails to its last try is kept, and put back by hand."""
    number = await deployment.update("fail", user=BEN)
    async with Broker(deployment.settings.redis) as broker, Bus(broker, "cli") as bus:
        dead = DeadLetters(broker, bus, "chat")

        async def buried() -> Any:
            return next((one for one in await dead.newest(5) if one.text("id") == str(number)), None)

        letter = await eventually(buried, what="the dead letter")
        await dead.put_back(letter)
        assert await dead.get(letter.id) is None
        again = await eventually(buried, what="its second death")
        assert await dead.drop(again.id)
