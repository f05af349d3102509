"""What the author of a mini app imports: `from mini_apps import App, Client, User`.

Nothing is loaded before it is used, so `import mini_apps` is cheap for processes that need little of it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mini_apps import quick_aiogram

if TYPE_CHECKING:
    from mini_apps.app import App, BotStatus, MetaBot, SettingsListUserFilter, UserFilter
    from mini_apps.channels import Channel
    from mini_apps.client import Client
    from mini_apps.commands import bot_command
    from mini_apps.errors import AppError, LoginRefused, OutcomeUnknown
    from mini_apps.models import Base, Payment, User
    from mini_apps.notices import Notice, Way
    from mini_apps.publishing import Send
    from shared.updates import Overloaded

__all__ = [
    "App",
    "AppError",
    "Base",
    "BotStatus",
    "Channel",
    "Client",
    "LoginRefused",
    "MetaBot",
    "Notice",
    "OutcomeUnknown",
    "Overloaded",
    "Payment",
    "Send",
    "SettingsListUserFilter",
    "User",
    "UserFilter",
    "Way",
    "bot_command",
]

_HOMES = {
    "mini_apps.app": ("App", "BotStatus", "MetaBot", "SettingsListUserFilter", "UserFilter"),
    "mini_apps.channels": ("Channel",),
    "mini_apps.client": ("Client",),
    "mini_apps.commands": ("bot_command",),
    "mini_apps.errors": ("AppError", "LoginRefused", "OutcomeUnknown"),
    "mini_apps.models": ("Base", "Payment", "User"),
    "mini_apps.notices": ("Notice", "Way"),
    "mini_apps.publishing": ("Send",),
    "shared.updates": ("Overloaded",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

quick_aiogram.install()  # before anything of ours or an author's imports aiogram


def __getattr__(name: str) -> Any:
    """Load the module of a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'mini_apps' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    """List the names there are, loaded or not."""
    return sorted({*globals(), *__all__})
