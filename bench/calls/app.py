"""The app of these runs: a bot that answers."""

from typing import Any

from mini_apps import App


class Answering(App):
    """Answers each message with one of its own."""

    async def on_telegram_message(self, event: Any) -> Any:
        return event.answer("here")
