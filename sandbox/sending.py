"""What all methods that send have in common: the chat, whether the bot may, markup, replies, limits.

Source: https://core.telegram.org/bots/api#sendmessage
"""

from dataclasses import dataclass, field

from sandbox.errors import bad_request, too_many_requests
from sandbox.keyboards import check_place, inline_keyboard, reply_keyboard
from sandbox.methods import Call
from sandbox.model import NO_TEXT, Json, Message, RichText
from sandbox.params import Params
from sandbox.state import Dialog, check_writable, find_dialog, find_message

TAKES = frozenset({"reply_markup", "reply_parameters", "allow_paid_broadcast", "message_effect_id"})


@dataclass(frozen=True, slots=True)
class Content:
    """What one message holds.

    Args:
        text: with its entities.
        extra: further Bot API fields, such as a photo.
    """

    text: RichText = NO_TEXT
    extra: Json = field(default_factory=dict)


def deliver(call: Call, *contents: Content, inline: Json | None = None, takes: frozenset[str] = TAKES) -> list[Message]:
    """Send messages to the chat that a call names.

    Args:
        call: with the parameters of sending.
        contents: one for each message.
        inline: a checked inline keyboard, instead of the one among the parameters.
        takes: which of the parameters of most methods this one has.

    Raises:
        ApiError: the chat is not there or not to be written to, a button is wrong, or a limit is reached.
    """
    markup = call.params.obj("reply_markup") if "reply_markup" in takes else None
    inline, keyboard = inline or inline_keyboard(markup), reply_keyboard(markup)
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    check_writable(dialog)
    check_place(inline or keyboard, dialog)
    reply_to = replied(call.params, dialog) if "reply_parameters" in takes else None
    paid = "allow_paid_broadcast" in takes and call.params.flag("allow_paid_broadcast")
    for _ in contents:  # an album counts for as many messages as it has
        spend(call, dialog, paid=paid)
    if keyboard is not None:
        dialog.keyboard = None if keyboard.get("remove_keyboard") else keyboard
        call.world.emit_chat(call.bot, dialog, "chat")
    marks = _marks(call.params, effects="message_effect_id" in takes)
    return [
        call.world.post(
            call.bot,
            dialog,
            call.bot.user,
            content.text,
            call.now,
            markup=inline,
            reply_to=reply_to,
            extra={**content.extra, **marks},
        )
        for content in contents
    ]


def spend(call: Call, dialog: Dialog, *, paid: bool = False) -> None:
    """Take one message from the bot's sending budget, if limits are switched on.

    Raises:
        ApiError: 429 with the seconds to wait.
    """
    wait = call.bot.limits.take(dialog.chat.id, call.now, paid=paid)
    if wait is not None:
        raise too_many_requests(wait)


def replied(params: Params, dialog: Dialog) -> Message | None:
    """Return the message a call replies to.

    Raises:
        ApiError: it is not there, and that matters.
    """
    reply = params.obj("reply_parameters") or {}
    if not reply and "reply_to_message_id" not in params:
        return None
    found = find_message(dialog, Params(reply).integer("message_id") or params.integer("reply_to_message_id"))
    lenient = reply.get("allow_sending_without_reply") or params.flag("allow_sending_without_reply")
    if found is None and not lenient:
        raise bad_request("message to be replied not found")
    return found


def _marks(params: Params, *, effects: bool) -> Json:
    marks: Json = {}
    if params.flag("protect_content"):
        marks["has_protected_content"] = True
    if effects and (effect := params.text("message_effect_id")):
        marks["effect_id"] = effect
    return marks
