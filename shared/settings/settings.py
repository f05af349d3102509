"""The effective settings of a process."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, SecretStr

from shared.settings.app import AppSettings
from shared.settings.masking import masked, masked_url, passwords, secret_texts
from shared.settings.model import (
    SECTIONS,
    BotSettings,
    DatabaseSettings,
    GatewaySettings,
    LogSettings,
    RedisSettings,
    Section,
    TelegramSettings,
    WsSettings,
    file_key,
    shown,
)


class Settings(Section):
    """All settings: one attribute for each section, and the apps by name."""

    log: LogSettings = Field(default_factory=LogSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    ws: WsSettings = Field(default_factory=WsSettings)
    telegram: TelegramSettings = Field(default_factory=TelegramSettings)
    bot: BotSettings = Field(default_factory=BotSettings)
    apps: dict[str, AppSettings] = Field(default_factory=dict)

    # Plain defaults, which each instance gets a copy of: pydantic looks at a factory's signature each time, 0.3 ms.
    _folder: Path | None = PrivateAttr(None)
    _files: tuple[Path, ...] = PrivateAttr(())
    _database_models: list[Any] = PrivateAttr([])
    _origin: tuple[Path | None, Mapping[str, str]] = PrivateAttr((None, {}))
    _elsewhere: list[str] = PrivateAttr([])

    def model_post_init(self, _context: Any) -> None:
        """Let the apps see the global settings."""
        for name, app in self.apps.items():
            app.attach(name, self)

    def place(self, folder: Path, files: tuple[Path, ...], origin: tuple[Path | None, Mapping[str, str]]) -> None:
        """Tell the settings where they came from."""
        self._folder, self._files, self._origin = folder, files, origin

    @property
    def folder(self) -> Path:
        """The absolute folder that relative paths start from: the settings file's, else the working directory."""
        return self._folder or Path.cwd()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files the settings were read from, secret files too: what to watch for changes."""
        return self._files

    @property
    def origin(self) -> tuple[Path | None, Mapping[str, str]]:
        """The settings file, if there is one, and the environment: what to read again."""
        return self._origin

    @property
    def elsewhere(self) -> list[str]:
        """What was found changed outside `[apps]` when the apps were read again; it is not in these settings."""
        return self._elsewhere

    @property
    def database_models(self) -> list[Any]:
        """The process's list of SQLAlchemy models."""
        return self._database_models

    def resolve(self, path_text: str) -> Path:
        """Make a path of the settings absolute.

        Args:
            path_text: As it stands in the settings; `~` is the user's home.
        """
        return self.folder / Path(path_text).expanduser()

    def redacted(self) -> dict[str, Any]:
        """Give the effective settings as plain data, every secret as `***`, keys as in a settings file."""
        found: dict[str, Any] = {name: _section(getattr(self, name)) for name in SECTIONS}
        return {**found, "apps": {name: _app(app) for name, app in self.apps.items()}}

    def secrets(self) -> Iterator[str]:
        """Give every secret value, derived ones too, for `shared.log.protect`."""
        for section in (self.gateway, self.ws, *self.apps.values()):
            yield from secret_texts([getattr(section, name) for name in type(section).model_fields])
        yield from passwords(self.redis.url)
        yield from secret_texts(self.redis.sentinel_password)
        yield from passwords(self.database.url)
        for app in self.apps.values():
            yield from _app_secrets(app)

    def warnings(self) -> list[str]:
        """Name what is allowed but may surprise, one line each."""
        found = [] if self.apps else ["no app is set: add a section [apps.NAME], or make one with: mini-apps new NAME"]
        found += [f"gateway.api-keys[{at}] is short: use 16 characters or more" for at in _short(self.gateway.api_keys)]
        found += [f"ws.session-keys[{at}] is short: use 16 characters or more" for at in _short(self.ws.session_keys)]
        for name, app in self.apps.items():
            if app.enabled:
                found += [f"apps.{name}.{text}" for text in self._app_warnings(app)]
        return found

    def _app_warnings(self, app: AppSettings) -> Iterator[str]:
        if app.url and urlsplit(app.url).scheme != "https":
            yield f"url: {app.url} is not HTTPS: Telegram opens only HTTPS pages (outside its test environment)"
        if app.fake_user is not None:
            yield "fake-user is set: whoever connects from this machine is logged in without Telegram"
        if app.ingest == "webhook" and not self.gateway.public_url:
            yield "ingest is webhook, but gateway.public-url is not set: Telegram cannot be told where to send"


def _short(secrets: list[SecretStr]) -> list[int]:
    return [at for at, secret in enumerate(secrets) if len(secret.get_secret_value()) < 16]


def _section(section: Section) -> dict[str, Any]:
    fields = type(section).model_fields
    values = {file_key(name, field): getattr(section, name) for name, field in fields.items()}
    return {
        shown(key): masked_url(value) if key == "url" and isinstance(value, SecretStr) else masked(value)
        for key, value in values.items()
        if value is not None
    }


def _app(app: AppSettings) -> dict[str, Any]:
    return {**_section(app), **{shown(key): masked(value, key) for key, value in app.own().items()}}


def _app_secrets(app: AppSettings) -> Iterator[str]:
    yield from secret_texts(app.own())
    if app.bot_token is not None:
        yield app.bot_token.get_secret_value().partition(":")[2]
    if (key := app.key_for_init_data()) is not None:
        yield key.hex()
    if (secret := app.effective_webhook_secret()) is not None:
        yield from (secret, app.webhook_path())
