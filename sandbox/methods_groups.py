"""Methods about groups and who is in them.

Source: https://core.telegram.org/bots/api#available-methods
"""

from dataclasses import replace

from sandbox.errors import ApiError, bad_request
from sandbox.groups import ADMIN_RIGHTS, MAX_TITLE, PERMISSIONS, admin, announce, member_json, rename, set_member
from sandbox.methods import Call, method
from sandbox.model import Json, Member
from sandbox.state import Dialog, check_writable, find_dialog, find_message

MAX_CUSTOM_TITLE = 16
MAX_DESCRIPTION = 255


@method("getChatMember")
def get_chat_member(call: Call) -> Json:
    """Return what somebody is in a chat."""
    dialog = _chat(call)
    return member_json(_member(call, dialog), dialog)


@method("getChatMemberCount")
def get_chat_member_count(call: Call) -> int:
    """Return how many are in a chat, the bot too."""
    dialog = _chat(call)
    return sum(member.is_there for member in dialog.members.values()) if dialog.is_group else 2


@method("getChatAdministrators")
def get_chat_administrators(call: Call) -> list[Json]:
    """Return who runs a group."""
    dialog = _group(call)
    return [member_json(member, dialog) for member in dialog.members.values() if member.is_admin]


@method("leaveChat")
def leave_chat(call: Call) -> bool:
    """Go."""
    dialog = _group(call)
    set_member(call.world, call.bot, dialog, call.bot.user, Member(call.bot.user, "left"), call.now)
    return True


@method("banChatMember")
def ban_chat_member(call: Call) -> bool:
    """Throw somebody out for good, or until a time."""
    return _set(call, "can_restrict_members", "kicked", until=_until(call))


@method("unbanChatMember")
def unban_chat_member(call: Call) -> bool:
    """Let somebody come again; who is in the group is thrown out, unless `only_if_banned`."""
    dialog = as_admin(call, "can_restrict_members")
    if call.params.flag("only_if_banned") and _member(call, dialog).status != "kicked":
        return True
    return _set(call, "can_restrict_members", "left")


@method("restrictChatMember")
def restrict_chat_member(call: Call) -> bool:
    """Take rights from a member of a supergroup, or give all of them back."""
    if _group(call).chat.type != "supergroup":
        raise bad_request("method is available only for supergroups")
    given = call.params.obj("permissions") or {}
    rights = {name: bool(given.get(name)) for name in PERMISSIONS}
    if all(rights[name] for name in PERMISSIONS[:10]):
        return _set(call, "can_restrict_members", "member")
    return _set(call, "can_restrict_members", "restricted", rights=rights, until=_until(call))


@method("promoteChatMember")
def promote_chat_member(call: Call) -> bool:
    """Make somebody an administrator with the rights given, or a member again where none is."""
    dialog = as_admin(call, "can_promote_members")
    rights = {name: True for name in (*ADMIN_RIGHTS, "is_anonymous") if call.params.flag(name)}
    member = _member(call, dialog)
    new = admin(member.user, **rights, can_manage_chat=True) if rights else Member(member.user)
    return _replace(call, dialog, member, new)


@method("setChatAdministratorCustomTitle")
def set_chat_administrator_custom_title(call: Call) -> bool:
    """Call an administrator of a supergroup something of the bot's choice."""
    dialog = as_admin(call, "can_promote_members")
    title, member = call.params.text("custom_title"), _member(call, dialog)
    if len(title) > MAX_CUSTOM_TITLE:
        raise bad_request("ADMIN_RANK_INVALID")
    if member.status != "administrator":
        raise bad_request("user is not an administrator")
    return _replace(call, dialog, member, replace(member, title=title))


@method("setChatTitle")
def set_chat_title(call: Call) -> bool:
    """Give a group another name."""
    dialog = as_admin(call, "can_change_info")
    title = call.params.text("title").strip()
    if not title or len(title) > MAX_TITLE:
        raise bad_request("CHAT_TITLE_EMPTY" if not title else "title is too long")
    rename(call.world, call.bot, dialog, call.bot.user, title, call.now)
    return True


@method("setChatDescription")
def set_chat_description(call: Call) -> bool:
    """Say what a group is for; `getChat` tells it."""
    dialog = as_admin(call, "can_change_info")
    description = call.params.text("description")
    if len(description) > MAX_DESCRIPTION:
        raise bad_request("chat description is too long")
    dialog.description = description
    return True


@method("setChatPermissions")
def set_chat_permissions(call: Call) -> bool:
    """Say what members may do; `getChat` tells it, and who may not write cannot."""
    dialog = as_admin(call, "can_restrict_members")
    given = call.params.obj("permissions") or {}
    dialog.permissions = {name: bool(given.get(name)) for name in PERMISSIONS}
    return True


@method("pinChatMessage")
def pin_chat_message(call: Call) -> bool:
    """Pin a message at the top of a chat."""
    dialog = _may_pin(call)
    message = find_message(dialog, call.params.integer("message_id"))
    if message is None:
        raise bad_request("message to pin not found")
    dialog.pinned = [*(id_ for id_ in dialog.pinned if id_ != message.id), message.id]
    call.world.emit_chat(call.bot, dialog, "chat")
    announce(call.world, call.bot, dialog, call.bot.user, {"pinned_message": message.to_api()}, call.now)
    return True


@method("unpinChatMessage")
def unpin_chat_message(call: Call) -> bool:
    """Take a message, or the newest that is pinned, from the top of a chat."""
    dialog = _may_pin(call)
    wanted = call.params.integer("message_id") or (dialog.pinned[-1] if dialog.pinned else 0)
    if wanted not in dialog.pinned:
        raise bad_request("message to unpin not found")
    dialog.pinned.remove(wanted)
    call.world.emit_chat(call.bot, dialog, "chat")
    return True


@method("unpinAllChatMessages")
def unpin_all_chat_messages(call: Call) -> bool:
    """Take all messages from the top of a chat."""
    dialog = _may_pin(call)
    dialog.pinned.clear()
    call.world.emit_chat(call.bot, dialog, "chat")
    return True


def _chat(call: Call) -> Dialog:
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    if dialog.is_group:
        check_writable(dialog)
    return dialog


def _group(call: Call) -> Dialog:
    dialog = _chat(call)
    if not dialog.is_group:
        raise bad_request("there are no administrators in the private chat")
    return dialog


def _member(call: Call, dialog: Dialog) -> Member:
    """Return somebody's place in a chat; who was never there has left."""
    id_ = call.params.integer("user_id")
    if id_ in dialog.members:
        return dialog.members[id_]
    user = call.bot.user if id_ == call.bot.id else call.world.users.get(id_)
    if user is None:
        raise bad_request("PARTICIPANT_ID_INVALID" if dialog.is_group else "user not found")
    return Member(user, "member" if not dialog.is_group and user.id in (dialog.chat.id, call.bot.id) else "left")


def as_admin(call: Call, right: str) -> Dialog:
    """Return the group that a call names, where the bot has a right in it.

    Raises:
        ApiError: it has not, or this is no group.
    """
    dialog = _group(call)
    if not dialog.members[call.bot.id].rights.get(right):
        name = right.removeprefix("can_").replace("_", " ")
        raise bad_request(f"not enough rights to {name}")
    return dialog


def _may_pin(call: Call) -> Dialog:
    dialog = _chat(call)
    return as_admin(call, "can_pin_messages") if dialog.is_group else dialog


def _set(call: Call, right: str, status: str, *, rights: dict[str, bool] | None = None, until: int = 0) -> bool:
    dialog = as_admin(call, right)
    member = _member(call, dialog)
    return _replace(call, dialog, member, Member(member.user, status, rights or {}, until=until))


def _replace(call: Call, dialog: Dialog, old: Member, new: Member) -> bool:
    if old.status == "creator":
        raise bad_request("can't remove chat owner" if new.status == "kicked" else "can't restrict chat owner")
    if old.user.id == call.bot.id:
        raise bad_request("can't restrict self")
    set_member(call.world, call.bot, dialog, call.bot.user, new, call.now)
    return True


def _until(call: Call) -> int:
    """Return when a ban or restriction ends; less than 30 seconds or more than a year from now is never."""
    until = call.params.integer("until_date")
    return until if 30 <= until - call.now <= 366 * 24 * 3600 else 0


def require_right_to_delete(call: Call, dialog: Dialog, sender: int) -> None:
    """Refuse what a bot may not delete: in groups what others wrote, unless it is an administrator who may.

    Raises:
        ApiError: it may not.
    """
    me = dialog.members.get(call.bot.id)
    if dialog.is_group and sender != call.bot.id and (me is None or not me.rights.get("can_delete_messages")):
        raise ApiError(400, "Bad Request: message can't be deleted")
