"""Events as the bot shows them in chats."""

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from examples.mini_event.models import Event

MOST_RESULTS = 50  # https://core.telegram.org/bots/api#answerinlinequery


def when(event: "Event") -> str:
    """Say when an event begins and how long it takes."""
    start = datetime.fromtimestamp(event.start, UTC)
    hours = "1 hour" if event.duration == 1 else f"{event.duration:g} hours"
    return f"{start:%a} {start.day} {start:%b %Y, %H:%M} UTC, {hours}"


def link(username: str, short_name: str, event_id: int) -> str:
    """Give the link that opens the mini app at an event. Source: https://core.telegram.org/bots/webapps.

    Args:
        username: of the bot.
        short_name: of the mini app; empty for the bot's main one.
        event_id: which event.
    """
    return f"https://t.me/{username}/{short_name}?startapp={event_id}".replace("/?", "?")


def article(event: "Event", address: str) -> dict[str, Any]:
    """Give an event as an inline result. Source: https://core.telegram.org/bots/api#inlinequeryresultarticle.

    Args:
        event: the event.
        address: that opens it.
    """
    lines = [f"<b>{escape(event.title)}</b>", escape(event.description), f"🗓 {when(event)}"]
    result = {
        "type": "article",
        "id": f"{event.id}-{event.revision}",
        "title": event.title,
        "description": f"{when(event)}\n{event.description}"[:200],
        "input_message_content": {"message_text": "\n\n".join(filter(None, lines)), "parse_mode": "HTML"},
        "reply_markup": {"inline_keyboard": [[{"text": "Open the event", "url": address}]]},
    }
    if event.image.startswith("https://"):  # Telegram fetches it
        result["thumbnail_url"] = event.image
    return result
