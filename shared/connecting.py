"""Redis-py's connections as we need them: without retries, heeding cancellation, and led to the server of the day."""

import asyncio
import functools
import inspect
import ssl
from pathlib import Path
from typing import Any, Final, Self

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.redis_url import Address, RedisUrl
from shared.settings import RedisSettings

COMMAND_TIMEOUT: Final = 5.0  # seconds
CONNECT_TIMEOUT: Final = 2.0  # seconds


class BrokerUnavailable(Exception):
    """Redis did not take it (or did not say so in time); what was asked may be asked again."""


class Once(Retry):
    """No second try; one object for all connections, where redis-py copies it at length for each."""

    def __init__(self) -> None:
        super().__init__(NoBackoff(), 0)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return it itself: nobody changes it."""
        return self


def options_of(settings: RedisSettings, place: RedisUrl) -> dict[str, Any]:
    """Return what every connection is made with, but the address."""
    found: dict[str, Any] = {
        **_unnamed(),
        "protocol": 2,
        "retry": Once(),
        "socket_timeout": COMMAND_TIMEOUT,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "health_check_interval": 0,
    }
    if not place.unix:
        found["socket_keepalive"] = True
    if place.tls:
        files = {"ssl_ca_certs": settings.tls_ca, "ssl_certfile": settings.tls_cert, "ssl_keyfile": settings.tls_key}
        found |= {name: str(Path(file).expanduser()) for name, file in files.items() if file}
    if place.kind != "single":  # there redis-py reads them from the URL
        found |= {"username": place.username or None, "password": place.password or None, "db": place.db}
    return found


@functools.cache
def _unnamed() -> dict[str, Any]:
    """Let connections not tell the server which library they are of: that costs each a round trip."""
    named = inspect.signature(AbstractConnection.__init__).parameters
    return {"driver_info": None} if "driver_info" in named else {"lib_name": None, "lib_version": None}  # before 7.1


@functools.lru_cache(maxsize=8)
def interruptible(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Make connections of this kind heed a cancellation that arrives while they send, and come back before they send.

    A connection that the server closed while nobody used it, as one to a master that failed over, is made anew: nothing
    was sent over it. Redis-py's pools see to that, but its cluster's client has none, and the first command would fail.
    Redis-py sends inside `asyncio.wait_for`, which in Python 3.11 returns as if nothing had happened when a
    cancellation arrives together with its result; the task would live on and never end.
    """

    class Interruptible(kind):  # type: ignore[valid-type,misc]  # which kind depends on the URL
        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
            task = asyncio.current_task()
            before = task.cancelling() if task is not None else 0
            if self.is_connected and self._reader.at_eof():
                await self.disconnect(nowait=True)
            await super().send_packed_command(command, check_health)
            if task is not None and task.cancelling() > before:
                await self.disconnect(nowait=True)  # the reply would be taken for that of the next command
                raise asyncio.CancelledError

    return Interruptible


def led(kind: type[AbstractConnection], sentinels: "Sentinels") -> type[AbstractConnection]:
    """Make connections of this kind go to the server that has the role now, and leave it once it has it no more.

    Source: https://redis.io/docs/latest/develop/reference/sentinel-clients/
    """

    class Led(kind):  # type: ignore[valid-type,misc]  # with or without TLS
        async def connect(self) -> None:
            if self.is_connected:
                return
            self.host, self.port = named = await sentinels.leader()
            try:
                await super().connect()
                await self.send_command("ROLE")
                role, *_ = await self.read_response()
                if role != b"master":
                    await self.disconnect()
                    raise RedisConnectionError(f"{named} is no master (yet)")
            except (RedisError, OSError, TimeoutError):
                sentinels.doubt(named)
                raise

        async def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return await super().read_response(*args, **options)
            except ReadOnlyError:
                await self.disconnect()
                raise RedisConnectionError(f"{self.host}:{self.port} is a replica now") from None

    return Led


class Sentinels:
    """The sentinels of a deployment.

    Args:
        settings: the `[redis]` section.
        place: what its URL says.
    """

    def __init__(self, settings: RedisSettings, place: RedisUrl) -> None:
        self._master = place.master
        secret = settings.sentinel_password
        options = {
            **options_of(settings, place),
            "username": settings.sentinel_username or None,
            "password": secret.get_secret_value() if secret is not None else None,
            "socket_timeout": CONNECT_TIMEOUT,  # one that is frozen must not keep us from the next
            "ssl": place.tls,
            "db": 0,
        }
        self._sentinels: list[Any] = [Redis(host=host, port=port, **options) for host, port in place.hosts]
        self._named: dict[Any, Address] = {}  # what each said last

    async def leader(self) -> Address:
        """Ask which server has the role now, the sentinel first that answered last.

        Raises:
            redis.exceptions.AuthenticationError: none answers, and one refuses us.
            redis.exceptions.ConnectionError: none answers, or none knows the name.
        """
        refusal: RedisError | None = None
        for sentinel in list(self._sentinels):
            try:
                found: Any = await sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
            except (AuthenticationError, AuthorizationError) as error:
                refusal = error
            except (RedisError, OSError, TimeoutError):
                continue
            else:
                if found:
                    self._sentinels.remove(sentinel)
                    self._sentinels.insert(0, sentinel)
                    self._named[sentinel] = Address(found[0].decode(), int(found[1]))
                    return self._named[sentinel]
        if refusal is not None:
            raise AuthenticationError(f"a sentinel refuses us: {refusal}; see redis.sentinel-password")
        raise RedisConnectionError(f"no sentinel answers that knows {self._master!r}")

    def doubt(self, address: Address) -> None:
        """Ask others first: the server that is named there is not to be had, or is none that has the role.

        After two failovers in a row one sentinel may go on naming the server of the first, for minutes.
        """
        self._sentinels.sort(key=lambda sentinel: self._named.get(sentinel) == address)

    async def aclose(self) -> None:
        """Close the connections to them."""
        for sentinel in self._sentinels:
            await sentinel.aclose()


async def ask(pool: ConnectionPool, *command: str | bytes) -> Any:
    """Run one command on a connection of its own.

    Raises:
        redis.exceptions.RedisError: the server is not there or refuses it.
    """
    connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    try:
        await connection.connect()
        await connection.send_command(*command)
        return await connection.read_response()
    finally:
        await connection.disconnect(nowait=True)


def tls_fault(error: BaseException | None) -> str | None:
    """Say what is wrong with TLS where that is why a connection failed, as the rest of a sentence; else None."""
    if "CERTIFICATE_REQUIRED" in str(error):
        return "asks for a certificate of ours; see redis.tls-cert"
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"shows a certificate that is not trusted ({error.verify_message}); see redis.tls-ca"
    if error is not None and error.reason == "WRONG_VERSION_NUMBER":
        return "does not speak TLS; see redis.url"
    return None
