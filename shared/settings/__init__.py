"""The settings of all processes: one file, the environment over it, and every mistake reported at once."""

from shared.settings.app import AppSettings
from shared.settings.changes import Changes, compare, enabled
from shared.settings.errors import SettingsError
from shared.settings.load import load, reload
from shared.settings.model import (
    BotSettings,
    DatabaseSettings,
    GatewaySettings,
    LogSettings,
    RedisSettings,
    TelegramSettings,
    WsSettings,
)
from shared.settings.settings import Settings

__all__ = [
    "AppSettings",
    "BotSettings",
    "Changes",
    "DatabaseSettings",
    "GatewaySettings",
    "LogSettings",
    "RedisSettings",
    "Settings",
    "SettingsError",
    "TelegramSettings",
    "WsSettings",
    "compare",
    "enabled",
    "load",
    "reload",
]
