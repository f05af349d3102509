"""Emoji that people and bots put on messages.

Source: https://core.telegram.org/bots/api#messagereactionupdated
"""

from collections.abc import Sequence

from sandbox.groups import hears_members
from sandbox.model import Json, Message, User
from sandbox.state import Bot, Dialog, World


def react(world: World, bot: Bot, dialog: Dialog, message: Message, user: User, emoji: Sequence[str]) -> list[str]:
    """Put somebody's emoji on a message in the place of those before, and return these."""
    given = dialog.reactions.setdefault(message.id, {})
    before = given.get(user.id, [])
    given[user.id] = list(emoji)
    world.emit_chat(bot, dialog, "reactions", {"message_id": message.id, "reactions": counted(dialog, message.id)})
    return before


def user_reacts(
    world: World, bot: Bot, dialog: Dialog, message: Message, user: User, emoji: Sequence[str], now: float
) -> None:
    """Let a user react; the bot gets `message_reaction` if it asked for it, in groups as an administrator."""
    before = react(world, bot, dialog, message, user, emoji)
    if dialog.is_group and not hears_members(bot, dialog):
        return
    payload: Json = {
        "chat": dialog.chat.to_api(),
        "message_id": message.id,
        "user": user.to_api(),
        "date": int(now),
        "old_reaction": [{"type": "emoji", "emoji": item} for item in before],
        "new_reaction": [{"type": "emoji", "emoji": item} for item in emoji],
    }
    world.update(bot, "message_reaction", payload, order_key=dialog.chat.id, now=now)


def counted(dialog: Dialog, message_id: int) -> dict[str, int]:
    """Return how many gave which emoji to a message."""
    counts: dict[str, int] = {}
    for emoji in dialog.reactions.get(message_id, {}).values():
        for item in emoji:
            counts[item] = counts.get(item, 0) + 1
    return counts
