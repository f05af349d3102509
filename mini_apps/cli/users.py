"""`mini-apps users`: the users of an app, and what they may do."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy import select

from mini_apps.app import App
from mini_apps.cli.choose import one_app
from mini_apps.cli.problem import Problem
from mini_apps.cli.redis import opened
from mini_apps.database import Database
from mini_apps.loading import load_app
from mini_apps.mesh import Mesh
from mini_apps.models import User
from shared import log
from shared.broker import BrokerUnavailable
from shared.bus import Bus
from shared.bus_frames import Disconnect, pack
from shared.close_codes import CloseCode
from shared.lifecycle import StartError
from shared.settings import Settings, load

Action = Callable[[App, Database], Awaitable[None]]


def run(named: Path | None, app: str, action: Action) -> None:
    """Do something with an app's users.

    Args:
        named: the settings file of the command line.
        app: the app's name; empty for the only one.
        action: what to do.

    Raises:
        Problem: Redis, the database or the app's class is not there.
    """
    settings = load(named)
    log.protect(*settings.secrets())
    name = one_app(settings, app).name
    try:
        asyncio.run(_run(settings, name, action))
    except (StartError, BrokerUnavailable) as error:
        raise Problem(str(error)) from None


async def _run(settings: Settings, name: str, action: Action) -> None:
    node_id = f"cli-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(opened(settings.redis))
        bus = await stack.enter_async_context(Bus(broker, node_id))
        database = Database(settings.database.url.get_secret_value(), settings.folder)
        stack.push_async_callback(database.aclose)
        mesh = Mesh(settings, broker, bus, database, node_id, "cli")
        app = load_app(name, settings.apps[name], mesh)
        await database.create_tables([app], broker, node_id)
        await action(app, database)


async def show(app: App, database: Database) -> None:
    """List the users, with those who are admins or banned though they never logged in."""
    admins = {*app.settings.admins, *await _live(app, app.keys.admins)}
    banned = {*app.settings.banned, *await _live(app, app.keys.banned)}
    async with database.session() as session:
        found = {user.telegram_id: user for user in await session.scalars(select(User).order_by(User.id))}
    rows = [(id_, user.name, user.is_admin) for id_, user in found.items()]
    rows += [(id_, "(not seen yet)", False) for id_ in sorted((admins | banned) - found.keys())]
    for id_, name, is_admin in rows:
        marks = [mark for mark, there in (("admin", is_admin or id_ in admins), ("banned", id_ in banned)) if there]
        print(f"{id_:<12} {name:<30} {', '.join(marks)}".rstrip())
    if not rows:
        print("nobody has logged in yet")


def setting_admin(user: int, *, is_admin: bool) -> Action:
    """Make the action that makes a user an admin, or no longer."""

    async def action(app: App, _database: Database) -> None:
        await app.set_admin(user, is_admin)
        if not is_admin and user in app.settings.admins:
            raise Problem(f"{user} is an admin by apps.{app.name}.admins in the settings; remove it there")
        print(f"{user} is {'an admin' if is_admin else 'no longer an admin'} of {app.name}")

    return action


def banning(user: int, *, banned: bool) -> Action:
    """Make the action that bans a user, or lets them in again."""

    async def action(app: App, _database: Database) -> None:
        await (app.ban(user) if banned else app.unban(user))
        if not banned and user in app.settings.banned:
            raise Problem(f"{user} is banned by apps.{app.name}.banned in the settings; remove it there")
        print(f"{user} is {'banned from' if banned else 'let in to'} {app.name}")

    return action


def revoking(user: int) -> Action:
    """Make the action that ends all sessions of a user."""

    async def action(app: App, _database: Database) -> None:
        await app.revoke(user)
        print(f"{user} has no session at {app.name} any more, and logs in with init data again")

    return action


def disconnecting(user: int, code: int, reason: str) -> Action:
    """Make the action that closes a user's connections.

    Raises:
        Problem: the code is none that a server may send.
    """
    if code != CloseCode.NORMAL and not 4000 <= code <= 4999:
        raise Problem(f"{code} is no close code for this: 1000, or 4000 to 4999")

    async def action(app: App, _database: Database) -> None:
        nodes = await app.mesh.bus.publish(app.keys.user(user), pack(Disconnect(code, reason)))
        print(f"{user} is disconnected from {app.name}" if nodes else f"{user} is not connected to {app.name}")

    return action


async def _live(app: App, key: str) -> set[int]:
    return {int(member) for member in await app.redis.smembers(key)}
