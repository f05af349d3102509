"""The app of the correlation test that also runs in a node of its own process, so it imports little."""

from typing import Any

from chat_app import Chat
from mini_apps import App, Client


class Traced(Chat):
    """Tells each node of a click, and who the client is."""

    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        if type == "tell":
            await self.signal("clicked", by=client.user.telegram_id)
            return client.id
        return await super().handle_message(client, type, data)

    async def on_signal(self, name: str, data: dict[str, Any]) -> None:
        self.log.info("heard of it", signal=name, **data)


class Calling(App):
    """Writes to a chat by the bot when its page says so."""

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        if type == "write":
            await self.telegram.send_message(data["chat"], "hello")
        return client.id
