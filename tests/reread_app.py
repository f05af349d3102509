"""An app that tells what its settings say, to its page and to its bot."""

import asyncio
from typing import Any

from mini_apps import App, Client


class Looking(App):
    """Reads a setting of its own when it is made, and others when it is asked."""

    def __init__(self, settings: Any, name: str | None = None) -> None:
        super().__init__(settings, name)
        self.greeting = self.settings.get("greeting", "hello")

    async def on_server_start(self) -> None:
        if self.settings.get("broken"):
            raise RuntimeError("cannot start like this")

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        if type == "look":
            return [self.greeting, client.user.is_admin]
        if type == "shout":
            await self.broadcast(type="shouted", text=data["text"])
        return None

    async def on_telegram_message(self, event: Any) -> Any:
        if event.text == "wait":
            await self.redis.rpush(self.key("begun"), event.text)
            await asyncio.sleep(1)
        await self.redis.rpush(self.key("done"), f"{self.greeting}:{event.text}")
        return event.answer(f"{self.greeting}, {event.text}")

    def server_tasks(self) -> list[Any]:
        return [self.tick]

    async def tick(self) -> None:
        await self.redis.rpush(self.key("ticks"), self.greeting)
        await asyncio.Event().wait()
