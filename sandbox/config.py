"""What the sandbox is started with: one JSON file, or a few flags."""

import json
import re
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from sandbox.errors import ActionError
from sandbox.faults import Fault
from sandbox.faults import parse as parse_fault
from sandbox.hosts import is_loopback
from sandbox.model import User

_TOKEN = re.compile(r"(?P<id>[1-9]\d{0,15}):[A-Za-z0-9_-]{1,80}")
_REAL_TOKEN = re.compile(r"\d{8,10}:[A-Za-z0-9_-]{35}")
_STRICT = ConfigDict(extra="forbid", strict=True)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.IGNORECASE)

DEFAULT_USERS = (
    User(1001, "Ada", last_name="Lovelace", username="ada", language_code="en"),
    User(1002, "Ben", username="ben", language_code="en"),
)


class ConfigError(ValueError):
    """The sandbox cannot start like this; the text is one line for the person who started it."""


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class BotConfig:
    """One bot.

    Args:
        name: the app's name, used in `?bot=` and in the page API.
        token: `<bot id>:<anything>`, such as `42:sandbox-counter`.
        url: where its mini app is; empty when it has none.
        short_name: of the direct link `t.me/<username>/<short_name>`.
        username: without `@`; made from the name when empty.
        title: the bot's name on the phones; made from the name when empty.
        privacy: hear in groups only what is meant for it, as set up with @BotFather.
    """

    name: str
    token: str
    url: str = ""
    short_name: str = ""
    username: str = ""
    title: str = ""
    privacy: bool = True

    @property
    def id(self) -> int:
        """The number before the colon of the token."""
        return int(self.token.partition(":")[0])


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class RetryPolicy:
    """Seconds between tries of a failed webhook delivery: at once, then doubling, as Telegram does."""

    first: float = 0.0
    base: float = 2.0
    longest: float = 120.0

    def delay(self, failures: int) -> float:
        """Return the wait after so many failures in a row (1 and up)."""
        return self.first if failures == 1 else min(self.longest, self.base * 2.0 ** min(failures - 2, 30))


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class BusConfig:
    """The Redis of a deployment on this machine, whose frames the page shows.

    Args:
        url: with its credentials, if it has any.
        prefix: of the deployment's keys.
    """

    url: str = field(repr=False)
    prefix: str = "ma"


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class SandboxConfig:
    """Everything the server needs to know.

    Args:
        users: the people at the start.
        limits: start with Telegram's sending limits switched on.
        faults: what shall go wrong, for each bot.
        allow_remote: serve other machines too, and take any Host header.
        allow_real_token: do not refuse tokens that look like Telegram's.
        retry: of failed webhook deliveries.
        bus: where the frames are that the page shows; None: it shows updates and calls only.
    """

    host: str = "127.0.0.1"
    port: int = 8083
    bots: tuple[BotConfig, ...] = ()
    users: tuple[User, ...] = DEFAULT_USERS
    limits: bool = False
    faults: tuple[Fault, ...] = ()
    allow_remote: bool = False
    allow_real_token: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    bus: BusConfig | None = None

    def check(self) -> None:
        """Refuse what would be unsafe or cannot work.

        Raises:
            ConfigError: names the mistake and what to do.
        """
        if not is_loopback(self.host) and not self.allow_remote:
            raise ConfigError(
                f"host {self.host} is reachable from other machines, and anybody there could act as any user: "
                "use 127.0.0.1, or pass --allow-remote if you mean it"
            )
        for bot in self.bots:
            _check_bot(bot, allow_real_token=self.allow_real_token)
        for what, values in (
            ("name", [bot.name for bot in self.bots]),
            ("bot id (the number before the colon of the token)", [bot.id for bot in self.bots]),
        ):
            if len(set(values)) < len(values):
                raise ConfigError(f"two bots have the same {what}: {', '.join(map(str, values))}")


_ADAPTER = TypeAdapter(SandboxConfig)


def _check_bot(bot: BotConfig, *, allow_real_token: bool) -> None:
    if not _NAME.fullmatch(bot.name):
        raise ConfigError(f"bot name {bot.name!r}: use letters, digits, - and _, at most 64 of them")
    if _REAL_TOKEN.fullmatch(bot.token) and not allow_real_token:
        raise ConfigError(
            f"the token of bot {bot.name} looks like a real one, which does not belong here: "
            f"use something like 42:sandbox-{bot.name}, or pass --allow-real-token"
        )
    if not _TOKEN.fullmatch(bot.token):
        raise ConfigError(f"the token of bot {bot.name} must look like 42:sandbox-{bot.name}")
    if bot.url and (urlsplit(bot.url).scheme not in {"http", "https"} or not urlsplit(bot.url).hostname):
        raise ConfigError(f"the url of bot {bot.name} must start with http:// or https://")


def load(path: Path) -> SandboxConfig:
    """Read a JSON config file, whose keys are the fields of `SandboxConfig`.

    Raises:
        ConfigError: the file is missing, not JSON, or has unknown or mistyped keys.
    """
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        # `input` would repeat tokens.
        mistakes = [_mistake(item["loc"], item["msg"]) for item in error.errors(include_input=False, include_url=False)]
        raise ConfigError(f"{path}: {'; '.join(mistakes)}") from None


def _mistake(place: tuple[int | str, ...], text: str) -> str:
    return f"{'.'.join(map(str, place))}: {text}" if place else text


def parse_app(values: Sequence[str]) -> tuple[BotConfig, ...]:
    """Return the bots of `--app name=token,url` flags.

    Raises:
        ConfigError: a value has another form.
    """
    bots = []
    for value in values:
        name, equals, rest = value.partition("=")
        token, _, url = rest.partition(",")
        if not equals or not token:
            raise ConfigError(
                "--app takes name=token,url, such as counter=42:sandbox-counter,http://127.0.0.1:8080/apps/counter/"
            )
        bots.append(BotConfig(name, token, url, short_name=name))
    return tuple(bots)


def parse_faults(values: Sequence[str]) -> tuple[Fault, ...]:
    """Return the faults of `--fault JSON` flags.

    Raises:
        ConfigError: a value is not JSON or no fault.
    """
    try:
        return tuple(parse_fault(json.loads(value)) for value in values)
    except (ValueError, ActionError) as error:
        raise ConfigError(
            f'--fault takes JSON such as {{"kind":"flood","method":"getMe","seconds":5}}: {error}'
        ) from None
