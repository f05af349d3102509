"""aiogram's `Bot` as the settings of an app want it, and the raw form of getUpdates."""

from typing import Any

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.methods.base import TelegramMethod

from shared.lifecycle import StartError
from shared.settings import AppSettings


class GetRawUpdates(TelegramMethod[list[Any]]):
    """getUpdates without decoding: kinds and fields that aiogram does not know stay in.

    Source: https://core.telegram.org/bots/api#getupdates
    """

    __returning__ = list[Any]
    __api_method__ = "getUpdates"

    offset: int | None = None
    timeout: int | None = None
    allowed_updates: list[str] | None = None


def make_bot(settings: AppSettings) -> Bot:
    """Make the bot of an app; its session must be closed.

    Args:
        settings: of the app, with a token.

    Raises:
        StartError: a socks proxy is set and the package for it is missing.
    """
    if settings.bot_token is None:
        raise ValueError(f"app {settings.name!r} has no bot token")
    try:
        session = AiohttpSession(proxy=settings.proxy or None, api=api_server(settings))
    except RuntimeError:
        name = settings.name
        raise StartError(f"apps.{name}.proxy needs a package: pip install aiohttp-socks, or take proxy out") from None
    default = DefaultBotProperties(parse_mode=settings.parse_mode)
    return Bot(settings.bot_token.get_secret_value(), session=session, default=default)


def api_server(settings: AppSettings) -> TelegramAPIServer:
    """Return where the Bot API of an app is.

    Source: https://core.telegram.org/bots/webapps#testing-mini-apps for the test environment's `/test/`.
    """
    place = settings.api_server.rstrip("/")
    test = "/test" if settings.test_environment else ""
    return TelegramAPIServer(
        base=f"{place}/bot{{token}}{test}/{{method}}", file=f"{place}/file/bot{{token}}{test}/{{path}}"
    )
