"""`mini-apps check`: would a deployment with these settings work from here?"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from mini_apps.cli.dev.ports import trouble_with
from mini_apps.cli.packages import settings_file
from mini_apps.cli.problem import EXIT_ERROR, EXIT_USAGE, Problem
from mini_apps.cli.redis import CONNECT_SECONDS, opened
from mini_apps.cli.telegram import Telegram
from mini_apps.cli.telling import Findings
from mini_apps.loading import import_class
from shared.deployment import apps_of, conflict, database_of
from shared.fitness import keeps_nothing
from shared.lifecycle import StartError
from shared.nodes import Node, live_nodes
from shared.settings import AppSettings, Settings, SettingsError, load


def check(named: Path | None) -> int:
    """Look at everything and tell line by line.

    Args:
        named: the settings file of the command line.

    Returns:
        The exit code: 2 for mistakes in the settings, 1 for anything else that has to be changed.
    """
    findings = Findings()
    try:
        settings = load(named)
    except SettingsError as error:
        for mistake in error.mistakes:
            findings.wrong(mistake)
        return EXIT_USAGE
    where = settings_file(named)
    apps = ", ".join(settings.apps) or "no app"
    findings.good(f"settings: {where if where.exists() else 'from the environment'} ({apps})")
    for warning in settings.warnings():
        findings.odd(warning)
    asyncio.run(_look(settings, findings))
    return EXIT_ERROR if findings.bad else 0


async def _look(settings: Settings, findings: Findings) -> None:
    await _redis(settings, findings)
    for name, app in settings.apps.items():
        if app.enabled:
            _app(name, app, settings, findings)
            await _token(name, app, findings)
    for port, wanted_by in _ports(settings):
        trouble = trouble_with(port)
        if trouble is None:
            findings.good(f"port {port} is free for the {wanted_by}")
        else:
            findings.odd(f"port {port} for the {wanted_by} {trouble} (fine if that is ours)")


async def _redis(settings: Settings, findings: Findings) -> None:
    try:
        async with opened(settings.redis) as broker:
            findings.good(f"Redis: {broker.address} answers and fits")
            if any(map(keeps_nothing, broker.infos)):
                findings.odd("Redis: it writes no append-only file, so a restart of it loses what waits there")
            us = Node("", "gateway", "", apps=apps_of(settings), database=database_of(settings))
            if (clash := conflict(us, await live_nodes(broker))) is not None:
                findings.wrong(f"redis.prefix {settings.redis.prefix!r}: {clash}")
    except Problem as problem:
        findings.wrong(f"Redis: {problem}")


def _app(name: str, app: AppSettings, settings: Settings, findings: Findings) -> None:
    try:
        import_class(name, app.class_path)
    except StartError as error:
        findings.wrong(str(error))
    else:
        findings.good(f"apps.{name}.class: {app.class_path} loads")
    if app.pages:
        _pages(name, settings.resolve(app.pages), findings)


def _pages(name: str, folder: Path, findings: Findings) -> None:
    if not folder.is_dir():
        findings.wrong(f"apps.{name}.pages: there is no folder {folder}")
    elif not (folder / "index.html").exists():
        findings.odd(f"apps.{name}.pages: {folder} has no index.html")
    else:
        findings.good(f"apps.{name}.pages: {folder}")


async def _token(name: str, app: AppSettings, findings: Findings) -> None:
    where = f"apps.{name}.bot-token"
    if app.bot_token is None:
        findings.odd(f"{where} is not set: no bot here (`mini-apps dev` needs none)")
        return
    try:
        async with asyncio.timeout(CONNECT_SECONDS), Telegram(app) as telegram:
            me = await telegram.me()
    except Problem as problem:
        findings.wrong(f"{where}: {problem}")
    except TimeoutError:
        findings.odd(f"{where}: {app.api_server} did not answer within {CONNECT_SECONDS:g} s, so it is not checked")
    else:
        findings.good(f"{where}: is @{me.username} ({me.id})")


def _ports(settings: Settings) -> Iterator[tuple[int, str]]:
    for port, wanted_by in (
        (settings.gateway.port, "gateway"),
        (settings.ws.port, "WebSocket node"),
        (settings.bot.port, "bot worker"),
    ):
        if port:
            yield port, wanted_by
