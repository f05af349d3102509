"""The app that the snippets of the client's page talk to."""

from typing import Any, ClassVar

from mini_apps import App, Channel, Client


class Counter(App):
    """A counter, and a game that everybody may join."""

    channels: ClassVar = {"game:*": Channel(history=50)}

    def on_subscribe(self, client: Client, channel: str) -> bool:
        return channel == "game:42"

    async def on_client_authenticated(self, client: Client) -> None:
        await client.send(type="clicks-updated", clicks=await self._clicks())

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        match type:
            case "click":
                await self.broadcast(type="clicks-updated", clicks=await self.redis.incr(self.key("clicks")))
            case "clicks":
                return await self._clicks()
            case "move":
                await self.publish("game:42", type="move", x=data["x"])
            case "remind":
                return await self.notify(data["user"], "Your turn")
        return None

    async def _clicks(self) -> int:
        return int(await self.redis.get(self.key("clicks")) or 0)
