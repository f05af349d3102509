"""The bot worker as a process."""

import asyncio
import contextlib
import logging
import secrets
import socket
import time

from aiogram.types import Update

from bot_worker import metrics
from bot_worker.apps import Apps
from bot_worker.calls.metrics import calls
from bot_worker.health_server import listening
from mini_apps.database import Database
from mini_apps.loading import import_classes, prepare
from mini_apps.mesh import Mesh
from shared import garbage
from shared.broker import Broker
from shared.bus import Bus, lag_seconds
from shared.deployment import apps_of, database_of
from shared.lifecycle import Process
from shared.log import get_logger
from shared.nodes import Figures, Node, Registration, check_alone
from shared.process_metrics import total
from shared.reread import watched
from shared.settings import Changes, Settings
from shared.updates import UpdateLog
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
    Update.model_rebuild()  # of hundreds of types; before we are ready, and not while the first update waits
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)  # a line for each update; the metrics count them
    import_classes(settings)
    node_id = f"bot-{socket.gethostname()}-{secrets.token_hex(3)}"
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(process, settings.bot))
        broker = await stack.enter_async_context(Broker(settings.redis))
        node = Node(
            node_id,
            "bot",
            url,
            version=package_version(),
            started=int(time.time()),
            apps=apps_of(settings),
            database=database_of(settings),
        )
        await check_alone(broker, node)  # before anything is written
        if not settings.gateway.sandbox_url:  # else it is for developing
            broker.warn_if_forgetful()
        bus = await stack.enter_async_context(Bus(broker, node_id))
        database = Database(settings.database.url.get_secret_value(), settings.folder)
        stack.push_async_callback(database.aclose)
        mesh = Mesh(settings, broker, bus, database, node_id, "bot", process.clock)
        loaded = await prepare(mesh)
        registration = await stack.enter_async_context(Registration(broker, node, figures=_figures))
        updates = UpdateLog(broker, bus, settings.bot.lanes)
        apps = process.serves = Apps(mesh, updates, process.drain_seconds - CLOSE_MARGIN)
        hired = await apps.hire(loaded)  # registered already: who changes the number of lanes sees us, or we see that
        process.check(bus.trouble)
        async with asyncio.TaskGroup() as group:
            apps.start(hired, group)
            if process.alone:
                garbage.tame()  # aiogram is a heap of long-lived classes, and an update makes few cycles
            process.started()

            async def change(found: Settings, changes: Changes) -> None:
                await apps.change(found, changes)
                await registration.serves(apps_of(found))

            async with watched(process, settings, change):
                await process.stopping.wait()
                apps.stop()
            await registration.drain()
            await apps.drain()


def _figures() -> Figures:
    return Figures(received=total(metrics.updates), sent=total(calls), lag=total(lag_seconds))
