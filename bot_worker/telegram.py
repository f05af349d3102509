"""aiogram's `Bot` as the settings of an app want it, and the raw form of getUpdates."""

from typing import Any, TypeVar

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.methods.base import TelegramMethod

from mini_apps.telegram_session import LeanSession
from shared.lifecycle import StartError
from shared.settings import AppSettings

SessionT = TypeVar("SessionT", bound=AiohttpSession)


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
    """Make the bot of an app for the worker's own business; its session must be closed.

    Args:
        settings: of the app, with a token.

    Raises:
        StartError: a socks proxy is set and the package for it is missing.
    """
    return bot_over(make_session(settings, LeanSession), settings)


def bot_over(session: AiohttpSession, settings: AppSettings) -> Bot:
    """Make the bot of an app over a session.

    Args:
        session: calls go through it.
        settings: of the app, with a token.
    """
    if settings.bot_token is None:
        raise ValueError(f"app {settings.name!r} has no bot token")
    default = DefaultBotProperties(parse_mode=settings.parse_mode)
    return Bot(settings.bot_token.get_secret_value(), session=session, default=default)


def make_session(settings: AppSettings, kind: type[SessionT], *, limit: int = 100) -> SessionT:
    """Make a session as the settings of an app want it.

    Args:
        settings: of the app.
        kind: of session.
        limit: connections at a time; 0 for no limit.

    Raises:
        StartError: a socks proxy is set and the package for it is missing.
    """
    try:
        return kind(proxy=settings.proxy or None, limit=limit, api=api_server(settings))
    except RuntimeError:
        name = settings.name
        raise StartError(f"apps.{name}.proxy needs a package: pip install aiohttp-socks, or take proxy out") from None


def api_server(settings: AppSettings) -> TelegramAPIServer:
    """Return where the Bot API of an app is.

    Source: https://core.telegram.org/bots/webapps#testing-mini-apps for the test environment's `/test/`.
    """
    place = settings.api_server.rstrip("/")
    test = "/test" if settings.test_environment else ""
    return TelegramAPIServer(
        base=f"{place}/bot{{token}}{test}/{{method}}", file=f"{place}/file/bot{{token}}{test}/{{path}}"
    )
