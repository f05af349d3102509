"""`mini-apps bots`: how each app's bot is doing."""

import asyncio
import json
from pathlib import Path

from redis.exceptions import RedisError

from mini_apps.bot_status import BotReport, BotStatus, read_report
from mini_apps.cli import view
from mini_apps.cli.problem import Problem
from mini_apps.cli.redis import opened
from mini_apps.cli.view import BAD, GOOD, WORRY, Cell, since
from shared.broker import UNREACHABLE
from shared.redact import protect
from shared.settings import Settings, enabled, load

MEANING = {
    BotStatus.Disconnected: "no bot worker ever served it",
    BotStatus.Offline: "its worker was stopped",
}
COLOURS = {BotStatus.Running: GOOD, BotStatus.Starting: WORRY, BotStatus.Disconnected: "", BotStatus.Offline: WORRY}


def show(named: Path | None, *, as_json: bool) -> None:
    """Print how the bots are doing.

    Args:
        named: the settings file of the command line.
        as_json: for programs.

    Raises:
        Problem: Redis is not there.
    """
    settings = load(named)
    protect(*settings.secrets())
    try:
        reports = asyncio.run(_read(settings))
    except (*UNREACHABLE, RedisError) as error:
        raise Problem(f"Redis did not answer: {type(error).__name__}") from None
    if as_json:
        print(json.dumps({name: _plain(report) for name, report in reports.items()}, indent=2))
        return
    rows = [(name, status(report), _bot(report), since(report.since), told(report)) for name, report in reports.items()]
    view.show(("app", "status", "bot", "for", "why"), rows)


def status(report: BotReport) -> Cell:
    """Return the status, with its colour."""
    return Cell(report.status.value, COLOURS.get(report.status, BAD))


def told(report: BotReport) -> str:
    """Say in one line why a bot is as it is; empty where nothing is to be said."""
    if report.status is BotStatus.StartFlood:
        return f"{report.wait} s left: {report.reason}"
    return report.reason or MEANING.get(report.status, "")


async def _read(settings: Settings) -> dict[str, BotReport]:
    async with opened(settings.redis) as broker:
        return {name: await read_report(broker.own, broker.keys, name) for name in sorted(enabled(settings))}


def _bot(report: BotReport) -> str:
    return f"@{report.me.username}" if report.me is not None else ""


def _plain(report: BotReport) -> dict[str, object]:
    me = report.me
    return {
        "status": report.status.value,
        "reason": report.reason,
        "since": report.since,
        "wait": report.wait,
        "worker": report.worker,
        "bot": {"id": me.id, "username": me.username, "first_name": me.first_name} if me is not None else None,
    }
