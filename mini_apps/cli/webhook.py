"""`mini-apps webhook`: where Telegram sends a bot's updates."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC
from pathlib import Path

from mini_apps.cli.choose import one_app
from mini_apps.cli.problem import EXIT_USAGE, Problem
from mini_apps.cli.telegram import Telegram
from shared.redact import protect
from shared.settings import AppSettings, Settings, load

Action = Callable[[Telegram, Settings, AppSettings], Awaitable[None]]


def run(named: Path | None, app: str, action: Action) -> None:
    """Do something with an app's webhook.

    Args:
        named: the settings file of the command line.
        app: the app's name; empty for the only one.
        action: what to do.

    Raises:
        Problem: the app has no token, or Telegram refuses or cannot be reached.
    """
    settings = load(named)
    protect(*settings.secrets())
    asyncio.run(_run(settings, one_app(settings, app), action))


async def _run(settings: Settings, app: AppSettings, action: Action) -> None:
    async with Telegram(app) as telegram:
        await action(telegram, settings, app)


async def info(telegram: Telegram, settings: Settings, app: AppSettings) -> None:
    """Show what Telegram knows of the webhook; its path is a secret and is not shown."""
    found = await telegram.webhook()
    if not found.url:
        print(f"no webhook: updates wait for polling ({found.pending_update_count} do)")
        return
    ours = bool(settings.gateway.public_url) and found.url == _address(settings, app)
    print(f"webhook   {'the gateway’s' if ours else 'NOT this gateway’s'} at {found.url.split('/')[2]}")
    print(f"pending   {found.pending_update_count}")
    if found.last_error_date is not None:
        when = found.last_error_date.astimezone(UTC)
        print(f"failed    {when:%Y-%m-%d %H:%M:%S} UTC: {found.last_error_message}")
    if found.allowed_updates:
        print(f"updates   {', '.join(found.allowed_updates)}")


def setting(*, drop_pending: bool) -> Action:
    """Make the action that sets the webhook."""

    async def action(telegram: Telegram, settings: Settings, app: AppSettings) -> None:
        secret = app.effective_webhook_secret()
        if not settings.gateway.public_url or secret is None:
            raise Problem("a webhook needs gateway.public-url in the settings, an address Telegram reaches", EXIT_USAGE)
        await telegram.set_webhook(
            _address(settings, app), secret, allowed_updates=app.allowed_updates, drop_pending=drop_pending
        )
        print(f"set: Telegram sends the updates of {app.name} to {settings.gateway.public_url.rstrip('/')}/webhook/…")
        if app.ingest != "webhook":
            print(f'set apps.{app.name}.ingest = "webhook" too, or a bot worker that polls deletes it again')

    return action


def deleting(*, drop_pending: bool) -> Action:
    """Make the action that deletes the webhook."""

    async def action(telegram: Telegram, settings: Settings, app: AppSettings) -> None:  # noqa: ARG001 - an `Action`
        await telegram.delete_webhook(drop_pending=drop_pending)
        print(f"deleted: the updates of {app.name} wait for polling")

    return action


def _address(settings: Settings, app: AppSettings) -> str:
    return f"{settings.gateway.public_url.rstrip('/')}/webhook/{app.webhook_path()}"
