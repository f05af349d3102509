"""Telling Telegram which commands the bot's menu shows, once per change and deployment.

Source: https://core.telegram.org/bots/api#setmycommands.
"""

import hashlib
from typing import TYPE_CHECKING, Final

import orjson

from mini_apps.bound import reaching
from mini_apps.commands import BotCommand, commands_of
from shared.leases import Lease, Names
from shared.log import get_logger

if TYPE_CHECKING:
    from aiogram import Bot

    from mini_apps.app import App

__all__ = ["menu", "send_commands"]

MAX_COMMANDS: Final = 100  # Telegram takes no more

log = get_logger("bot")


def menu(app_class: type) -> list[BotCommand]:
    """List the commands everybody sees in the menu, in the order of registration."""
    found = [command for _, command in commands_of(app_class).values()]
    return [command for command in found if not command.hidden and not command.admin_only]


async def send_commands(app: "App", bot: "Bot") -> None:
    """Send the menu if it is not what Telegram was last told for this bot.

    Args:
        app: whose commands.
        bot: to send them with.

    Raises:
        aiogram.exceptions.TelegramAPIError: Telegram did not take them; the next start tries again.
        BrokerUnavailable: Redis did not answer.
    """
    keys, mesh = app.keys, app.mesh
    shown = menu(type(app))
    if len(shown) > MAX_COMMANDS:
        app.log.warning("the menu shows the first 100 commands only; hide some", commands=len(shown))
    wanted = [[command.trigger, command.description] for command in shown[:MAX_COMMANDS]]
    digest = hashlib.sha256(orjson.dumps([bot.id, wanted])).hexdigest().encode()
    lease = Lease(mesh.broker, Names(keys.lease("commands"), keys.fence("commands")), mesh.node_id)
    with reaching():
        async with lease.wait():  # workers that start together send once
            told = await mesh.broker.own.execute_command("GET", keys.commands)
            if told == digest or (told is None and not wanted):
                return
            await _send(bot, wanted)
            await mesh.broker.own.execute_command("SET", keys.commands, digest)
    log.info("bot menu updated", app=app.name, commands=len(wanted))


async def _send(bot: "Bot", wanted: list[list[str]]) -> None:
    from aiogram.types import BotCommand as Entry  # noqa: PLC0415 - loaded only where a bot runs

    await bot.set_my_commands([Entry(command=trigger, description=description) for trigger, description in wanted])
