"""The app of the compose run: rooms with history, and a bot that tells everybody what it hears."""

from typing import TYPE_CHECKING, Any, ClassVar

from mini_apps import App, Channel, Client, OutcomeUnknown, Send

if TYPE_CHECKING:
    from aiogram.types import Message


class Rooms(App):
    """Everybody may enter each room, and whoever missed something in it gets it later."""

    channels: ClassVar = {"room:*": Channel(history=3_000, ttl=600)}

    async def on_subscribe(self, client: Client, channel: str) -> bool:
        """Let everybody in."""
        return True

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        """Publish `post` in its room, once however often it is repeated, and answer with its offset."""
        if type != "post":
            return None
        message = {"type": "tick", "n": data["n"], "t": data["t"]}
        return await self.publish(data["room"], **message, options_=Send(id=data["key"]))

    async def on_telegram_message(self, message: "Message") -> Any:
        """Tell all pages what somebody wrote to the bot, and answer it, once at most."""
        await self.broadcast(type="heard", text=message.text)
        try:
            await self.telegram.send_message(message.chat.id, f"heard: {message.text}")
        except OutcomeUnknown:
            self.log.warning("nobody knows whether the answer came")  # its worker was killed while it was on the way
