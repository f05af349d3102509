"""`mini-apps dev`: from what was asked to a running deployment."""

import asyncio
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mini_apps.cli.dev import folder as folders
from mini_apps.cli.dev.effective import Wish, effective, replaces_real_tokens, sandbox_config
from mini_apps.cli.dev.plan import SANDBOX, Plan
from mini_apps.cli.dev.ports import claim
from mini_apps.cli.dev.runner import Runner
from mini_apps.cli.dev.screen import Screen
from mini_apps.cli.dev.target import find_target, module_folder
from mini_apps.cli.dev.watcher import FileWatcher
from mini_apps.cli.packages import CODE_LINK, author_folder, settings_file
from mini_apps.cli.problem import EXIT_USAGE, Problem
from mini_apps.cli.redis import opened
from shared.redis_url import REDIS_EXAMPLE
from shared.settings import RedisSettings, Settings, load

NEED_SETTINGS = ("gateway", "bot", "ws-1", "ws-2")


@dataclass(frozen=True, slots=True)
class Request:
    """The words of the command line.

    Attributes:
        app: `module:Class`, or None for the apps of the settings.
        port: the first of six in a row; 0 looks for free ones.
        redis_url: a broker to use instead of the embedded Valkey.
        reload: restart on changes.
        sandbox: put a local Telegram in the place of the real one.
        verbose: show everything the processes say.
        settings: the settings file, if one was named.
    """

    app: str | None
    port: int
    redis_url: str | None
    reload: bool
    sandbox: bool
    verbose: bool
    settings: Path | None


def dev(request: Request) -> int:
    """Run everything on this machine until Ctrl-C; return the exit code.

    Raises:
        Problem: it cannot start like this.
        SettingsError: the settings have mistakes.
    """
    settings = read_settings(request)
    if request.redis_url is not None:
        asyncio.run(_look_at_redis(settings, request.redis_url))
    wish = Wish(
        ports=claim(request.port),
        target=find_target(request.app) if request.app else None,
        redis_url=request.redis_url,
        sandbox=request.sandbox,
        verbose=request.verbose,
    )
    found = effective(settings, wish)
    places = [module_folder(app["class"]) for app in found["apps"].values() if app.get("class")]
    private = folders.create(wish.ports.gateway)
    try:
        (private / CODE_LINK).symlink_to(author_folder(request.settings))
        _write(private, found, wish)
        plan = Plan(wish, private, tuple(found["apps"]), _notes(settings, wish))
        screen = Screen(plan.apps, verbose=request.verbose)
        watcher = FileWatcher(places, settings.files, lambda: _remake(request, plan)) if request.reload else None
        return asyncio.run(Runner(plan, screen, watcher=watcher).run())
    finally:
        folders.remove(private)


def read_settings(request: Request) -> Settings:
    """Read the settings; for an app named on the command line the environment alone will do, or nothing."""
    if request.app is None or request.settings is not None or settings_file(None).exists():
        return load(request.settings)
    target = find_target(request.app)
    own = {"CLASS": target.class_path, "PAGES": str(target.pages or "")}
    named = {f"MINI_APPS__APPS__{target.name.upper()}__{key}": value for key, value in own.items()}
    return load(None, {**os.environ, **named})


async def _look_at_redis(settings: Settings, url: str) -> None:
    """See that the broker of the command line is there, since the children would wait for it without a word.

    Raises:
        Problem: it is not, or the address is none.
    """
    try:
        redis = RedisSettings.model_validate({**settings.redis.model_dump(), "url": url})
    except ValidationError:
        raise Problem(f"--redis: expected an address such as {REDIS_EXAMPLE}", EXIT_USAGE) from None
    async with opened(redis):
        return


def _write(private: Path, found: dict[str, object], wish: Wish) -> None:
    folders.write_private(private / folders.SETTINGS, json.dumps(found, indent=2, default=str))
    if wish.sandbox:
        folders.write_private(private / SANDBOX, json.dumps(sandbox_config(found, wish), indent=2))


def _remake(request: Request, plan: Plan) -> Collection[str]:
    """Write the children's settings again and name the children that need them."""
    sandbox = plan.folder / SANDBOX
    before = sandbox.read_text() if plan.wish.sandbox else ""
    _write(plan.folder, effective(read_settings(request), plan.wish), plan.wish)
    same = not plan.wish.sandbox or sandbox.read_text() == before
    return NEED_SETTINGS if same else (*NEED_SETTINGS, "sandbox")


def _notes(settings: Settings, wish: Wish) -> tuple[str, ...]:
    if not wish.sandbox:
        return tuple(settings.warnings())
    if replaces_real_tokens(settings):
        return ("The bot tokens in the settings rest: the bots live in the sandbox. --no-sandbox uses real Telegram.",)
    return ()
