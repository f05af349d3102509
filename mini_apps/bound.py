"""What an app is before it does anything: settings, a name, and the process it is bound to."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mini_apps.bot_status import BotReport, BotStatus, TelegramMe, read_me, read_report
from shared.broker import reaching
from shared.clock import MACHINE, Clock
from shared.filters import SettingsListUserFilter, UserFilter
from shared.keys import AppKeys
from shared.log import LogSource
from shared.settings import AppSettings, Settings
from shared.settings.model import canonical
from shared.together import Together

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncSession

    from mini_apps.client import Client
    from mini_apps.mesh import Mesh

__all__ = ["ME_FIELDS", "BoundApp", "reaching"]

ME_FIELDS = ["id", "username", "first_name"]
ASK_AGAIN_SECONDS = 1.0


class BoundApp(LogSource):
    """The part of an app that knows its settings and its process.

    Args:
        settings: the app's section of the settings; a plain dict with the same keys does in a test.
        name: of the app in the deployment; else that of the settings, else the class's in lower case.
    """

    _settings_filter: SettingsListUserFilter
    _me_asked: float
    _mesh: "Mesh | None"

    def __init__(self, settings: AppSettings | Mapping[str, Any], name: str | None = None) -> None:
        self.settings = _app_settings(settings, name or "", type(self).__name__.lower())
        self.name = name or self.settings.name
        self._settings_filter = SettingsListUserFilter(self.settings.banned, self.settings.admins)
        self.user_filter: UserFilter = self._settings_filter
        self.clients: dict[str, Client] = {}
        self.telegram_me: TelegramMe | None = None
        self.bans: Together[int, bool] = Together(self._are_banned)
        self._me_asked = float("-inf")
        self._mesh = None

    def __repr__(self) -> str:
        """Name the app."""
        return f"<{type(self).__name__} {self.name!r}>"

    def bind(self, mesh: "Mesh") -> None:
        """Bind the app to the process it runs in; the services do this, once.

        Args:
            mesh: what the process gives its apps.
        """
        self._mesh = mesh

    def use_settings(self, settings: AppSettings) -> None:
        """Go on with other settings of the same app; the services do this when the settings file changed."""
        ours = self.filters_by_settings
        self.settings = settings
        self._settings_filter = SettingsListUserFilter(settings.banned, settings.admins)
        if ours:
            self.user_filter = self._settings_filter

    @property
    def filters_by_settings(self) -> bool:
        """Whether the filter is still the one made of the settings' lists."""
        return self.user_filter is self._settings_filter

    @property
    def mesh(self) -> "Mesh":
        """The process this app runs in.

        Raises:
            RuntimeError: it runs in none.
        """
        if self._mesh is None:
            raise RuntimeError(
                f"app {self.name!r} runs in no process yet, so it has no Redis and no database; "
                "in a test, bind it to a mesh first"
            )
        return self._mesh

    @property
    def clock(self) -> Clock:
        """What time it is, and sleeping: the machine's clock, or in a test one that the test moves."""
        return MACHINE if self._mesh is None else self._mesh.clock

    @property
    def keys(self) -> AppKeys:
        """The app's Redis names."""
        return self.mesh.broker.keys.app(self.name)

    @property
    def redis(self) -> "Redis":
        """The plain `redis.asyncio` client; what it returns is bytes."""
        return self.mesh.broker.client

    async def _are_banned(self, users: list[int]) -> list[bool]:
        """Tell of each of these Telegram ids whether `ban()` holds; updates of one loop turn share a question."""
        return [bool(found) for found in await self.mesh.bus.call("SMISMEMBER", self.keys.banned, *users)]

    def key(self, name: str) -> str:
        """Give the Redis key of something of the author's own: `{prefix}:{app}:own:{name}`."""
        return self.keys.own(name)

    def db(self) -> "AbstractAsyncContextManager[AsyncSession]":
        """Open a SQLAlchemy session: `async with self.db() as s`; what is not committed is rolled back."""
        return self.mesh.database.session()

    async def bot_status(self) -> BotStatus:
        """Tell how the bot is doing, from any process.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return (await self.bot_report()).status

    async def bot_report(self) -> BotReport:
        """Tell how the bot is doing, since when and why, and how long a flood wait at its start still takes.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            return await read_report(self.mesh.broker.own, self.mesh.broker.keys, self.name)

    def wonders_who_it_is(self) -> bool:
        """Tell whether it is time to ask again which bot this is: at most once a second, until a bot worker said it."""
        if self.telegram_me is not None or time.monotonic() - self._me_asked < ASK_AGAIN_SECONDS:
            return False
        self._me_asked = time.monotonic()
        return True

    async def learn_telegram_me(self) -> TelegramMe | None:
        """Set `telegram_me` from what the bot worker wrote; None while no worker ever connected.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            fields = await self.mesh.broker.own.execute_command("HMGET", self.keys.bot, *ME_FIELDS)
        self.telegram_me = read_me(fields) or self.telegram_me
        return self.telegram_me


def _app_settings(given: AppSettings | Mapping[str, Any], name: str, fallback: str) -> AppSettings:
    """Give settings that know their name and the global sections, as those of a settings file do."""
    if isinstance(given, Mapping):
        given = AppSettings.model_validate({canonical(key): value for key, value in given.items()})
    if not given.name:
        Settings(apps={name or fallback: given})
    return given
