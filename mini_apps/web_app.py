"""What a bot does in the name of a user who has its mini app open.

Source: https://core.telegram.org/bots/webapps
"""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mini_apps.telegram_bot import bot_of

if TYPE_CHECKING:
    from mini_apps.client import Client

__all__ = ["answer_query", "prepare_message", "set_menu_button"]

MAX_TITLE = 64  # of what only Telegram sees of a plain text


async def answer_query(client: "Client", result: Any) -> str | None:
    """Carry out `Client.answer_query`."""
    data = getattr(client.user, "telegram_data", None) or {}
    query_id = data.get("query_id")
    if not query_id:
        raise ValueError(
            "this mini app was not opened in a way that takes an answer; Telegram gives a query_id with menu buttons "
            "and inline buttons only"
        )
    bot = await bot_of(client.app)
    sent = await bot.answer_web_app_query(query_id, _result(result))
    return sent.inline_message_id


async def prepare_message(client: "Client", result: Any, kinds: Mapping[str, bool]) -> str:
    """Carry out `Client.prepare_message`; `kinds` of chats by name."""
    allowed = {f"allow_{kind}_chats": True for kind, is_allowed in kinds.items() if is_allowed}
    if not allowed:
        raise ValueError("a prepared message needs a kind of chat it may go to: user, bot, group or channel")
    bot = await bot_of(client.app)
    prepared = await bot.save_prepared_inline_message(client.user.telegram_id, _result(result), **allowed)
    return prepared.id


async def set_menu_button(client: "Client", text: str | None, url: str) -> None:
    """Carry out `Client.set_menu_button`."""
    bot = await bot_of(client.app)
    from aiogram.types import MenuButtonDefault, MenuButtonWebApp, WebAppInfo  # noqa: PLC0415 - loaded by the line before

    url = url or client.app.settings.url
    if text is not None and not url:
        raise ValueError(f"a menu button opens an address: give one, or set apps.{client.app.name}.url")
    button = MenuButtonDefault() if text is None else MenuButtonWebApp(text=text, web_app=WebAppInfo(url=url))
    await bot.set_chat_menu_button(chat_id=client.user.telegram_id, menu_button=button)


def _result(given: Any) -> Any:
    """Make an inline query result of a plain text, or of a dict of the Bot API."""
    from aiogram.types import (  # noqa: PLC0415 - whoever calls Telegram has it loaded
        InlineQueryResultArticle,
        InlineQueryResultUnion,
        InputTextMessageContent,
    )

    if isinstance(given, str):
        content = InputTextMessageContent(message_text=given)
        return InlineQueryResultArticle(id=secrets.token_hex(8), title=given[:MAX_TITLE], input_message_content=content)
    if isinstance(given, Mapping):
        from pydantic import TypeAdapter  # noqa: PLC0415 - aiogram brought it

        return TypeAdapter(InlineQueryResultUnion).validate_python({"id": secrets.token_hex(8), **given})
    return given
