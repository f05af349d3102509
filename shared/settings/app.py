"""The settings as one app sees them: its own keys, and the global ones behind them."""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from shared.init_data import webapp_key
from shared.settings.masking import masked
from shared.settings.model import SECTIONS, TelegramSettings, WsAppSettings, canonical
from shared.settings.types import (
    AnyCase,
    BotToken,
    ClassPath,
    EmptyIsUnset,
    HexKey,
    HttpUrl,
    Number,
    Positive,
    WebhookSecret,
    setting,
)

if TYPE_CHECKING:
    from shared.settings.settings import Settings

APP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class AppSettings(TelegramSettings, WsAppSettings):
    """One app: what `self.settings` is in an `App`.

    Every key is an attribute, the author's own keys too. What the app does not set comes from the global sections,
    which are attributes themselves (`self.settings.redis.url`).
    """

    model_config = ConfigDict(extra="allow")

    class_path: ClassPath = Field(default="", validation_alias="class", description="The App class, as module:Class.")
    enabled: bool = setting(default=True, meaning="Whether the app is served.")
    bot_token: Annotated[BotToken | None, EmptyIsUnset] = setting(
        None, "The bot's token; only the bot worker needs it."
    )
    bot_id: Positive | None = setting(None, "The bot's id; unset: taken from the token.")
    webapp_key: Annotated[HexKey | None, EmptyIsUnset] = setting(
        None, 'Hex of HMAC-SHA256("WebAppData", token): lets a WebSocket node check logins without the token.'
    )
    webhook_secret: Annotated[WebhookSecret | None, EmptyIsUnset] = setting(
        None, "Secret of the webhook; unset: derived from the token."
    )
    verify: Annotated[Literal["hash", "signature"], AnyCase] = setting(
        "hash", "How init data is checked; `signature` (Ed25519) needs bot-id and session-keys, and no token."
    )
    url: HttpUrl = setting("", "Where the mini app's page is; unset: below the gateway's public-url.")
    pages: str = setting("", "Folder of static pages that the gateway serves for the app.")
    media_url: str = setting("", "Address of the media folder as pages see it; unset: `/media`.")
    uploads: Annotated[Literal["nobody", "admins", "everybody"], AnyCase] = setting(
        "admins", "Who may upload pictures; `admins` are those of the settings and of `set_admin`."
    )
    short_name: str = setting("", "Short name of the mini app at @BotFather, for t.me links.")
    parse_mode: Annotated[Literal["HTML", "MarkdownV2", "Markdown"] | None, EmptyIsUnset] = setting(
        None, "Default parse mode of the bot's messages."
    )
    admins: list[Number] = setting([], "Telegram ids of users who are admins.")
    banned: list[Number] = setting([], "Telegram ids of users who may neither connect nor reach the bot.")
    allowed_updates: list[str] = setting([], "Update kinds to ask Telegram for; none: what the app handles.")
    drop_pending_updates: bool = setting(default=False, meaning="Forget updates from before the first start.")
    fake_user: dict[str, Any] | None = setting(
        None, 'Development: log clients from this machine in as this user, such as { id = 1001, first_name = "Ada" }.'
    )

    _name: str = PrivateAttr("")
    _all: "Settings | None" = PrivateAttr(None)
    _own_models: list[Any] = PrivateAttr([])

    @model_validator(mode="before")
    @classmethod
    def _bot_id_from_token(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("bot_id") is None:
            token = data.get("bot_token")
            text = token.get_secret_value() if isinstance(token, SecretStr) else token
            if isinstance(text, str) and (match := re.match(r"([0-9]+):", text)):
                return {**data, "bot_id": int(match[1])}
        return data

    @field_validator("fake_user")
    @classmethod
    def _fake_user_has_an_id(cls, user: dict[str, Any] | None) -> dict[str, Any] | None:
        if user is not None and (not isinstance(user.get("id"), int) or isinstance(user["id"], bool)):
            raise ValueError('expected a table with a numeric id, such as { id = 1001, first_name = "Ada" }')
        return user or None

    def attach(self, name: str, settings: "Settings") -> None:
        """Tell the app's settings their name and the global settings they fall back to."""
        self._name, self._all = name, settings

    @property
    def name(self) -> str:
        """The app's name."""
        return self._name

    @property
    def database_models(self) -> list[Any]:
        """The process's list of SQLAlchemy models, which `App.register_models` appends to."""
        return self._own_models if self._all is None else self._all.database_models

    def own(self) -> dict[str, Any]:
        """Give the author's own keys, with `_`, and their values."""
        return dict(self.__pydantic_extra__ or {})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Hide what an author's own keys hold by their names; ours hide themselves."""
        own = self.own()
        return ((key, masked(value, key) if key in own else value) for key, value in super().__repr_args__())

    def get(self, key: str, default: Any = None) -> Any:
        """Look a setting up by its key, with `-` or `_`.

        Args:
            key: A key of the app, or else of [ws], or the name of a section.
            default: What to return when it is nowhere set.
        """
        name = canonical(key)
        for found in self._places(name):
            if found is not None:
                return found
        return default

    def _places(self, name: str) -> Iterator[Any]:
        name = "class_path" if name == "class" else name
        if name in type(self).model_fields:
            yield getattr(self, name)
            return
        yield self.own().get(name)
        if self._all is not None:
            yield getattr(self._all, name) if name in SECTIONS else getattr(self._all.ws, name, None)

    if not TYPE_CHECKING:  # a checker sees the declaration below, so that it keeps knowing the fields' types

        def __getattr__(self, name: str) -> Any:
            """Find the author's own keys and the global sections."""
            try:
                return super().__getattr__(name)
            except AttributeError:
                if name.startswith("_") or (found := self.get(name)) is None:
                    raise AttributeError(self._unknown(name)) from None
                return found

    else:

        def __getattr__(self, name: str) -> Any: ...

    def _unknown(self, name: str) -> str:
        return f"app {self._name!r} has no setting {name!r}; settings.get({name!r}, default) allows for that"

    def key_for_init_data(self) -> bytes | None:
        """Give the key that init data is checked with: webapp-key, else from the token, else `None`.

        Source: https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app
        """
        if self.webapp_key is not None:
            return bytes.fromhex(self.webapp_key.get_secret_value())
        if self.bot_token is not None:
            return webapp_key(self.bot_token.get_secret_value())
        return None

    def media_folder(self) -> Path | None:
        """Give the folder of uploaded pictures; None where there is none."""
        if self._all is None or not self._all.gateway.media:
            return None
        return self._all.resolve(self._all.gateway.media)

    def media_address(self, name: str) -> str:
        """Give the address of an uploaded picture of this app.

        Args:
            name: of its file.
        """
        return f"{self.media_url.rstrip('/') or '/media'}/{self._name}/{name}"

    def effective_webhook_secret(self) -> str | None:
        """Give the secret Telegram sends with each webhook update: webhook-secret, else from the token."""
        if self.webhook_secret is not None:
            return self.webhook_secret.get_secret_value()
        if self.bot_token is not None:
            return _hmac(self.bot_token.get_secret_value().encode(), "mini-apps webhook-secret").hexdigest()
        return None

    def webhook_path(self) -> str:
        """Give the path of the app's webhook, 64 hex digits that only holders of the secret can know.

        Raises:
            LookupError: The app has neither webhook-secret nor bot-token.
        """
        secret = self.effective_webhook_secret()
        if secret is None:
            raise LookupError(f"app {self._name!r} has no webhook: set webhook-secret or bot-token")
        return _hmac(secret.encode(), "path").hexdigest()


def _hmac(key: bytes, message: str) -> hmac.HMAC:
    return hmac.new(key, message.encode(), hashlib.sha256)
