"""Sessions of one app: tokens sealed and opened on top of `shared.session_token`."""

from typing import TYPE_CHECKING, Any

import orjson

from shared.session_token import Session, SessionKeys, derive_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.settings import AppSettings

__all__ = ["Sessions"]

_OBJECTS = frozenset({"user", "receiver", "chat"})  # launch fields that hold JSON


class Sessions:
    """Makes and reads the session tokens of an app.

    Args:
        app: its name.
        settings: its settings, kept as `settings`.

    Raises:
        ValueError: there is nothing to take a key from.
    """

    def __init__(self, app: str, settings: "AppSettings") -> None:
        self.settings = settings
        self._app = app
        self._ttl = settings.session_ttl
        self._max_age = settings.session_max_age
        self._keys = SessionKeys(_secrets(app, settings))

    def seal(self, user: Any, now: float) -> tuple[str, int]:
        """Make a token for a user who is logged in.

        Args:
            user: its `telegram_data` and `first_login` are kept in the token.
            now: unix seconds.

        Returns:
            The token and the unix second it expires at.
        """
        session = Session(
            app=self._app,
            telegram_id=user.telegram_id,
            launch=_as_texts(getattr(user, "telegram_data", None) or {}),
            issued=now,
            first_login=getattr(user, "first_login", None) or now,
        )
        return self._keys.seal(session), int(session.expires(ttl=self._ttl, max_age=self._max_age))

    def open(self, token: object, now: float) -> Session:
        """Read a token.

        Raises:
            SessionError: it opens nothing.
        """
        return self._keys.open(token, app=self._app, now=now, ttl=self._ttl, max_age=self._max_age)

    def grant(self, telegram_id: int, channel: str, expires: int) -> str:
        """Make the proof that a user was let into a channel, good until `expires` (unix seconds)."""
        return self._keys.grant(self._app, telegram_id, channel, expires)

    def check_grant(self, grant: str, telegram_id: int, channel: str, now: float) -> bool:
        """Tell whether a grant is genuine and not expired at `now` (unix seconds)."""
        return self._keys.check_grant(grant, app=self._app, telegram_id=telegram_id, channel=channel, now=now)


def launch_data(session: Session) -> dict[str, Any]:
    """Give the launch fields of a session as `App.decode_telegram_data` gave them at the first login."""
    return {name: orjson.loads(text) if name in _OBJECTS else text for name, text in session.launch.items()}


def _as_texts(data: "Mapping[str, Any]") -> dict[str, str]:
    return {
        name: value if isinstance(value, str) and name not in _OBJECTS else orjson.dumps(value).decode()
        for name, value in data.items()
    }


def _secrets(app: str, settings: "AppSettings") -> list[bytes]:
    """Give the keys of the settings, brought to the length a key needs, else the one derived from the bot's."""
    given = [derive_key(secret.get_secret_value().encode()) for secret in settings.session_keys]
    if given:
        return given
    webapp_key = settings.key_for_init_data()
    if webapp_key is None:
        raise ValueError(f"apps.{app}: no session tokens can be made; set bot-token, webapp-key or session-keys")
    return [derive_key(webapp_key)]
