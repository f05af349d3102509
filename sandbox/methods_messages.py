"""Methods that send, edit and delete messages.

Source: https://core.telegram.org/bots/api#sendmessage, https://core.telegram.org/bots/api#updating-messages
"""

from typing import Any

from sandbox.errors import bad_request, too_many_requests
from sandbox.formatting import bot_text
from sandbox.keyboards import inline_keyboard, reply_keyboard
from sandbox.methods import Call, method
from sandbox.model import Json, Message, RichText
from sandbox.params import Params
from sandbox.state import Dialog, check_writable, find_dialog, find_message

MAX_DELETED = 100
_ACTIONS = frozenset(
    {"typing", "choose_sticker", "find_location"}
    | {f"record_{what}" for what in ("video", "voice", "video_note")}
    | {f"upload_{what}" for what in ("photo", "video", "voice", "document", "video_note")}
)


@method("sendMessage")
def send_message(call: Call) -> Json:
    """Send a text; `chat not found` until the user has met the bot, 403 until they started it."""
    content = text_of(call.params)
    markup = call.params.obj("reply_markup")
    inline, keyboard = inline_keyboard(markup), reply_keyboard(markup)
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    check_writable(dialog)
    reply_to = _replied(call.params, dialog)
    spend(call, dialog)
    extra: Json = {}
    if call.params.flag("protect_content"):
        extra["has_protected_content"] = True
    if effect := call.params.text("message_effect_id"):
        extra["effect_id"] = effect
    if keyboard is not None:
        dialog.keyboard = None if keyboard.get("remove_keyboard") else keyboard
        call.world.emit_chat(call.bot, dialog, "chat")
    message = call.world.post(
        call.bot, dialog, call.bot.user, content, call.now, markup=inline, reply_to=reply_to, extra=extra
    )
    return message.to_api()


@method("sendChatAction")
def send_chat_action(call: Call) -> bool:
    """Show "typing…" and the like."""
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    action = call.params.text("action").lower()
    if action not in _ACTIONS:
        raise bad_request("wrong parameter action in request")
    check_writable(dialog)
    call.world.emit_chat(call.bot, dialog, "action", {"action": action})
    return True


@method("editMessageText")
def edit_message_text(call: Call) -> Json | bool:
    """Replace text and inline keyboard of one of the bot's messages."""
    content = text_of(call.params)
    return _edit(call, content=content)


@method("editMessageReplyMarkup")
def edit_message_reply_markup(call: Call) -> Json | bool:
    """Replace the inline keyboard of one of the bot's messages."""
    return _edit(call)


@method("deleteMessage")
def delete_message(call: Call) -> bool:
    """Delete one message, the user's too (it is a private chat)."""
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    message = _message(call, dialog, "message to delete not found")
    call.world.remove(call.bot, dialog, message)
    return True


@method("deleteMessages")
def delete_messages(call: Call) -> bool:
    """Delete several messages; those that are gone are skipped."""
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    ids = call.params.array("message_ids") or []
    if not ids:
        raise bad_request("message identifiers are not specified")
    if len(ids) > MAX_DELETED:
        raise bad_request("too many message identifiers specified")
    for id_ in ids:
        if isinstance(id_, int) and (message := find_message(dialog, id_)):
            call.world.remove(call.bot, dialog, message)
    return True


def text_of(params: Params) -> RichText:
    """Return the formatted text of a call.

    Raises:
        ApiError: empty, too long or wrongly marked up.
    """
    return bot_text(params.text("text"), params.text("parse_mode"), params.array("entities"))


def spend(call: Call, dialog: Dialog) -> None:
    """Take one message from the bot's sending budget, if limits are switched on.

    Raises:
        ApiError: 429 with the seconds to wait.
    """
    wait = call.bot.limits.take(dialog.chat.id, call.now)
    if wait is not None:
        raise too_many_requests(wait)


def _replied(params: Params, dialog: Dialog) -> Message | None:
    reply = params.obj("reply_parameters") or {}
    if not reply and "reply_to_message_id" not in params:
        return None
    found = find_message(dialog, Params(reply).integer("message_id") or params.integer("reply_to_message_id"))
    lenient = reply.get("allow_sending_without_reply") or params.flag("allow_sending_without_reply")
    if found is None and not lenient:
        raise bad_request("message to be replied not found")
    return found


def _edit(call: Call, **changes: Any) -> Json | bool:
    markup = inline_keyboard(call.params.obj("reply_markup"))
    dialog, message = _editable(call)
    if "content" not in changes and not message.content.text:
        raise bad_request("there is no text in the message to edit")
    if message.markup == markup and changes.get("content", message.content) == message.content:
        raise bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same "
            "as a current content and reply markup of the message"
        )
    spend(call, dialog)
    # A changed keyboard alone does not mark a message as edited.
    date = int(call.now) if "content" in changes else message.edit_date
    edited = call.world.replace(call.bot, dialog, message, markup=markup, edit_date=date, **changes)
    return True if call.params.text("inline_message_id") else edited.to_api()


def _editable(call: Call) -> tuple[Dialog, Message]:
    if inline_id := call.params.text("inline_message_id"):
        place = call.bot.inline_messages.get(inline_id, call.now)
        dialog = call.bot.dialogs[place[0]] if place else None
        message = find_message(dialog, place[1]) if dialog and place else None
        if dialog is None or message is None:
            raise bad_request("MESSAGE_ID_INVALID")
        return dialog, message
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    message = _message(call, dialog, "message to edit not found")
    if message.sender.id != call.bot.id:
        raise bad_request("message can't be edited")
    return dialog, message


def _message(call: Call, dialog: Dialog, missing: str) -> Message:
    id_ = call.params.integer("message_id")
    if not id_:
        raise bad_request("message identifier is not specified")
    message = find_message(dialog, id_)
    if message is None:
        raise bad_request(missing)
    return message
