"""The app of the node tests: every kind of message a node carries, driven by what the client asks for."""

import asyncio
from typing import Any, ClassVar

from mini_apps import App, AppError, Channel, Client, Send


class Chat(App):
    """Does what its messages say."""

    channels: ClassVar = {
        "kept:*": Channel(history=50),
        "brief:*": Channel(history=3, ttl=60),
        "long:*": Channel(history=5_000),
    }

    async def on_client_authenticated(self, client: Client) -> None:
        await client.send(type="hello", clients=len(self.clients))

    def on_subscribe(self, client: Client, channel: str) -> bool:
        return channel.startswith(("open:", "kept:", "brief:", "long:"))

    async def on_client_disconnected(self, client: Client) -> None:
        await self.redis.rpush(self.key("gone"), client.user.telegram_id)

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        match type:
            case "echo":
                return data.get("value")
            case "click":
                clicks = await self.redis.incr(self.key("clicks"))
                await self.broadcast(type="clicks", clicks=clicks)
            case "say":
                return await self.publish(data["room"], type="said", text=data["text"], options_=Send(exclude=client))
            case "post":
                return await self.publish(data["room"], type="said", n=data["n"], options_=Send(id=data.get("key", "")))
            case "tick":
                how = Send(policy=data["policy"], key=data.get("key", ""))
                return await self.publish(data["room"], type="tick", n=data["n"], pad=data["pad"], options_=how)
            case "look":
                return await self.history(data["room"], since=data.get("since", 0))
            case "whisper":
                await self.send_to_user(data["to"], type="whispered", text=data["text"])
            case "join":
                await client.join(data["room"])
            case "leave":
                await client.leave(data["room"])
            case "summon":
                await self.subscribe(data["user"], data["room"])
            case "dismiss":
                await self.unsubscribe(data["user"], data["room"])
            case "kick":
                await self.disconnect_user(data["user"])
            case "ban":
                await self.ban(data["user"])
            case "revoke":
                await self.revoke(data["user"])
            case "slow":
                await asyncio.Event().wait()
            case "wrong":
                raise AppError("Not like this", code="wrong")
            case "bug":
                raise ZeroDivisionError(f"secret {data}")
            case "unsendable":
                return {1, 2}
            case "reserved":
                await client.send(type="welcome")
            case "admin":
                return client.user.is_admin
            case "close":
                await client.close(data.get("code", 1000), "as asked")
        return None


class Strict(Chat):
    """Lets nobody into a channel who has no grant."""

    def on_subscribe(self, client: Client, channel: str) -> bool:
        return False
