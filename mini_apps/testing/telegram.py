"""The local Telegram of a deployment: the sandbox's Bot API on a free port, and what happens in it, in order."""

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from mini_apps.testing.messages import BotMessage
from shared.clock import Clock

if TYPE_CHECKING:
    from types import TracebackType

    from sandbox.model import User
    from sandbox.runtime import Runtime
    from sandbox.state import Bot


class LocalTelegram:
    """One Telegram with one bot.

    Args:
        name: of the app.
        token: of its bot.
        clock: what time it is there.

    Attributes:
        runtime: of the sandbox, with everything in it.
        bot: the bot as Telegram keeps it.
        written: what the bot wrote or edited, in order.
        answers: what the bot answered to queries, by their ids.
        news: set whenever something was added to these.
    """

    runtime: "Runtime"
    bot: "Bot"

    def __init__(self, name: str, token: str, clock: Clock) -> None:
        self._name, self._token, self._clock = name, token, clock
        self._stack = contextlib.AsyncExitStack()
        self.url = ""
        self.written: list[BotMessage] = []
        self.answers: dict[str, Any] = {}
        self.news = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Listen."""
        from sandbox.config import BotConfig, SandboxConfig  # noqa: PLC0415 - services are loaded late
        from sandbox.server import RUNTIME, create_app  # noqa: PLC0415 - as above

        config = SandboxConfig(bots=(BotConfig(self._name, self._token, short_name=self._name),))
        app = create_app(config, clock=self._clock.time)
        self.runtime = app[RUNTIME]
        (self.bot,) = self.runtime.world.bots.values()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        reader = asyncio.create_task(self._read(), name="local Telegram")
        self._stack.push_async_callback(_ended, reader)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        """Listen no more."""
        await self._stack.aclose()

    def place_app(self, url: str) -> None:
        """Tell Telegram where the bot's mini app is."""
        self.bot.config = replace(self.bot.config, url=url)

    def user(self, name: str, fields: dict[str, Any]) -> "User":
        """Return a person by name, who joins Telegram now if nobody has the name."""
        world = self.runtime.world
        found = next((user for user in world.users.values() if user.username == name), None)
        if found is None:
            found = world.add_user(fields.pop("first_name", name.capitalize()), username=name, **fields)
        elif fields:
            found = world.users[found.id] = replace(found, **fields)
        self.runtime.settle()
        return found

    async def _read(self) -> None:
        with self.runtime.feed() as feed:
            while (event := await feed.queue.get()) is not None:
                self._take(event.kind, event.data)
                self.news.set()
        if feed.overflowed:
            raise RuntimeError("more happened in one turn of the loop than the local Telegram keeps events of")

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        if kind in ("message", "edited") and data["message"]["from"]["id"] == self.bot.id:
            self.written.append(BotMessage(data["message"], edited=kind == "edited"))
        elif "query_id" in data:  # of a button, an inline query or a payment
            self.answers[data["query_id"]] = data


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
