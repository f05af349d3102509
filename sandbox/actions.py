"""What people do on their phones, and the updates that come of it.

Source: https://core.telegram.org/bots/api#update
"""

import hashlib
from typing import Any

from sandbox.errors import ActionError, ApiError
from sandbox.formatting import user_text
from sandbox.methods_queries import post_result, result_content
from sandbox.model import Json, Message, RichText, User
from sandbox.state import Bot, Dialog, Query, World, find_message


def send_text(world: World, bot: Bot, user: User, text: str, now: float) -> Message:
    """Write to a bot; the first message starts it, and writing to a blocked bot unblocks it.

    Raises:
        ActionError: the text is empty or too long.
    """
    try:
        content = user_text(text)
    except ApiError as error:
        raise ActionError(error.description.removeprefix("Bad Request: ")) from error
    world.require_room(bot)
    dialog = world.dialog(bot, user)
    if dialog.blocked:
        set_blocked(world, bot, user, blocked=False, now=now)
    if not dialog.started:
        dialog.started = True
        world.emit_chat(bot, dialog, "chat")
    return _post(world, bot, dialog, user, content, now)


def press_button(world: World, bot: Bot, user: User, message_id: int, data: str, now: float) -> str:
    """Press a callback button and return the id of the query, whose answer comes as an event.

    Raises:
        ActionError: there is no such message or button.
    """
    dialog = world.dialog(bot, user)
    message = find_message(dialog, message_id)
    rows = ((message.markup or {}).get("inline_keyboard") or []) if message else []
    if message is None or not any(button.get("callback_data") == data for row in rows for button in row):
        raise ActionError("this button is no longer there", status=404)
    query_id = world.new_id()
    payload: Json = {
        "id": query_id,
        "from": user.to_api(),
        "chat_instance": chat_instance(bot, dialog.chat.id),
        "data": data,
    }
    if message.inline_id:
        payload["inline_message_id"] = message.inline_id
    else:
        payload["message"] = message.to_api()
    bot.callback_queries.add(query_id, Query(user, dialog), now)
    world.update(bot, "callback_query", payload, order_key=dialog.chat.id, now=now)
    return query_id


def send_inline_query(world: World, bot: Bot, user: User, query: str, offset: str, now: float) -> str:
    """Type `@bot query` and return the id of the query, whose results come as an event.

    Raises:
        ActionError: the query is longer than Telegram lets anybody type.
    """
    if len(query) > 256:
        raise ActionError("an inline query has at most 256 characters")
    query_id = world.new_id()
    bot.inline_queries.add(query_id, Query(user, world.dialog(bot, user), {"query": query}), now)
    payload = {
        "id": query_id,
        "from": user.to_api(),
        "query": query,
        "offset": offset,
        "chat_type": "sender",
    }
    world.update(bot, "inline_query", payload, order_key=user.id, now=now)
    return query_id


def choose_result(world: World, bot: Bot, user: User, query_id: str, result_id: str, now: float) -> Message:
    """Send one of the shown inline results to the chat.

    Raises:
        ActionError: the results are gone, or this kind of result cannot be sent here.
    """
    answer = bot.inline_answers.get(query_id, now)
    result = next((item for item in (answer or {}).get("results", ()) if item["id"] == result_id), None)
    if answer is None or result is None:
        raise ActionError("this result is no longer there: ask again", status=404)
    try:
        result_content(result)
    except ApiError as error:
        raise ActionError(f"a result of type {result['type']} without a text cannot be sent yet") from error
    dialog = world.dialog(bot, user)
    world.require_room(bot)
    message = post_result(world, bot, dialog, result, now)
    chosen: Json = {"result_id": result_id, "from": user.to_api(), "query": answer["query"]}
    if message.inline_id:
        chosen["inline_message_id"] = message.inline_id
    world.update(bot, "chosen_inline_result", chosen, order_key=user.id, now=now)
    if dialog.started:
        world.update(bot, "message", message.to_api(), order_key=dialog.chat.id, now=now)
    return message


def set_blocked(world: World, bot: Bot, user: User, *, blocked: bool, now: float) -> None:
    """Block or unblock a bot; it learns of it by `my_chat_member`."""
    dialog = world.dialog(bot, user)
    if dialog.blocked == blocked:
        return
    dialog.blocked = blocked
    world.emit_chat(bot, dialog, "chat")
    kicked: Json = {"user": bot.user.to_api(), "status": "kicked", "until_date": 0}
    member: Json = {"user": bot.user.to_api(), "status": "member"}
    payload = {
        "chat": dialog.chat.to_api(),
        "from": user.to_api(),
        "date": int(now),
        "old_chat_member": member if blocked else kicked,
        "new_chat_member": kicked if blocked else member,
    }
    world.update(bot, "my_chat_member", payload, order_key=dialog.chat.id, now=now)


def send_web_app_data(world: World, bot: Bot, user: User, button_text: str, data: str, now: float) -> Message:
    """Send what a mini app opened from a keyboard button hands to its bot.

    Raises:
        ActionError: more than 4096 bytes, or there is no such keyboard button.
    """
    dialog = world.dialog(bot, user)
    rows = (dialog.keyboard or {}).get("keyboard") or []
    if not any(button["text"] == button_text and "web_app" in button for row in rows for button in row):
        raise ActionError("only a mini app opened from a keyboard button can send data to the bot", status=404)
    if not 0 < len(data.encode()) <= 4096:
        raise ActionError("data has 1 to 4096 bytes")
    world.require_room(bot)
    extra = {"web_app_data": {"data": data, "button_text": button_text}}
    return _post(world, bot, dialog, user, RichText(""), now, extra=extra)


def chat_instance(bot: Bot, chat_id: int) -> str:
    """Return the id that stands for a chat in callback queries and launches: the same for all its members."""
    digest = hashlib.sha256(f"{bot.id}:{chat_id}".encode()).digest()
    return str(int.from_bytes(digest[:8], "big", signed=True))


def _post(world: World, bot: Bot, dialog: Dialog, user: User, content: RichText, now: float, **fields: Any) -> Message:
    message = world.post(bot, dialog, user, content, now, **fields)
    world.update(bot, "message", message.to_api(), order_key=dialog.chat.id, now=now)
    return message
