"""What people do on their phones, and the updates that come of it.

Source: https://core.telegram.org/bots/api#update
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from sandbox.errors import ActionError, ApiError
from sandbox.files import Sent
from sandbox.formatting import user_text
from sandbox.groups import check_may_write, find_group, tell
from sandbox.methods_queries import NOTHING, post_result
from sandbox.model import NO_TEXT, Json, Message, RichText, User
from sandbox.state import Bot, Dialog, Query, World, find_message


def place(world: World, bot: Bot, user: User, chat: int) -> Dialog:
    """Return the chat somebody acts in: their private one with the bot, or a group they are in.

    Args:
        world: where it happens.
        bot: whose chats these are.
        user: who acts.
        chat: id of the group; 0, or the user's own id, for the private chat.

    Raises:
        ActionError: there is no such group, or they are not in it.
    """
    if chat in (0, user.id):
        return world.dialog(bot, user)
    dialog = find_group(bot, chat)
    if not dialog.has(user):
        raise ActionError(f"{user.first_name} is not in this group", status=403)
    return dialog


def send_text(
    world: World, bot: Bot, user: User, text: str, now: float, *, chat: int = 0, reply_to: int = 0
) -> Message:
    """Write to a bot or a group; the first message starts the bot, and writing to a blocked one unblocks it.

    Args:
        world: where it happens.
        bot: whose chat it is.
        user: who writes.
        text: as typed.
        now: unix seconds.
        chat: a group; 0 for the private chat.
        reply_to: id of the message that is replied to; 0 for none.

    Raises:
        ActionError: the text is empty or too long, or the user may not write there.
    """
    return send(world, bot, user, now, content=_typed(text), chat=chat, reply_to=reply_to)


def send(
    world: World,
    bot: Bot,
    user: User,
    now: float,
    *,
    content: RichText = NO_TEXT,
    extra: Json | None = None,
    chat: int = 0,
    reply_to: int = 0,
) -> Message:
    """Put a message of a user into a chat; `extra` says what it has besides or instead of a text.

    Raises:
        ActionError: the user may not write there, or the bot fetches nothing.
    """
    world.require_room(bot)
    dialog = place(world, bot, user, chat)
    check_may_write(dialog, user)
    replied = find_message(dialog, reply_to) if reply_to else None
    if reply_to and replied is None:
        raise ActionError("the message to reply to is no longer there", status=404)
    if not dialog.is_group:
        _open(world, bot, dialog, user, now)
    return _post(world, bot, dialog, user, content, now, reply_to=replied, extra=extra or {})


def edit_text(world: World, bot: Bot, user: User, message_id: int, text: str, now: float, *, chat: int = 0) -> Message:
    """Change what one wrote; the bot gets `edited_message`.

    Raises:
        ActionError: it is not there, not theirs, has no text, or the new text is empty or too long.
    """
    content = _typed(text)
    dialog = place(world, bot, user, chat)
    message = _own(dialog, user, message_id)
    if not message.content.text or message.via_bot is not None:
        raise ActionError("only a text of your own can be edited")
    world.require_room(bot)
    edited = world.replace(bot, dialog, message, content=content, edit_date=int(now))
    tell(world, bot, dialog, edited, now, "edited_message")
    return edited


def delete_own(world: World, bot: Bot, user: User, message_id: int, *, chat: int = 0) -> None:
    """Delete a message for everybody; in groups others' only as an administrator. Bots hear nothing of it.

    Raises:
        ActionError: it is not there, or not theirs to delete.
    """
    dialog = place(world, bot, user, chat)
    member = dialog.members.get(user.id)
    if not dialog.is_group or (member is not None and member.is_admin):
        message = find_message(dialog, message_id)
        if message is None:
            raise ActionError("this message is no longer there", status=404)
    else:
        message = _own(dialog, user, message_id)
    world.remove(bot, dialog, message)


def press_button(world: World, bot: Bot, user: User, message_id: int, data: str, now: float, *, chat: int = 0) -> str:
    """Press a callback button and return the id of the query, whose answer comes as an event.

    Raises:
        ActionError: there is no such message or button.
    """
    dialog = place(world, bot, user, chat)
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


def send_inline_query(world: World, bot: Bot, user: User, query: str, offset: str, now: float, *, chat: int = 0) -> str:
    """Type `@bot query` in a chat and return the id of the query, whose results come as an event.

    Raises:
        ActionError: the query is longer than Telegram lets anybody type.
    """
    if len(query) > 256:
        raise ActionError("an inline query has at most 256 characters")
    dialog = place(world, bot, user, chat)
    query_id = world.new_id()
    bot.inline_queries.add(query_id, Query(user, dialog, {"query": query}), now)
    payload = {
        "id": query_id,
        "from": user.to_api(),
        "query": query,
        "offset": offset,
        "chat_type": dialog.chat.type if dialog.is_group else "sender",
    }
    world.update(bot, "inline_query", payload, order_key=user.id, now=now)
    return query_id


def chosen_result(bot: Bot, query_id: str, result_id: str, now: float) -> Json:
    """Return one of the shown inline results.

    Raises:
        ActionError: the results are gone.
    """
    answer = bot.inline_answers.get(query_id, now)
    found = next((item for item in (answer or {}).get("results", ()) if item["id"] == result_id), None)
    if found is None:
        raise ActionError("this result is no longer there: ask again", status=404)
    return dict(found)


def choose_result(
    world: World,
    bot: Bot,
    user: User,
    query_id: str,
    result_id: str,
    now: float,
    fetched: Mapping[str, Sent] = NOTHING,
) -> Message:
    """Send one of the shown inline results to the chat in which they were asked for.

    Args:
        world: where it happens.
        bot: whose results they are.
        user: who chooses.
        query_id: of the inline query.
        result_id: of the result.
        now: unix seconds.
        fetched: files by address, where the result names one.

    Raises:
        ActionError: the results are gone, or this kind of result cannot be sent here.
    """
    result = chosen_result(bot, query_id, result_id, now)
    answer = bot.inline_answers.get(query_id, now) or {}
    dialog = place(world, bot, user, answer["chat"])
    check_may_write(dialog, user)
    world.require_room(bot)
    try:
        message = post_result(world, bot, dialog, user, result, now, fetched)
    except ApiError as error:
        raise ActionError(f"a result of type {result['type']} cannot be sent: {error.description}") from error
    chosen: Json = {"result_id": result_id, "from": user.to_api(), "query": answer["query"]}
    if message.inline_id:
        chosen["inline_message_id"] = message.inline_id
    world.update(bot, "chosen_inline_result", chosen, order_key=user.id, now=now)
    if dialog.started:
        tell(world, bot, dialog, message, now)
    return message


def share_prepared(world: World, bot: Bot, user: User, prepared_id: str, now: float, *, chat: int = 0) -> Message:
    """Share a message the bot prepared, in the user's chat with the bot or in a group, where it may go there.

    Raises:
        ActionError: it was prepared for somebody else, for other chats, was shared before, or is too old.
    """
    prepared = bot.prepared.get(prepared_id, now)
    if prepared is None or prepared.user.id != user.id:
        raise ActionError("this message is no longer there", status=404)
    dialog = place(world, bot, user, chat)
    if dialog.is_group and "group" not in prepared.data["allowed"]:
        raise ActionError("the bot did not allow this message to be shared in groups")
    check_may_write(dialog, user)
    bot.prepared.pop(prepared_id, now)
    message = post_result(world, bot, dialog, user, prepared.data["result"], now, prepared.data["files"])
    if dialog.is_group:
        tell(world, bot, dialog, message, now)
    return message


def allow_writing(world: World, bot: Bot, user: User, now: float) -> None:
    """Let a bot write that asked for it from a mini app; it is told once.

    Raises:
        ActionError: the bot fetches nothing.
    """
    dialog = world.dialog(bot, user)
    if dialog.blocked:
        set_blocked(world, bot, user, blocked=False, now=now)
    if dialog.started:
        return
    world.require_room(bot)
    dialog.started = True
    world.emit_chat(bot, dialog, "chat")
    message = world.post_empty(bot, dialog, user, now, {"write_access_allowed": {"from_request": True}})
    world.update(bot, "message", message.to_api(), order_key=dialog.chat.id, now=now)


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
    return _post(world, bot, dialog, user, NO_TEXT, now, extra=extra)


def _typed(text: str) -> RichText:
    try:
        return user_text(text)
    except ApiError as error:
        raise ActionError(error.description.removeprefix("Bad Request: ")) from error


def _own(dialog: Dialog, user: User, message_id: int) -> Message:
    message = find_message(dialog, message_id)
    if message is None:
        raise ActionError("this message is no longer there", status=404)
    if message.sender.id != user.id:
        raise ActionError("this is somebody else's message", status=403)
    return message


def _open(world: World, bot: Bot, dialog: Dialog, user: User, now: float) -> None:
    """Start a private chat by writing in it."""
    if dialog.blocked:
        set_blocked(world, bot, user, blocked=False, now=now)
    if not dialog.started:
        dialog.started = True
        world.emit_chat(bot, dialog, "chat")


def chat_instance(bot: Bot, chat_id: int) -> str:
    """Return the id that stands for a chat in callback queries and launches: the same for all its members."""
    digest = hashlib.sha256(f"{bot.id}:{chat_id}".encode()).digest()
    return str(int.from_bytes(digest[:8], "big", signed=True))


def _post(world: World, bot: Bot, dialog: Dialog, user: User, content: RichText, now: float, **fields: Any) -> Message:
    message = world.post(bot, dialog, user, content, now, **fields)
    tell(world, bot, dialog, message, now)
    return message
