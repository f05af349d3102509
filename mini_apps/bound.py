"""What an app is before it does anything: settings, a name, and the process it is bound to."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from mini_apps.bot_status import BotStatus, TelegramMe, read_me, read_status
from shared.broker import UNREACHABLE, BrokerUnavailable
from shared.filters import SettingsListUserFilter, UserFilter
from shared.keys import AppKeys
from shared.log import LogSource
from shared.settings import AppSettings, Settings
from shared.settings.model import canonical

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncSession

    from mini_apps.client import Client
    from mini_apps.mesh import Mesh

__all__ = ["ME_FIELDS", "BoundApp", "reaching"]

ME_FIELDS = ["id", "username", "first_name"]


class BoundApp(LogSource):
    """The part of an app that knows its settings and its process.

    Args:
        settings: the app's section of the settings; a plain dict with the same keys does in a test.
        name: of the app in the deployment; else that of the settings, else the class's in lower case.
    """

    def __init__(self, settings: AppSettings | Mapping[str, Any], name: str | None = None) -> None:
        self.settings = _app_settings(settings, name or "", type(self).__name__.lower())
        self.name = name or self.settings.name
        self.user_filter: UserFilter = SettingsListUserFilter(self.settings.banned, self.settings.admins)
        self.clients: dict[str, Client] = {}
        self.telegram_me: TelegramMe | None = None
        self._mesh: Mesh | None = None

    def __repr__(self) -> str:
        """Name the app."""
        return f"<{type(self).__name__} {self.name!r}>"

    def bind(self, mesh: "Mesh") -> None:
        """Bind the app to the process it runs in; the services do this, once.

        Args:
            mesh: what the process gives its apps.
        """
        self._mesh = mesh

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
    def keys(self) -> AppKeys:
        """The app's Redis names."""
        return self.mesh.broker.keys.app(self.name)

    @property
    def redis(self) -> "Redis":
        """The plain `redis.asyncio` client; what it returns is bytes."""
        return self.mesh.broker.client

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
        with reaching():
            return await read_status(self.redis, self.mesh.broker.keys, self.name)

    async def learn_telegram_me(self) -> TelegramMe | None:
        """Set `telegram_me` from what the bot worker wrote; None while no worker ever connected.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            fields: Any = await self.redis.hmget(self.keys.bot, ME_FIELDS)
        self.telegram_me = read_me(fields) or self.telegram_me
        return self.telegram_me


@contextmanager
def reaching() -> Iterator[None]:
    """Turn what redis-py raises when Redis is gone into the one error of the contract.

    Raises:
        BrokerUnavailable: instead of redis-py's own.
    """
    try:
        yield
    except (*UNREACHABLE, RedisError) as error:
        raise BrokerUnavailable(f"Redis did not answer: {type(error).__name__}") from error


def _app_settings(given: AppSettings | Mapping[str, Any], name: str, fallback: str) -> AppSettings:
    """Give settings that know their name and the global sections, as those of a settings file do."""
    if isinstance(given, Mapping):
        given = AppSettings.model_validate({canonical(key): value for key, value in given.items()})
    if not given.name:
        Settings(apps={name or fallback: given})
    return given
