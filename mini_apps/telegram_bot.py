"""The app's bot for our own use of it, without holding the process up while aiogram is loaded."""

import asyncio
import importlib
import sys
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from mini_apps.commands import marked

if TYPE_CHECKING:
    from aiogram import Bot

    from mini_apps.app import App

__all__ = ["bot_of", "load_bot", "names_telegram"]

LOADED = "mini_apps.remote_session"
# What an app's methods say when they call Telegram, themselves or by one of ours.
_CALLING = frozenset({"telegram", "notify", "invoice_link", "answer_query", "prepare_message", "set_menu_button"})
_BOT_HOOKS = ("on_telegram_", "on_pre_checkout", "run_bot", "send_telegram_commands", "server_tasks", "setup_router")


def names_telegram(app_class: type) -> bool:
    """Tell whether a WebSocket node that serves an app will call Telegram, by the names in the app's own methods.

    Methods that only bot workers run do not count: a node need not load aiogram for them.

    Args:
        app_class: of the app.
    """
    own = [cls for cls in app_class.__mro__ if not cls.__module__.startswith(("mini_apps.", "builtins"))]
    return any(
        _names(function.__code__)
        for cls in own
        for name, value in vars(cls).items()
        if isinstance(function := getattr(value, "__func__", value), FunctionType)
        if not name.startswith(_BOT_HOOKS) and marked(function) is None
    )


async def load_bot() -> None:
    """Load what a bot needs, in a thread, because it takes seconds."""
    if LOADED not in sys.modules:
        await asyncio.to_thread(importlib.import_module, LOADED)


async def bot_of(app: "App") -> "Bot":
    """Give `app.telegram`; where aiogram is not loaded yet, a thread loads it, which takes seconds."""
    await load_bot()
    return app.telegram


def _names(code: CodeType) -> bool:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return not _CALLING.isdisjoint(code.co_names) or any(map(_names, inner))
