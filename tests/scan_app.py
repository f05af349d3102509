"""The app of the scan for secrets: its hooks fail with all they have in their hands."""

from typing import Any, ClassVar

from mini_apps import App, AppError, Channel, Client


class Careless(App):
    """Raises, logs and sends on what it is given."""

    channels: ClassVar = {"room:*": Channel(history=20, presence=True)}

    def on_subscribe(self, client: Client, channel: str) -> bool:
        return True

    async def login(self, client: Client, message: dict[str, Any]) -> None:
        self.log.info("somebody logs in", message=message)
        await super().login(client, message)
        self.log.info("logged in", client=repr(client), user=repr(client.user), launch=client.user.telegram_data)

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        self.log.debug("message %s", data)
        match type:
            case "bug":
                raise ZeroDivisionError(f"cannot work with {data}")
            case "wrong":
                raise AppError("Not like this", code="wrong")
            case "post":
                return await self.publish("room:1", type="posted", text=data["text"])
            case "call":
                sent = await self.telegram.send_message(client.user.telegram_id, data["text"])
                return sent.message_id
            case "token":
                raise RuntimeError(f"the bot is {self.telegram.token} with {self.settings!r}")
        return None

    async def on_telegram_message(self, event: Any) -> Any:
        if event.text == "fail":
            raise ValueError(f"cannot work with {event!r} of {self.telegram.token} and {self.settings!r}")
        return event.answer(f"heard: {event.text}")
