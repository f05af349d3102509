"""The app our side runs in a benchmark: plain use of what an app may do."""

import asyncio
from typing import Any

from mini_apps import App, Client


class Bench(App):
    """Answers, relays and lets clients into channels."""

    async def on_subscribe(self, client: Client, channel: str) -> bool:
        return channel.startswith("lobby:")

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        match type:
            case "echo":
                return {"t": data["t"]}
            case "relay":
                await self.publish(data["room"], type="relay", t=data["t"])
            case "enter":  # `count` of the `of` channels, so that all get equally many members
                first, count, of = data["first"], data["count"], data["of"]
                await asyncio.gather(*(client.join(f"{data['kind']}:{(first * count + k) % of}") for k in range(count)))
        return None
