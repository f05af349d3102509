"""Links into groups.

Source: https://core.telegram.org/bots/api#chatinvitelink
"""

from sandbox.errors import ActionError
from sandbox.groups import set_member
from sandbox.model import Json, Member, User
from sandbox.state import Bot, Dialog, World

PREFIX = "https://t.me/+"


def new_invite(world: World, bot: Bot, dialog: Dialog, *, primary: bool) -> Json:
    """Make a link of the bot into a group and return the Bot API `ChatInviteLink`."""
    name = f"{world.rng.getrandbits(64):016x}"
    dialog.invites[name] = {
        "invite_link": PREFIX + name,
        "creator": bot.user.to_api(),
        "creates_join_request": False,
        "is_primary": primary,
        "is_revoked": False,
    }
    return dialog.invites[name]


def join(world: World, bot: Bot, user: User, name: str, now: float) -> Dialog:
    """Come into a group by a link, and return the group.

    Args:
        world: where it happens.
        bot: whose group it is.
        user: who comes.
        name: the last part of the link.
        now: unix seconds.

    Raises:
        ActionError: the link leads nowhere, or the user was thrown out for good.
    """
    dialog = next((dialog for dialog in bot.dialogs.values() if name in dialog.invites), None)
    if dialog is None or _is_over(dialog.invites[name], now):
        raise ActionError("this link leads nowhere any more", status=404)
    member = dialog.members.get(user.id)
    if member is not None and member.status == "kicked":
        raise ActionError("you were thrown out of this group", status=403)
    if member is None or not member.is_there:
        world.require_room(bot)
        invite = dialog.invites[name]
        if "member_limit" in invite:
            invite["member_limit"] -= 1
        set_member(world, bot, dialog, user, Member(user), now, invite=invite)
    return dialog


def _is_over(invite: Json, now: float) -> bool:
    return bool(invite["is_revoked"] or invite.get("member_limit", 1) < 1 or invite.get("expire_date", now) < now)
