"""Who may upload: the bearer of a session token, whom neither settings nor Redis keep out.

The App class is not asked, which the gateway never loads: of bans and admins it knows those of the settings and those
of `App.ban` and `App.set_admin`.
"""

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from gateway.refused import Refused
from mini_apps.sessions import Sessions
from shared.broker import BrokerUnavailable
from shared.keys import AppKeys, Keys
from shared.session_token import Session, SessionError
from shared.settings import AppSettings, Settings, enabled

if TYPE_CHECKING:
    from shared.bus import Bus

RETRY_SECONDS = 2
CHALLENGE: dict[str, str] = {hdrs.WWW_AUTHENTICATE: "Bearer"}


class Rights:
    """Judges who uploads.

    Args:
        settings: the settings.

    Attributes:
        bus: asks Redis; None until it is there.
    """

    def __init__(self, settings: Settings) -> None:
        self.bus: Bus | None = None
        self._keys = Keys(settings.redis.prefix)
        self._apps: dict[str, AppSettings] = {}
        self._sessions: dict[str, Sessions | None] = {}
        self.serve(settings)

    def serve(self, settings: Settings) -> None:
        """Judge by these settings from now on."""
        self._apps = enabled(settings)
        self._sessions = {name: _sessions(name, app) for name, app in self._apps.items()}

    def app(self, name: str) -> AppSettings:
        """Return the settings of an app that takes uploads.

        Raises:
            Refused: there is no such app, or it takes none.
        """
        app = self._apps.get(name)
        if app is None:
            raise Refused(404, "unknown app", "there is no app of this name here")
        if app.uploads == "nobody":
            raise Refused(403, "off", f"{name} takes no uploads: its settings say so (uploads)")
        return app

    def session(self, name: str, request: web.Request, now: float) -> Session:
        """Return the session whose token the request bears.

        Args:
            name: of the app.
            request: its `Authorization` header counts, nothing in its address.
            now: unix seconds.

        Raises:
            Refused: the token is missing, opens nothing, or cannot be judged here.
        """
        sessions = self._sessions[name]
        if sessions is None:
            missing = "set session-keys for gateways and WebSocket nodes alike"
            raise Refused(501, "no keys", f"this gateway cannot read the session tokens of {name}: {missing}")
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            text = "send the session token of the page's connection as `Authorization: Bearer …`"
            raise Refused(401, "no token", text, headers=CHALLENGE)
        try:
            return sessions.open(token.strip(), now)
        except SessionError as error:
            raise Refused(401, "bad token", str(error), headers=CHALLENGE) from None

    async def admit(self, name: str, session: Session) -> None:
        """Let the bearer through.

        Raises:
            Refused: who it is may not upload, or Redis cannot be asked.
        """
        app, user = self._apps[name], session.telegram_id
        banned, admin, valid_after = await self._facts(self._keys.app(name), user)
        if banned or user in app.banned:
            raise Refused(403, "banned", "you may not upload here")
        if session.issued <= valid_after:
            raise Refused(401, "bad token", "the session was ended: log in with init data", headers=CHALLENGE)
        if app.uploads == "admins" and not admin and user not in app.admins:
            raise Refused(403, "no admin", f"only admins may upload to {name}")

    async def _facts(self, keys: AppKeys, user: int) -> tuple[bool, bool, float]:
        if self.bus is None:
            raise Refused(503, "unavailable", "Redis was not reached yet; try again", retry_after=RETRY_SECONDS)
        try:
            banned, admin, valid_after = await self.bus.calls(
                ("SISMEMBER", keys.banned, str(user)),
                ("SISMEMBER", keys.admins, str(user)),
                ("GET", keys.valid_after(user)),
            )
        except BrokerUnavailable:
            text = "Redis cannot be asked who you are; try again"
            raise Refused(503, "unavailable", text, retry_after=RETRY_SECONDS) from None
        return bool(banned), bool(admin), float(valid_after or 0)


def _sessions(name: str, app: AppSettings) -> Sessions | None:
    try:
        return Sessions(name, app)
    except ValueError:  # the settings hold no key, as they should where a gateway takes no uploads
        return None
