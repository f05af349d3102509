"""The app of the presence tests."""

from typing import Any, ClassVar

from chat_app import Chat
from mini_apps import Channel, Client


class Present(Chat):
    """Says who is where, and writes down who went offline."""

    channels: ClassVar = {
        **Chat.channels,
        "room:*": Channel(presence=True),
        "both:*": Channel(history=20, presence=True),
        "hall": Channel(history=20, presence=True, announce=False),
    }

    def on_subscribe(self, client: Client, channel: str) -> bool:
        return True

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        if type == "who":
            return sorted(user["telegram_id"] for user in await self.presence(data["room"]))
        if type == "count":
            return await self.presence_count(data["room"])
        return await super().handle_message(client, type, data)

    async def on_user_offline(self, telegram_id: int) -> None:
        await self.redis.rpush(self.key("offline"), telegram_id)
