"""The kinds of updates to ask Telegram for: what the app handles, and never an empty list, which would mean nearly all.

Source: https://core.telegram.org/bots/api#getupdates
"""

from typing import TYPE_CHECKING, Final

from mini_apps.app import App
from mini_apps.commands import commands_of

if TYPE_CHECKING:
    from aiogram import Router

ALWAYS: Final = ("my_chat_member", "pre_checkout_query")  # who blocked the bot; what must be answered in 10 s
HOOKS: Final = {
    "on_telegram_message_raw": "message",
    "on_telegram_message": "message",
    "on_telegram_command": "message",
    "on_telegram_callback_raw": "callback_query",
    "on_telegram_callback": "callback_query",
    "on_telegram_inline_raw": "inline_query",
    "on_telegram_inline": "inline_query",
    "on_pre_checkout": "message",  # in which the payment itself comes
    "on_payment": "message",
    "on_refund": "message",
}
INTERNAL: Final = frozenset({"update", "error"})


def allowed_updates(app: App, router: "Router") -> list[str]:
    """Return the kinds, sorted; those of the settings instead where there are any.

    Args:
        app: its class's hooks and commands count.
        router: the app's, filled; middlewares count as handlers.
    """
    if app.settings.allowed_updates:
        return sorted(set(app.settings.allowed_updates))
    kind_of_app = type(app)
    kinds = {*ALWAYS, *(kind for hook, kind in HOOKS.items() if getattr(kind_of_app, hook) is not getattr(App, hook))}
    if commands_of(kind_of_app):
        kinds.add("message")
    for one in router.chain_tail:
        for kind, observer in one.observers.items():
            if observer.handlers or len(observer.middleware) or len(observer.outer_middleware):
                kinds.add(kind)
    return sorted(kinds - INTERNAL)
