"""The bot worker as a process."""

import asyncio
import contextlib
import itertools
import logging
import secrets
import socket
import time

from redis.exceptions import RedisError

from bot_worker import server_tasks
from bot_worker.health_server import listening
from bot_worker.service import BotService
from mini_apps.database import Database
from mini_apps.loading import prepare
from mini_apps.mesh import Mesh
from shared.broker import UNREACHABLE, Broker, reconnect_delay
from shared.bus import Bus
from shared.lifecycle import Process
from shared.log import get_logger
from shared.nodes import Node, Registration
from shared.settings import Settings
from shared.updates import UpdateLog, agree_on_lanes
from shared.version import package_version

CLOSE_MARGIN = 2.0  # seconds of the drain kept for closing what is behind the bots

log = get_logger("bot")


async def serve(process: Process, settings: Settings) -> None:
    """Run a bot worker until the process stops.

    Args:
        process: its life.
        settings: of the deployment.

    Raises:
        StartError: the health address is taken, an app cannot be loaded, or the deployment counts lanes differently.
        shared.broker.BrokerUnfit: Redis is too old or refuses us.
    """
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)  # a line for each update; the metrics count them
    node_id = f"bot-{socket.gethostname()}-{secrets.token_hex(3)}"
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(process, settings.bot))
        broker = await stack.enter_async_context(Broker(settings.redis))
        bus = await stack.enter_async_context(Bus(broker, node_id))
        database = Database(settings.database.url.get_secret_value(), settings.folder)
        stack.push_async_callback(database.aclose)
        apps = await prepare(Mesh(settings, broker, bus, database, node_id, "bot"))
        bots = [app for app in apps.values() if app.settings.bot_token is not None]
        for app in bots:
            await _agree(broker, app.name, settings.bot.lanes)
        node = Node(node_id, "bot", url, version=package_version(), started=int(time.time()))
        registration = await stack.enter_async_context(Registration(broker, node))
        updates = UpdateLog(broker, bus, settings.bot.lanes)
        process.check(bus.trouble)
        async with asyncio.TaskGroup() as group:
            services = [
                group.create_task(BotService(app, updates, process.stopping).run(), name=app.name) for app in bots
            ]
            tasks = [group.create_task(server_tasks.run(app), name=f"{app.name}-tasks") for app in apps.values()]
            for app in apps.values():
                if app not in bots:
                    log.info("no bot-token: only the server tasks of this app run here", app=app.name)
            process.started()
            await process.stopping.wait()
            await registration.drain()
            await _drain(services, tasks, process.drain_seconds - CLOSE_MARGIN)


async def _drain(services: list[asyncio.Task[None]], tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Stop the server tasks at once, and the bots when their running hooks are done or the time is up."""
    for task in tasks:
        task.cancel()
    if services:
        _, late = await asyncio.wait(services, timeout=max(0.0, seconds))
        for service in late:
            log.warning(
                "hooks still run at the end of the drain; their updates are tried again", app=service.get_name()
            )
            service.cancel()


async def _agree(broker: Broker, app: str, lanes: int) -> None:
    for attempt in itertools.count():
        try:
            await agree_on_lanes(broker, app, lanes)
        except (*UNREACHABLE, RedisError) as error:
            log.warning("Redis went away during the start; waiting for it", error=str(error) or type(error).__name__)
            await asyncio.sleep(reconnect_delay(attempt))
        else:
            return
