"""What is known of the Bot API's methods by their names: may one be repeated, and which chat does it go to.

Source: https://core.telegram.org/bots/api#available-methods
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

__all__ = ["DOWNLOAD", "OWNED", "Repeat", "addressee", "known", "repeat"]

DOWNLOAD: Final = "downloadFile"  # no method of the Bot API: a file behind `/file/`, for a process without the token

OWNED: Final[Mapping[str, str]] = {
    "getUpdates": "the bot workers bring the updates in; write a hook",
    "setWebhook": "the bot workers set the webhook; see ingest and gateway.public-url",
    "deleteWebhook": "the bot workers set the webhook; see ingest",
    "logOut": "it locks the bot out of its server; call it from outside, with every worker stopped",
    "close": "it closes the bot at its server; call it from outside, with every worker stopped",
}
"""The methods the project keeps to itself, and what to do in their place."""


class Repeat(Enum):
    """What a second try does where nobody knows whether the first one arrived."""

    READS = "reads"
    """It only asks, so it may be repeated whenever one likes."""
    SAFE = "safe"
    """It ends in the same state, so it may be repeated."""
    TWICE = "twice"
    """It may happen twice, so it is not repeated."""


# Verbs whose methods set something to a value, or remove something: the second time changes nothing more.
_SAFE_VERB: Final = re.compile(
    "approve|ban|close|decline|delete|edit|hide|leave|log|pin|promote|read|remove|reopen|restrict|revoke|set|stop|unban|"
    "unhide|unpin|verify"
)
# Verbs whose methods make something new, which the second time makes another one of.
_TWICE_VERB: Final = re.compile(
    "add|answer|convert|copy|create|export|forward|gift|post|refund|replace|repost|save|send|transfer|upgrade|upload"
)
# Where the verb misleads: a second one shows nothing more, or replaces what was there under the same name.
_SAFE: Final = frozenset(
    {
        "answerCallbackQuery",
        "answerInlineQuery",
        "answerPreCheckoutQuery",
        "answerShippingQuery",
        "createInvoiceLink",
        "sendChatAction",
        "sendMessageDraft",
        "sendRichMessageDraft",
    }
)
# And the other way: a second one does more, or fails in a way that hides that the first one did it.
_TWICE: Final = frozenset(
    {"editUserStarSubscription", "replaceManagedBotToken", "setGameScore", "stopPoll", "unpinChatMessage"}
)

# What counts against a bot's limits: what people get to see in a chat.
_SENDING_VERBS: Final = ("send", "forward", "copy", "edit")
_NOT_SENDING: Final = frozenset(
    {
        "editChatInviteLink",
        "editChatSubscriptionInviteLink",
        "editForumTopic",
        "editGeneralForumTopic",
        "editStory",
        "editUserStarSubscription",
        "sendChatAction",
        "sendChatJoinRequestWebApp",
        "sendGift",
    }
)


def repeat(method: str) -> Repeat:
    """Tell what repeating a method means; one that nobody here knows is not repeated.

    Args:
        method: as the Bot API writes it, such as `sendMessage`.
    """
    return known(method) or Repeat.TWICE


def known(method: str) -> Repeat | None:
    """Tell what repeating a method means; None for a method of which neither name nor verb is known.

    Args:
        method: as the Bot API writes it.
    """
    verb = _verb(method)
    if verb == "get" or method == DOWNLOAD:
        return Repeat.READS
    if method in _SAFE or (_SAFE_VERB.fullmatch(verb) and method not in _TWICE):
        return Repeat.SAFE
    return Repeat.TWICE if method in _TWICE or _TWICE_VERB.fullmatch(verb) else None


def addressee(method: str, fields: Mapping[str, str]) -> int | str | None:
    """Return the chat whose limit a call counts against: its id or `@name`; None where it counts against none.

    Args:
        method: as the Bot API writes it.
        fields: of the call, as texts.
    """
    chat = fields.get("chat_id", "")
    if not chat or _verb(method) not in _SENDING_VERBS or method in _NOT_SENDING:
        return None
    try:
        return int(chat)
    except ValueError:
        return chat


def _verb(method: str) -> str:
    """Return the first word of a name in camel case."""
    return next((method[:at] for at, letter in enumerate(method) if letter.isupper()), method)
