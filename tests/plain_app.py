"""An app that overrides as little as an app can."""

from typing import Any

from mini_apps import App, Client
from shared import trace


class Plain(App):
    """Answers with the correlation id of the message."""

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> str:
        return trace.current()
