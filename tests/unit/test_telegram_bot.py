"""Which apps let a WebSocket node load aiogram at its start."""

from typing import Any

from examples.counter.app import Counter
from mini_apps import App
from mini_apps.telegram_bot import names_telegram


class Quiet(App):
    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        return self.telegram_me

    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Start"""
        return await self.telegram.get_me()

    async def on_telegram_message(self, event: Any) -> Any:
        return self.telegram.token

    def server_tasks(self) -> Any:
        return [self.telegram.get_me]


class Asking(Quiet):
    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        return await self._ask()

    async def _ask(self) -> Any:
        return [await call() for call in (lambda: self.telegram.get_me(),)]  # noqa: PLW0108 - a function inside the method


class Inheriting(Asking):
    pass


class Static(App):
    @staticmethod
    def ask(app: App) -> Any:
        return app.telegram


class Notifying(App):
    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        await self.notify(1, "Your turn")


class Sharing(App):
    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        return await client.prepare_message("Come and play")


def test_only_what_a_node_runs_counts() -> None:
    assert not any(map(names_telegram, (App, Counter, Quiet)))
    assert all(map(names_telegram, (Asking, Inheriting, Static)))


def test_our_own_members_that_call_telegram_count_too() -> None:
    assert all(map(names_telegram, (Notifying, Sharing)))
