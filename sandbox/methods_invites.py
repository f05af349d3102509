"""Methods about links into groups.

Source: https://core.telegram.org/bots/api#chatinvitelink
"""

from sandbox.errors import bad_request
from sandbox.invites import PREFIX, new_invite
from sandbox.methods import Call, method
from sandbox.methods_groups import as_admin
from sandbox.model import Json


@method("exportChatInviteLink")
def export_chat_invite_link(call: Call) -> str:
    """Make the bot's main link into a group anew; the one before leads nowhere any more."""
    dialog = as_admin(call, "can_invite_users")
    for invite in dialog.invites.values():
        invite["is_revoked"] = invite["is_revoked"] or invite["is_primary"]
    return str(new_invite(call.world, call.bot, dialog, primary=True)["invite_link"])


@method("createChatInviteLink")
def create_chat_invite_link(call: Call) -> Json:
    """Make one more link into a group, with a name and a number of people it lets in."""
    dialog = as_admin(call, "can_invite_users")
    invite = new_invite(call.world, call.bot, dialog, primary=False)
    if name := call.params.text("name"):
        invite["name"] = name[:32]
    for limit in ("expire_date", "member_limit"):
        if value := call.params.integer(limit):
            invite[limit] = value
    return invite


@method("revokeChatInviteLink")
def revoke_chat_invite_link(call: Call) -> Json:
    """Let a link lead nowhere any more."""
    dialog = as_admin(call, "can_invite_users")
    invite = dialog.invites.get(call.params.text("invite_link").removeprefix(PREFIX))
    if invite is None:
        raise bad_request("INVITE_HASH_EXPIRED")
    invite["is_revoked"] = True
    return invite
