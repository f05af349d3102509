"""What Telegram says of whether the bot may write to a user, noted in the app's audience."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy.exc import SQLAlchemyError

from mini_apps.audience import cannot_be_written_to
from shared.bot_methods import addressee

if TYPE_CHECKING:
    from mini_apps.app import App


async def note_contact(app: "App", update: dict[str, Any], *, admitted: bool) -> None:
    """Note that a user wrote to the bot in private, blocked it, or let it in again.

    Args:
        app: whose bot it is.
        update: decoded.
        admitted: whether updates of the user reach the app; of others it is noted only that they blocked the bot.

    Raises:
        SQLAlchemyError: the database did not take what Telegram tells only once; the update is to be tried again.
    """
    audience, name = app.mesh.audience, app.name
    if (change := _private(update.get("my_chat_member"))) is not None:
        status = (change.get("new_chat_member") or {}).get("status")
        if status == "kicked":
            await audience.block(name, change["chat"]["id"])
        elif status == "member" and admitted:
            await audience.note(name, change["chat"]["id"], returned=True)
    elif admitted and (message := _private(update.get("message"))) is not None:
        try:
            # What the button of a blocked bot sends, and what follows from a mini app's request.
            returned = str(message.get("text") or "").startswith("/start") or "write_access_allowed" in message
            await audience.note(name, message["chat"]["id"], returned=returned)
        except SQLAlchemyError as error:  # the next message tells it again, so this one need not wait
            app.log.warning("who wrote to the bot was not noted", error=type(error).__name__)


async def note_refusal(app: "App", method: str, fields: Mapping[str, str], body: bytes) -> None:
    """Note that a user is out, where Telegram refuses a message to them for good.

    Args:
        app: whose bot it is.
        method: of the call.
        fields: of the call, as texts.
        body: of Telegram's 403.
    """
    chat = addressee(method, fields)
    if not isinstance(chat, int) or chat <= 0:
        return
    try:
        description = str(orjson.loads(body).get("description"))
    except (ValueError, AttributeError):
        return
    if not cannot_be_written_to(403, description):
        return
    try:
        await app.mesh.audience.block(app.name, chat)
    except SQLAlchemyError as error:  # the next message to them is refused again
        app.log.warning("who blocked the bot was not noted", error=type(error).__name__)


def _private(event: Any) -> dict[str, Any] | None:
    """Give an event of a private chat, whose id is that of its user."""
    chat = event.get("chat") if isinstance(event, dict) else None
    private = isinstance(chat, dict) and chat.get("type") == "private" and type(chat.get("id")) is int
    return event if private else None
