"""The updates of the measurements: short messages of 500 chats."""

from typing import Any

CHATS = 500
TOKEN = "42:sandbox-bench"


def update(number: int) -> dict[str, Any]:
    """Make one."""
    chat = 100 + number % CHATS
    person = {"id": chat, "is_bot": False, "first_name": "Ada", "language_code": "en"}
    place = {"id": chat, "type": "private", "first_name": "Ada"}
    message = {"message_id": number, "date": 1_700_000_000, "chat": place, "from": person, "text": "hello there"}
    return {"update_id": number, "message": message}
