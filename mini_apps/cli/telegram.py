"""The Bot API for a command: one bot, and its failures as lines."""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TEST, TelegramAPIServer
from aiogram.exceptions import TelegramAPIError, TelegramNetworkError, TelegramUnauthorizedError
from aiogram.types import User, WebhookInfo
from aiogram.utils.token import TokenValidationError

from mini_apps.cli.problem import EXIT_USAGE, Problem
from shared.redact import scrub
from shared.settings import AppSettings

OFFICIAL = "https://api.telegram.org"


class Telegram:
    """A bot for the length of a block.

    Args:
        app: whose bot it is.

    Raises:
        Problem: the app has no token.
    """

    def __init__(self, app: AppSettings) -> None:
        if app.bot_token is None:
            raise Problem(f"apps.{app.name}.bot-token is not set, and Telegram wants one", EXIT_USAGE)
        self._server = app.api_server.rstrip("/")
        session = AiohttpSession(api=_server(app, self._server), proxy=app.proxy or None)
        try:
            self.bot = Bot(app.bot_token.get_secret_value(), session=session)
        except TokenValidationError:
            raise Problem("this is no bot token; @BotFather gives one", EXIT_USAGE) from None

    async def __aenter__(self) -> Self:
        """Use the bot."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        await self.bot.session.close()

    async def me(self) -> User:
        """Ask which bot the token belongs to."""
        with self._telling():
            return await self.bot.get_me()

    async def webhook(self) -> WebhookInfo:
        """Ask what Telegram knows of the webhook."""
        with self._telling():
            return await self.bot.get_webhook_info()

    async def set_webhook(self, url: str, secret: str, *, allowed_updates: list[str], drop_pending: bool) -> None:
        """Set the webhook."""
        with self._telling():
            await self.bot.set_webhook(
                url, secret_token=secret, allowed_updates=allowed_updates or None, drop_pending_updates=drop_pending
            )

    async def delete_webhook(self, *, drop_pending: bool) -> None:
        """Delete the webhook."""
        with self._telling():
            await self.bot.delete_webhook(drop_pending_updates=drop_pending)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except TelegramUnauthorizedError:
            raise Problem(f"{self._server} does not know this token; @BotFather gives a new one") from None
        except TelegramNetworkError as error:
            raise Problem(f"{self._server} cannot be reached: {scrub(error.message)}") from None
        except TelegramAPIError as error:
            raise Problem(f"{self._server} refused: {scrub(error.message)}") from None


def _server(app: AppSettings, base: str) -> TelegramAPIServer:
    if base == OFFICIAL and app.test_environment:
        return TEST
    api = TelegramAPIServer.from_base(base)
    return TelegramAPIServer(f"{base}/bot{{token}}/test/{{method}}", api.file) if app.test_environment else api
