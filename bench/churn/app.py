"""The app of the churn run: everybody may enter, and every channel keeps its last messages."""

from typing import ClassVar

from mini_apps import App, Channel, Client

HALL = "hall"  # everybody is in it


class Churn(App):
    """Keeps as much as a client may miss in half a minute at the rate of the long run."""

    channels: ClassVar = {"room:*": Channel(history=60, ttl=300), HALL: Channel(history=120, ttl=300)}

    async def on_subscribe(self, client: Client, channel: str) -> bool:
        return True
