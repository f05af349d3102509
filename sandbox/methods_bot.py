"""Methods about the bot itself: identity, commands, menu button, webhook, chats it knows.

Source: https://core.telegram.org/bots/api#available-methods
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from sandbox.errors import bad_request, too_many_requests
from sandbox.groups import PERMISSIONS
from sandbox.hosts import is_loopback
from sandbox.keyboards import check_web_app
from sandbox.methods import Call, method
from sandbox.model import Json, User
from sandbox.params import Params
from sandbox.state import Bot, Dialog, Webhook, check_writable, find_dialog, find_message

MAX_COMMANDS = 100
CLOSE_SECONDS = 600  # `close` answers 429 in the first ten minutes; `logOut` locks the bot out for as long
_COMMAND = re.compile(r"[a-z0-9_]{1,32}")
_SECRET = re.compile(r"[A-Za-z0-9_-]*")
_SCOPES = frozenset({"default", "all_private_chats", "all_group_chats", "all_chat_administrators"})
_CHAT_SCOPES = frozenset({"chat", "chat_administrators", "chat_member"})
_DEFAULT_BUTTON = {"type": "default"}


@method("getMe")
def get_me(call: Call) -> Json:
    """Return the bot's own user."""
    return {
        **call.bot.user.to_api(),
        "can_join_groups": True,
        "can_read_all_group_messages": not call.bot.privacy,
        "supports_inline_queries": True,
        "can_connect_to_business": False,
        "has_main_web_app": bool(call.bot.config.url),
    }


@method("logOut")
def log_out(call: Call) -> bool:
    """Log out; the bot answers nothing else for ten minutes."""
    call.bot.logged_out_until = call.now + CLOSE_SECONDS
    return True


@method("close")
def close(call: Call) -> bool:
    """Close the bot before it moves to another server; refused in its first ten minutes."""
    left = int(call.bot.opened + CLOSE_SECONDS - call.now)
    if left > 0:
        raise too_many_requests(left)
    call.bot.opened = call.now
    return True


@method("getChat")
def get_chat(call: Call) -> Json:
    """Return what the bot may know about a chat."""
    dialog = find_dialog(call.world, call.bot, call.params.text("chat_id"))
    full = dialog.chat.to_api()
    if "username" in full:
        full["active_usernames"] = [full["username"]]
    gifts = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")
    if pinned := find_message(dialog, dialog.pinned[-1]) if dialog.pinned else None:
        full["pinned_message"] = pinned.to_api()
    if dialog.is_group:
        check_writable(dialog)
        full["permissions"] = dialog.permissions or dict.fromkeys(PERMISSIONS, True)
        if dialog.description:
            full["description"] = dialog.description
    return {
        **full,
        "accent_color_id": dialog.chat.id % 7,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(gifts, False),
    }


@method("setMyCommands")
def set_my_commands(call: Call) -> bool:
    """Set the commands of a scope and language."""
    commands = call.params.array("commands")
    if commands is None:
        raise bad_request('parameter "commands" is required')
    if len(commands) > MAX_COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    call.bot.commands[_commands_key(call)] = [_command(item) for item in commands]
    _chats_changed(call)
    return True


@method("getMyCommands")
def get_my_commands(call: Call) -> list[Json]:
    """Return the commands of exactly this scope and language."""
    return call.bot.commands.get(_commands_key(call), [])


@method("deleteMyCommands")
def delete_my_commands(call: Call) -> bool:
    """Forget the commands of a scope and language; the next wider ones show again."""
    call.bot.commands.pop(_commands_key(call), None)
    _chats_changed(call)
    return True


@method("setChatMenuButton")
def set_chat_menu_button(call: Call) -> bool:
    """Set the button left of the text box, for one chat or as the default."""
    button: Json = call.params.obj("menu_button") or _DEFAULT_BUTTON
    match button.get("type"):
        case "default" | "commands":
            clean = {"type": button["type"]}
        case "web_app":
            if not button.get("text"):
                raise bad_request("can't parse menu button: Text must be non-empty")
            url = check_web_app(button.get("web_app"), "menu button")
            clean = {"type": "web_app", "text": str(button["text"]), "web_app": {"url": url}}
        case _:
            raise bad_request("can't parse menu button: MenuButton has unsupported type")
    call.bot.menu_buttons[_menu_key(call)] = clean
    _chats_changed(call)
    return True


@method("getChatMenuButton")
def get_chat_menu_button(call: Call) -> Json:
    """Return the button of one chat, or the default one."""
    return call.bot.menu_buttons.get(_menu_key(call), _DEFAULT_BUTTON)


@method("setWebhook")
def set_webhook(call: Call) -> bool:
    """Send updates to a URL from now on; an empty URL removes the webhook."""
    url = call.params.text("url").strip()
    if not url:
        return delete_webhook(call)
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if not parts.hostname:
        raise bad_request("bad webhook: URL host is empty")
    secret = call.params.text("secret_token")
    if len(secret) > 256:
        raise bad_request("secret token is too long")
    if not _SECRET.fullmatch(secret):
        raise bad_request("secret token contains unallowed characters")
    remember_allowed(call.bot, call.params)
    call.bot.webhook = Webhook(url, secret, call.params.clamped("max_connections", 40, 1, 100))
    _drop_if_asked(call)
    return True


@method("deleteWebhook")
def delete_webhook(call: Call) -> bool:
    """Go back to getUpdates."""
    call.bot.webhook = None
    _drop_if_asked(call)
    return True


@method("getWebhookInfo")
def get_webhook_info(call: Call) -> Json:
    """Return where updates go and how delivery went last."""
    webhook, queue = call.bot.webhook, call.bot.queue
    info: Json = {
        "url": webhook.url if webhook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(queue),
    }
    if webhook:
        info["max_connections"] = webhook.max_connections
        if webhook.ip_address:
            info["ip_address"] = webhook.ip_address
        if webhook.last_error_date is not None:
            info.update(last_error_date=webhook.last_error_date, last_error_message=webhook.last_error)
    if queue.allowed:
        info["allowed_updates"] = sorted(queue.allowed)
    return info


def remember_allowed(bot: Bot, params: Params) -> None:
    """Keep `allowed_updates` of a call; without the parameter the earlier ones stay, `[]` is the default.

    Raises:
        ApiError: it is no list.
    """
    if "allowed_updates" in params:
        bot.queue.allowed = frozenset(str(kind) for kind in params.array("allowed_updates") or ())


def commands_for(bot: Bot, dialog: Dialog, user: User) -> list[Json]:
    """Return the commands a user sees in a chat: the narrowest scope, then the user's language.

    Source: https://core.telegram.org/bots/api#determining-list-of-commands
    """
    for scope in _scopes(dialog, user):
        for code in (user.language_code, ""):
            if commands := bot.commands.get((scope, code)):
                return commands
    return []


def _scopes(dialog: Dialog, user: User) -> Iterator[str]:
    chat = f"chat:{dialog.chat.id}"
    if dialog.is_group:
        member = dialog.members.get(user.id)
        is_admin = member is not None and member.is_admin
        yield f"{chat}:chat_member:{user.id}"
        if is_admin:
            yield f"{chat}:chat_administrators:"
        yield chat
        if is_admin:
            yield "all_chat_administrators"
        yield "all_group_chats"
    else:
        yield chat
        yield "all_private_chats"
    yield "default"


def menu_button_for(bot: Bot, dialog: Dialog) -> Json:
    """Return the menu button a user sees; the default opens the mini app, as set up with @BotFather."""
    if dialog.is_group:
        return {"type": "commands"}
    for key in (dialog.chat.id, None):
        button = bot.menu_buttons.get(key, _DEFAULT_BUTTON)
        if button["type"] != "default":
            return button
    if bot.config.url:
        return {"type": "web_app", "text": "Open", "web_app": {"url": bot.config.url}}
    return {"type": "commands"}


def _drop_if_asked(call: Call) -> None:
    if call.params.flag("drop_pending_updates"):
        call.bot.queue.clear()
    call.world.woken.add(call.bot.id)


def _commands_key(call: Call) -> tuple[str, str]:
    scope = call.params.obj("scope") or {"type": "default"}
    kind = scope.get("type")
    if kind in _CHAT_SCOPES:
        dialog = find_dialog(call.world, call.bot, str(scope.get("chat_id", "")))
        suffix = "" if kind == "chat" else f":{kind}:{scope.get('user_id', '')}"
        return f"chat:{dialog.chat.id}{suffix}", call.params.text("language_code")
    if kind not in _SCOPES:
        raise bad_request("can't parse BotCommandScope: Unsupported type specified")
    return str(kind), call.params.text("language_code")


def _command(item: Any) -> Json:
    if not isinstance(item, dict):
        raise bad_request("can't parse BotCommand: expected an Object")
    command = str(item.get("command", "")).removeprefix("/")
    description = str(item.get("description", "")).strip()
    if not _COMMAND.fullmatch(command):
        raise bad_request("BOT_COMMAND_INVALID")
    if not 1 <= len(description) <= 256:
        raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    return {"command": command, "description": description}


def _menu_key(call: Call) -> int | None:
    if "chat_id" not in call.params:
        return None
    return find_dialog(call.world, call.bot, call.params.text("chat_id")).chat.id


def _chats_changed(call: Call) -> None:
    for dialog in call.bot.dialogs.values():
        call.world.emit_chat(call.bot, dialog, "chat")
