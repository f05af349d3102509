"""Groups: who is in them, what a bot hears there, and what it is told of comings and goings.

Source: https://core.telegram.org/bots/api#chatmember, https://core.telegram.org/bots/features#privacy-mode
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from sandbox.errors import ActionError
from sandbox.model import NO_TEXT, Chat, Json, Member, Message, User
from sandbox.state import Bot, Dialog, World

GroupKind = Literal["group", "supergroup"]

MAX_TITLE = 128
MAX_GROUPS = 100
FIRST_IDS: dict[str, int] = {"group": -4_000_000_001, "supergroup": -1_001_000_000_001}

ADMIN_RIGHTS = (
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
    "can_send_welcome_messages",
    "can_pin_messages",
    "can_manage_topics",
)
PERMISSIONS = (
    "can_send_messages",
    "can_send_audios",
    "can_send_documents",
    "can_send_photos",
    "can_send_videos",
    "can_send_video_notes",
    "can_send_voice_notes",
    "can_send_polls",
    "can_send_other_messages",
    "can_add_web_page_previews",
    "can_react_to_messages",
    "can_edit_tag",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
)


def create_group(
    world: World, bot: Bot, owner: User, title: str, kind: GroupKind, members: Iterable[User], now: float
) -> Dialog:
    """Make a group with a bot in it; the bot is told that it was added.

    Raises:
        ActionError: the title has no letter or too many, there are too many groups, or the bot fetches nothing.
    """
    title = title.strip()
    if not 0 < len(title) <= MAX_TITLE:
        raise ActionError(f"a group's title has 1 to {MAX_TITLE} characters")
    taken = {chat for other in world.bots.values() for chat in other.dialogs}
    if len([chat for chat in bot.dialogs if chat < 0]) >= MAX_GROUPS:
        raise ActionError(f"there are {MAX_GROUPS} groups already")
    world.require_room(bot)
    dialog = Dialog(Chat(_free(FIRST_IDS[kind], taken), kind, title))
    dialog.members = {user.id: Member(user) for user in members}
    dialog.members[owner.id] = Member(owner, "creator")
    bot.dialogs[dialog.chat.id] = dialog
    world.emit("group", {"bot": bot.id, "chat": dialog.chat.id})
    set_member(world, bot, dialog, owner, Member(bot.user), now)
    created = {"supergroup_chat_created": True} if kind == "supergroup" else {"group_chat_created": True}
    announce(world, bot, dialog, owner, created, now)
    return dialog


def set_member(
    world: World, bot: Bot, dialog: Dialog, actor: User, new: Member, now: float, *, invite: Json | None = None
) -> None:
    """Let somebody come, go, rise or fall, by whoever did it, and tell the bot.

    The bot learns of itself by `my_chat_member`, of others by `chat_member` where it is an administrator and asked
    for these updates; a coming or going is also a message in the chat.
    """
    old = dialog.members.get(new.user.id, Member(new.user, "left"))
    if old == new:
        return
    heard = hears_members(bot, dialog)
    dialog.members[new.user.id] = new
    change: Json = {
        "chat": dialog.chat.to_api(),
        "from": actor.to_api(),
        "date": int(now),
        "old_chat_member": member_json(old, dialog),
        "new_chat_member": member_json(new, dialog),
    }
    if invite is not None:
        change["invite_link"] = dict(invite)
    if new.user.id == bot.id:
        dialog.started, dialog.blocked = new.is_there, new.status == "kicked"
        world.update(bot, "my_chat_member", change, order_key=dialog.chat.id, now=now)
    elif heard:
        world.update(bot, "chat_member", change, order_key=dialog.chat.id, now=now)
    world.emit_chat(bot, dialog, "group")
    if old.is_there != new.is_there and (len(dialog.messages) or new.user.id != bot.id):
        name, value = ("new_chat_members", [new.user.to_api()]) if new.is_there else _leaves(new.user)
        announce(world, bot, dialog, actor, {name: value}, now)


def announce(world: World, bot: Bot, dialog: Dialog, actor: User, what: Json, now: float) -> Message:
    """Put a service message into a group; the bot hears it where it is in there."""
    message = world.post_empty(bot, dialog, actor, now, what)
    tell(world, bot, dialog, message, now)
    return message


def tell(world: World, bot: Bot, dialog: Dialog, message: Message, now: float, kind: str = "message") -> bool:
    """Give the bot an update about a message if it hears it; return whether."""
    heard = hears(bot, dialog, message)
    if heard:
        world.update(bot, kind, message.to_api(), order_key=dialog.chat.id, now=now)
    return heard


def hears(bot: Bot, dialog: Dialog, message: Message) -> bool:
    """Tell whether a message reaches the bot: in groups, with privacy on, only what is meant for it.

    Source: https://core.telegram.org/bots/faq#what-messages-will-my-bot-get
    """
    if not dialog.is_group:
        return True
    me = dialog.members.get(bot.id)
    if me is None or not me.is_there or message.sender.id == bot.id:
        return False
    if me.is_admin or not bot.privacy or _is_service(message):
        return True
    if message.via_bot is not None:
        return message.via_bot.id == bot.id
    if message.reply_to is not None and message.reply_to.sender.id == bot.id:
        return True
    return _is_command_for(message, bot)


def hears_members(bot: Bot, dialog: Dialog) -> bool:
    """Tell whether the bot is told of other members."""
    me = dialog.members.get(bot.id)
    return me is not None and me.is_admin


def member_json(member: Member, dialog: Dialog) -> Json:
    """Return the Bot API `ChatMember`."""
    result: Json = {"user": member.user.to_api(), "status": member.status}
    match member.status:
        case "creator":
            result["is_anonymous"] = False
        case "administrator":
            rights = ADMIN_RIGHTS if dialog.chat.type == "supergroup" else ADMIN_RIGHTS[:-1]
            result |= {"can_be_edited": False, "is_anonymous": member.rights.get("is_anonymous", False)}
            result |= {name: member.rights.get(name, False) for name in rights}
        case "restricted":
            result |= {"is_member": True, "until_date": member.until}
            result |= {name: member.rights.get(name, False) for name in PERMISSIONS}
        case "kicked":
            result["until_date"] = member.until
    if member.title:
        result["custom_title"] = member.title
    return result


def check_may_write(dialog: Dialog, user: User) -> None:
    """Refuse what a restricted member may not do.

    Raises:
        ActionError: they may not write, or are not in the group.
    """
    member = dialog.members.get(user.id)
    if dialog.is_group and (member is None or not member.is_there):
        raise ActionError(f"{user.first_name} is not in this group", status=403)
    if member is None or member.is_admin:
        return
    rights = member.rights if member.status == "restricted" else dialog.permissions or {"can_send_messages": True}
    if not rights.get("can_send_messages"):
        raise ActionError(f"{user.first_name} may not write in this group", status=403)


def admin(user: User, **rights: bool) -> Member:
    """Return an administrator with all rights but that of making others one, where nothing else is said."""
    return Member(user, "administrator", rights or {name: name != "can_promote_members" for name in ADMIN_RIGHTS})


def upgrade(world: World, bot: Bot, dialog: Dialog, actor: User, now: float) -> Dialog:
    """Turn a group into a supergroup with another id; the old one answers the bot with the new id.

    Raises:
        ActionError: it is none, or was turned before.
    """
    if dialog.chat.type != "group" or dialog.moved_to:
        raise ActionError("only a basic group becomes a supergroup, once")
    world.require_room(bot)
    new = Dialog(Chat(_free(FIRST_IDS["supergroup"], bot.dialogs), "supergroup", dialog.chat.title))
    new.members, new.started, new.blocked = dict(dialog.members), dialog.started, dialog.blocked
    bot.dialogs[new.chat.id] = new
    announce(world, bot, dialog, actor, {"migrate_to_chat_id": new.chat.id}, now)
    dialog.moved_to = new.chat.id
    world.emit("group", {"bot": bot.id, "chat": new.chat.id, "was": dialog.chat.id})
    announce(world, bot, new, actor, {"migrate_from_chat_id": dialog.chat.id}, now)
    return new


def group_json(bot: Bot, dialog: Dialog) -> Json:
    """Return what the page shows of a group."""
    return {
        **dialog.chat.to_api(),
        "bot": dialog.members[bot.id].status,
        "members": [
            {"user": member.user.to_api(), "status": member.status}
            for id_, member in dialog.members.items()
            if id_ != bot.id and member.is_there
        ],
    }


def find_group(bot: Bot, chat_id: int) -> Dialog:
    """Return a group of the bot.

    Raises:
        ActionError: there is none with this id.
    """
    dialog = bot.dialogs.get(chat_id)
    if dialog is None or not dialog.is_group or dialog.moved_to:
        raise ActionError(f"there is no group {chat_id} here", status=404)
    return dialog


def rename(world: World, bot: Bot, dialog: Dialog, actor: User, title: str, now: float) -> None:
    """Give a group another title, which is a message in it."""
    dialog.chat = replace(dialog.chat, title=title)
    world.emit_chat(bot, dialog, "group")
    announce(world, bot, dialog, actor, {"new_chat_title": title}, now)


def _leaves(user: User) -> tuple[str, Any]:
    return "left_chat_member", user.to_api()


def _free(first: int, taken: Iterable[int]) -> int:
    ids = set(taken)
    while first in ids:
        first -= 1
    return first


def _is_service(message: Message) -> bool:
    return message.content == NO_TEXT and any(
        name in message.extra
        for name in (
            "new_chat_members",
            "left_chat_member",
            "new_chat_title",
            "pinned_message",
            "group_chat_created",
            "supergroup_chat_created",
            "migrate_to_chat_id",
            "migrate_from_chat_id",
            "write_access_allowed",
            "successful_payment",
            "refunded_payment",
        )
    )


def _is_command_for(message: Message, bot: Bot) -> bool:
    """Tell whether a message begins with a command for this bot, or for any."""
    entities = message.content.entities
    if not entities or entities[0].type != "bot_command" or entities[0].offset:
        return False
    name = message.content.text[1 : entities[0].length].partition("@")[2]
    return not name or name.lower() == bot.user.username.lower()
