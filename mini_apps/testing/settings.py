"""The settings of a deployment under test: small, quick and on free ports, and what the author says on top."""

import itertools
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from mini_apps.testing import classes
from shared.settings import Settings, SettingsError, load
from shared.settings.model import SECTIONS, shown

if TYPE_CHECKING:
    from mini_apps.app import App

Plain = dict[str, Any]

BOT_ID = 42
APP_SECTION = "app"  # in what a test says: the keys of the app under test, whatever its name
DRAIN_SECONDS = 10
LEASE_SECONDS = 60  # nothing dies by itself here, also while a debugger holds the loop

_numbers = itertools.count(1)


def fresh_prefix() -> str:
    """Return a key prefix that no other test uses, in this process or another."""
    return f"test-{os.getpid()}-{next(_numbers)}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are.

    Attributes:
        folder: of this deployment alone, for its files.
        redis: URL.
        gateway: URL, with a slash at the end; empty while it is not known.
        telegram: URL of the local Telegram; empty while it is not known.
    """

    folder: Path
    redis: str
    gateway: str = ""
    telegram: str = ""


class Layout:
    """Makes the settings of one deployment.

    Args:
        app_class: the app under test.
        name: of the app; empty: the class's name in small letters.
        given: what the test says, as in a settings file; its section `app` is the app's.

    Raises:
        SettingsError: a section is no table.
    """

    def __init__(self, app_class: "type[App]", name: str, given: Mapping[str, Any]) -> None:
        self.app_class = app_class
        self.name = name or app_class.__name__.lower()
        self.token = f"{BOT_ID}:sandbox-{self.name}"
        self.prefix = fresh_prefix()
        self._class_path = classes.path_of(app_class)
        self._pages = _pages_beside(app_class)
        self._given = _sections(given)

    def settings(self, places: Places) -> Settings:
        """Write the settings file of the deployment and read it.

        Args:
            places: as far as they are known.

        Raises:
            SettingsError: the test's settings have mistakes; a line for each.
        """
        content = self._defaults(places)
        for section, keys in self._given.items():
            if section == APP_SECTION:
                content["apps"][self.name] |= keys
            else:
                content[section] = {**content.get(section, {}), **keys}
        file = places.folder / ("settings.json" if places.gateway else "gateway.json")
        file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        return load(file, {})

    def _defaults(self, places: Places) -> Plain:
        app: Plain = {"class": self._class_path, "bot-token": self.token, "short-name": self.name}
        if self._pages is not None:
            app["pages"] = str(self._pages)
        if places.gateway:
            app["url"] = f"{places.gateway}apps/{self.name}/"
        return {
            "redis": {"url": places.redis, "prefix": self.prefix, "lease-seconds": LEASE_SECONDS},
            "database": {"url": f"sqlite+aiosqlite:///{places.folder}/test.sqlite"},
            "gateway": {"port": 0, "negotiate-per-minute": 0, "media": str(places.folder / "media"),
                        "public-url": places.gateway.rstrip("/")},
            "ws": {"port": 0, "drain-seconds": DRAIN_SECONDS, "messages-per-second": 0},
            # Rates are the business of tests that set them: time stands still, so nothing would become free again.
            "telegram": {"api-server": places.telegram or "http://127.0.0.1:1", "send-per-second": 0,
                         "send-per-chat": 0, "send-per-group": 0},
            "bot": {"port": 0, "lanes": 2},
            "apps": {self.name: app},
        }  # fmt: skip


def for_node(settings: Settings, node_id: str) -> Settings:
    """Return the settings as one node reads them.

    Args:
        settings: of the deployment.
        node_id: of the node.
    """
    sections: Plain = {name: getattr(settings, name) for name in SECTIONS}
    sections["ws"] = settings.ws.model_copy(update={"node_id": node_id})
    apps = {name: app.model_copy() for name, app in settings.apps.items()}
    own = Settings.model_validate({**sections, "apps": apps})  # quicker than reading the file for each node
    own.place(settings.folder, settings.files, settings.origin)
    return own


def _sections(given: Mapping[str, Any]) -> dict[str, Plain]:
    found: dict[str, Plain] = {}
    for section, keys in given.items():
        if not isinstance(keys, Mapping):
            own = f'an app\'s own keys belong into settings["{APP_SECTION}"]'
            raise SettingsError([f"settings[{section!r}] must be a dict of keys, as in a settings file; {own}"])
        found[section] = {shown(key) if section != "apps" else key: value for key, value in keys.items()}
    return found


def _pages_beside(app_class: "type[App]") -> Path | None:
    module = sys.modules.get(app_class.__module__)
    file = getattr(module, "__file__", None)
    folder = Path(file).parent / "pages" if file else None
    return folder if folder is not None and folder.is_dir() else None
