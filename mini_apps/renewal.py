"""What other settings mean for the apps that run: which come, go, start anew, or go on as they are. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.settings.model import WsAppSettings

if TYPE_CHECKING:
    from mini_apps.app import App
    from shared.settings import Changes

__all__ = ["BOT_LOOKS_UP", "NODE_LOOKS_UP", "Renewal", "renewal"]

LISTS: Final = frozenset({"admins", "banned"})
NAMES: Final = frozenset({"url", "pages", "media_url", "short_name"})
NODE_LOOKS_UP: Final = (
    LISTS
    | NAMES
    | {"bot_token", "webapp_key", "webhook_secret", "verify", "session_keys", "session_ttl", "session_max_age"}
    | {"init_data_max_age", "fake_user", "ingest", "allowed_updates", "drop_pending_updates", "proxy", "api_server"}
)
"""Settings that a WebSocket node looks up each time it needs them, or not at all: the app goes on."""
BOT_LOOKS_UP: Final = LISTS | NAMES | {"webapp_key", "verify", "fake_user"} | frozenset(WsAppSettings.model_fields)
"""The same for a bot worker."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is to be done, by the names of apps.

    Attributes:
        added: to be made.
        removed: to be ended.
        renewed: to be made again in the place of the one that runs.
        kept: that go on with other settings, and under which keys those differ.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renewed: tuple[str, ...]
    kept: Mapping[str, frozenset[str]]


def renewal(apps: "Mapping[str, App]", changes: "Changes", looked_up: Iterable[str]) -> Renewal:
    """Decide what becomes of each app.

    Args:
        apps: that run.
        changes: of their settings.
        looked_up: keys with which an app can go on as it is.
    """
    kept = {
        name: keys for name, keys in changes.changed.items() if name in apps and _goes_on(apps[name], keys, looked_up)
    }
    return Renewal(
        added=tuple(name for name in (*changes.added, *changes.changed) if name not in apps),
        removed=tuple(name for name in changes.removed if name in apps),
        renewed=tuple(name for name in changes.changed if name in apps and name not in kept),
        kept=kept,
    )


def _goes_on(app: "App", keys: frozenset[str], looked_up: Iterable[str]) -> bool:
    """Tell whether an app can go on; the lists are in a filter, which the author may have replaced by another."""
    return keys <= frozenset(looked_up) and (app.filters_by_settings or not keys & LISTS)
