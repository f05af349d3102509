"""The settings that the children of `dev` get: the author's, with addresses, broker and Telegram of this machine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from mini_apps.cli.dev.ports import HOST, Ports
from mini_apps.cli.dev.target import Target
from mini_apps.cli.problem import EXIT_USAGE, Problem
from shared.settings import AppSettings, Settings
from shared.settings.model import SECTIONS, Section, file_key, shown

Plain = dict[str, Any]

SQLITE = "sqlite+aiosqlite:///"
SANDBOX_TOKEN = re.compile(r"[0-9]+:sandbox-[A-Za-z0-9_-]+")
FIRST_BOT = 42
FIRST_PERSON = 1001  # Ada, on the first phone
LOCAL_TELEGRAM: Plain = {"test-environment": False, "ingest": "polling", "proxy": ""}
DRAIN_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Wish:
    """What `dev` was asked for.

    Attributes:
        ports: who listens where.
        target: the app named on the command line.
        redis_url: a broker to use instead of the embedded Valkey.
        sandbox: put a local Telegram in the place of the real one.
        verbose: let the processes tell everything.
    """

    ports: Ports
    target: Target | None = None
    redis_url: str | None = None
    sandbox: bool = True
    verbose: bool = False

    def gateway_url(self) -> str:
        """Where the gateway is, with a slash at the end."""
        return f"http://{HOST}:{self.ports.gateway}/"

    def sandbox_url(self) -> str:
        """Where the sandbox is, without a slash at the end, as `telegram.api-server` wants it."""
        return f"http://{HOST}:{self.ports.sandbox}"


def effective(settings: Settings, wish: Wish) -> Plain:
    """Make the settings of the children, as plain data with all secrets in it.

    Args:
        settings: the author's settings; their defaults when there is no file.
        wish: what `dev` was asked for.

    Raises:
        Problem: there is no app to run, or one has no token where a real one is needed.
    """
    found: Plain = {name: _revealed(getattr(settings, name)) for name in SECTIONS}
    found["redis"]["url"] = wish.redis_url or f"redis://{HOST}:{wish.ports.valkey}/0"
    found["database"]["url"] = _database_url(settings)
    found["log"] = {"level": _level(settings, wish), "format": "json"}
    found["gateway"] |= {
        "host": HOST,
        "port": wish.ports.gateway,
        "media": _media(settings),
    }
    found["ws"] |= {"host": HOST, "port": wish.ports.ws_1, "node-id": "", "drain-seconds": DRAIN_SECONDS}
    found["bot"] |= {"host": HOST, "port": wish.ports.bot}
    if wish.sandbox:
        found["gateway"] |= {"public-url": "", "sandbox-url": f"{wish.sandbox_url()}/"}
        found["ws"] |= {"public-url": "", "allowed-origins": []}
        found["telegram"] |= {**LOCAL_TELEGRAM, "api-server": wish.sandbox_url()}
    found["apps"] = _apps(settings, wish)
    return found


def sandbox_config(found: Plain, wish: Wish) -> Plain:
    """Make the sandbox's own configuration from the effective settings: one bot for each app."""
    bots = [
        {"name": name, "token": app["bot-token"], "url": app["url"], "short_name": app.get("short-name") or name}
        for name, app in found["apps"].items()
    ]
    bus = {"url": found["redis"]["url"], "prefix": found["redis"]["prefix"]}
    return {"host": HOST, "port": wish.ports.sandbox, "bots": bots, "bus": bus}


def replaces_real_tokens(settings: Settings) -> bool:
    """Tell whether an app has a token of its own that the sandbox will not use."""
    return any(app.bot_token is not None and not _is_sandbox_token(app.bot_token) for app in settings.apps.values())


def _revealed(section: Section) -> Plain:
    fields = type(section).model_fields
    values = {shown(file_key(name, field)): getattr(section, name) for name, field in fields.items()}
    return {key: _plain(value) for key, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _level(settings: Settings, wish: Wish) -> str:
    """Let the apps' own info through; what our processes say at that level is held back where it is shown."""
    if "level" in settings.log.model_fields_set:
        return settings.log.level
    return "debug" if wish.verbose else "info"


def _database_url(settings: Settings) -> str:
    if "url" not in settings.database.model_fields_set:
        return f"{SQLITE}mini-apps.sqlite"  # below the private folder, where the children's settings are
    url = settings.database.url.get_secret_value()
    name = url.removeprefix(SQLITE)
    if name == url or name in ("", ":memory:") or name.startswith(("/", "file:")):
        return url
    return SQLITE + str(settings.resolve(name))


def _media(settings: Settings) -> str:
    """Put pictures beside the database: without settings of the author's own, into the private folder."""
    media = settings.gateway.media
    ours = media and not settings.files and "media" not in settings.gateway.model_fields_set
    return media if ours or not media else str(settings.resolve(media))


def _apps(settings: Settings, wish: Wish) -> Plain:
    chosen = _chosen(settings, wish.target)
    if not chosen:
        raise Problem("no app to run: name one as module:Class, or make one with: mini-apps new NAME", EXIT_USAGE)
    apps: Plain = {}
    tokens = _sandbox_tokens(chosen)
    for name, app in chosen.items():
        apps[name] = _app(settings, app)
        if wish.sandbox:
            apps[name] |= {**_local(name, tokens[name], wish), "admins": app.admins or [FIRST_PERSON]}
        elif app.bot_token is None:
            raise Problem(f"without the sandbox the app {name} needs its bot-token in the settings", EXIT_USAGE)
    return apps


def _chosen(settings: Settings, target: Target | None) -> Mapping[str, AppSettings]:
    """Take the enabled apps; with a target only that class, under its name in the settings if it has one."""
    enabled = {name: app for name, app in settings.apps.items() if app.enabled}
    if target is None:
        return enabled
    named = {name: app for name, app in enabled.items() if app.class_path == target.class_path}
    if named:
        return named
    fields: Plain = {"class": target.class_path, "pages": str(target.pages) if target.pages else ""}
    return {target.name: AppSettings.model_validate(fields)}


def _app(settings: Settings, app: AppSettings) -> Plain:
    own = {shown(key): value for key, value in (app.__pydantic_extra__ or {}).items()}
    found = {**_revealed(app), **own}
    if app.pages:
        found["pages"] = str(settings.resolve(app.pages))
    return found


def _local(name: str, token: str, wish: Wish) -> Plain:
    """Point an app at the sandbox and at this machine's gateway."""
    return {
        **LOCAL_TELEGRAM,
        "api-server": wish.sandbox_url(),
        "bot-token": token,
        "bot-id": int(token.partition(":")[0]),
        "webapp-key": None,
        "verify": "hash",
        "url": f"{wish.gateway_url()}apps/{name}/",
    }


def _is_sandbox_token(token: SecretStr) -> bool:
    return SANDBOX_TOKEN.fullmatch(token.get_secret_value()) is not None


def _sandbox_tokens(apps: Mapping[str, AppSettings]) -> dict[str, str]:
    """Give each app a token of the sandbox: its own if it is one, else the next free bot id."""
    own = {
        name: app.bot_token.get_secret_value()
        for name, app in apps.items()
        if app.bot_token is not None and _is_sandbox_token(app.bot_token)
    }
    used = {token.partition(":")[0] for token in own.values()}
    free = (number for number in range(FIRST_BOT, FIRST_BOT + 10_000) if str(number) not in used)
    return {name: own.get(name) or f"{next(free)}:sandbox-{name}" for name in apps}
