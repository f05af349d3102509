"""An app's connection to Telegram: the bot it calls with, its router, the state of a conversation."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from mini_apps import telegram_hooks
from mini_apps.bot_status import TelegramMe
from mini_apps.bound import BoundApp
from mini_apps.hooks import call
from mini_apps.telegram_hooks import TelegramLink

if TYPE_CHECKING:
    from aiogram import Bot, Router
    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery, InlineQuery, Message

    from shared.settings import AppSettings

__all__ = ["Calling"]


class Calling(BoundApp):
    """The members of an app that reach Telegram.

    Args:
        settings: the app's section of the settings.
        name: of the app in the deployment.
    """

    _remote_bot: "Bot | None"

    def __init__(self, settings: "AppSettings | Mapping[str, Any]", name: str | None = None) -> None:
        super().__init__(settings, name)
        self.telegram_link: TelegramLink | None = None
        self._remote_bot = None

    def setup_router(self, router: "Router") -> Any:
        """Fill the app's aiogram router; once per instance, only in a bot worker.

        Args:
            router: its handlers get `app`, the FSM state and what middlewares add; `self.router` from then on.
        """

    async def attach_telegram(self, bot: "Bot", run: Callable[[], Awaitable[None]], me: TelegramMe) -> TelegramLink:
        """Give the app its connection to Telegram and fill its router; the bot worker does, once.

        Args:
            bot: through which the app calls.
            run: serves the bot until the worker stops.
            me: which bot it is.
        """
        from aiogram import Router  # noqa: PLC0415 - 146 MB that only a bot worker needs

        link = TelegramLink(bot, run, Router(name=self.name))
        await call(self.setup_router, link.router)
        self.telegram_link, self.telegram_me = link, me
        return link

    @property
    def telegram(self) -> "Bot":
        """The aiogram `Bot`, in every process: `await self.telegram.send_message(chat_id, "Hello")`.

        Outside the bot worker its calls travel to one; its token is no token. `getUpdates`, `setWebhook`,
        `deleteWebhook`, `logOut` and `close` are the project's own.

        Raises:
            RuntimeError: nobody knows yet which bot it is: the settings do not tell, and no bot worker ever connected.
        """
        if self.telegram_link is not None:
            return self.telegram_link.bot
        if self._remote_bot is None:
            from mini_apps.remote_session import remote_bot  # noqa: PLC0415 - aiogram, only where an app calls Telegram

            self._remote_bot = remote_bot(self)
        return self._remote_bot

    @property
    def router(self) -> "Router":
        """The app's aiogram router.

        Raises:
            RuntimeError: this is no bot worker.
        """
        return self._link("have a router").router

    def fsm(self, event: "Message | CallbackQuery | InlineQuery") -> "FSMContext":  # noqa: ARG002 - the update being handled has one state
        """Give the conversation state of the update that is being handled.

        Raises:
            RuntimeError: none is.
        """
        state: FSMContext = telegram_hooks.current_data(self)["state"]
        return state

    def _link(self, purpose: str) -> TelegramLink:
        if self.telegram_link is None:
            raise RuntimeError(f"app {self.name!r} can {purpose} in a bot worker only, while it has a bot token")
        return self.telegram_link
