"""Methods that send again what is there: forward and copy.

Source: https://core.telegram.org/bots/api#forwardmessage, https://core.telegram.org/bots/api#copymessage
"""

from sandbox.errors import bad_request
from sandbox.formatting import bot_text
from sandbox.methods import Call, method
from sandbox.model import Json, Message
from sandbox.sending import Content, deliver
from sandbox.state import find_dialog, find_message

MAX_AT_ONCE = 100
_NOTHING: frozenset[str] = frozenset()
_EFFECTS = frozenset({"message_effect_id"})
_SERVICE = ("new_chat_members", "left_chat_member", "new_chat_title", "pinned_message", "write_access_allowed")


@method("forwardMessage")
def forward_message(call: Call) -> Json:
    """Send a message on, with a word of where it came from."""
    return deliver(call, _forwarded(_source(call, call.params.integer("message_id"))), takes=_EFFECTS)[0].to_api()


@method("forwardMessages")
def forward_messages(call: Call) -> list[Json]:
    """Send several messages on; those that are gone are skipped."""
    return [{"message_id": sent.id} for sent in deliver(call, *map(_forwarded, _sources(call)), takes=_NOTHING)]


@method("copyMessage")
def copy_message(call: Call) -> Json:
    """Send a message again as the bot's own, with another caption if there is one."""
    message = _source(call, call.params.integer("message_id"))
    extra = dict(message.extra)
    if "caption" in call.params and not message.content.text:
        extra = {name: value for name, value in extra.items() if not name.startswith("caption")}
        text = bot_text(
            call.params.text("caption"), call.params.text("parse_mode"), call.params.array("caption_entities")
        )
        extra |= {"caption": text.text, "caption_entities": [entity.to_api() for entity in text.entities]}
    return {"message_id": deliver(call, Content(message.content, extra))[0].id}


@method("copyMessages")
def copy_messages(call: Call) -> list[Json]:
    """Send several messages again as the bot's own; those that are gone are skipped."""
    contents = [Content(message.content, dict(message.extra)) for message in _sources(call)]
    return [{"message_id": sent.id} for sent in deliver(call, *contents, takes=_NOTHING)]


def _source(call: Call, id_: int) -> Message:
    dialog = find_dialog(call.world, call.bot, call.params.text("from_chat_id"))
    message = find_message(dialog, id_)
    if message is None:
        raise bad_request("message to forward not found" if "forward" in call.name else "message to copy not found")
    if message.extra.get("has_protected_content") or any(name in message.extra for name in _SERVICE):
        raise bad_request(f"message can't be {'forwarded' if 'forward' in call.name else 'copied'}")
    return message


def _sources(call: Call) -> list[Message]:
    ids = call.params.array("message_ids") or []
    if not 0 < len(ids) <= MAX_AT_ONCE:
        raise bad_request("there are no messages to forward" if not ids else "too many messages to forward")
    dialog = find_dialog(call.world, call.bot, call.params.text("from_chat_id"))
    found = [find_message(dialog, id_) for id_ in ids if isinstance(id_, int)]
    return [message for message in found if message is not None]


def _forwarded(message: Message) -> Content:
    origin = {"type": "user", "date": message.date, "sender_user": message.sender.to_api()}
    return Content(message.content, {**message.extra, "forward_origin": message.extra.get("forward_origin", origin)})
