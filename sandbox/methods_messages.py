"""Methods that send, edit and delete messages.

Source: https://core.telegram.org/bots/api#sendmessage, https://core.telegram.org/bots/api#updating-messages
"""

from typing import Any

from sandbox.errors import bad_request
from sandbox.formatting import bot_text
from sandbox.keyboards import check_place, inline_keyboard
from sandbox.methods import Call, method
from sandbox.methods_groups import require_right_to_delete
from sandbox.model import Json, Message, RichText
from sandbox.params import Params
from sandbox.reactions import react
from sandbox.sending import Content, deliver, spend
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
    extra = {"link_preview_options": options} if (options := call.params.obj("link_preview_options")) else {}
    return deliver(call, Content(text_of(call.params), extra))[0].to_api()


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
    """Delete one message, the user's too where the bot may."""
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    message = _message(call, dialog, "message to delete not found")
    require_right_to_delete(call, dialog, message.sender.id)
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
            require_right_to_delete(call, dialog, message.sender.id)
            call.world.remove(call.bot, dialog, message)
    return True


@method("setMessageReaction")
def set_message_reaction(call: Call) -> bool:
    """Put the bot's emoji on a message, or take it off."""
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    check_writable(dialog)
    message = _message(call, dialog, "message to react not found")
    reactions = call.params.array("reaction") or []
    if len(reactions) > 1 or any(not isinstance(item, dict) or item.get("type") != "emoji" for item in reactions):
        raise bad_request("REACTIONS_TOO_MANY" if len(reactions) > 1 else "REACTION_INVALID")
    react(call.world, call.bot, dialog, message, call.bot.user, [str(item.get("emoji")) for item in reactions])
    return True


def text_of(params: Params) -> RichText:
    """Return the formatted text of a call.

    Raises:
        ApiError: empty, too long or wrongly marked up.
    """
    return bot_text(params.text("text"), params.text("parse_mode"), params.array("entities"))


def _edit(call: Call, **changes: Any) -> Json | bool:
    markup = inline_keyboard(call.params.obj("reply_markup"))
    dialog, message = editable(call)
    check_place(markup, dialog)
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


def editable(call: Call) -> tuple[Dialog, Message]:
    """Return the message of the bot that a call wants to change.

    Raises:
        ApiError: it is not there, or not the bot's.
    """
    if inline_id := call.params.text("inline_message_id"):
        place = call.bot.inline_messages.get(inline_id, call.now)
        dialog = call.bot.dialogs[place[0]] if place else None
        message = find_message(dialog, place[1]) if dialog and place else None
        if dialog is None or message is None:
            raise bad_request("MESSAGE_ID_INVALID")
        return dialog, message
    return own_message(call)


def own_message(call: Call) -> tuple[Dialog, Message]:
    """Return the message of the bot that a call names by chat and number.

    Raises:
        ApiError: it is not there, or not the bot's.
    """
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
