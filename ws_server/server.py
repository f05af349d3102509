"""The `ws` process: opens what a node needs, listens, and drains at the end."""

import asyncio
import contextlib
import errno
import secrets
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import structlog

from mini_apps.database import Database
from mini_apps.hooks import call
from mini_apps.loading import import_classes, prepare
from mini_apps.mesh import Mesh
from shared import garbage, nodes
from shared.broker import Broker
from shared.bus import Bus, lag_seconds
from shared.deployment import apps_of, database_of
from shared.lifecycle import Process, StartError
from shared.process_metrics import total
from shared.reread import watched
from shared.settings import Changes, Settings
from shared.version import package_version
from ws_server.drain import send_away
from ws_server.metrics import NodeCollector
from ws_server.node import Node
from ws_server.tap import connection_of

BACKLOG = 4096  # asyncio's 100 makes a reconnect storm wait in SYN retries

log = structlog.get_logger("ws")


async def serve(process: Process, settings: Settings) -> None:
    """Run a node until the process is asked to stop, then drain it."""
    import_classes(settings)
    node_id = settings.ws.node_id or f"{socket.gethostname()}-{secrets.token_hex(3)}"
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Broker(settings.redis))
        entry = nodes.Node(
            node_id,
            "ws",
            address="",
            capacity=settings.ws.max_connections,
            version=package_version(),
            started=int(time.time()),
            apps=apps_of(settings),
            database=database_of(settings),
        )
        await nodes.check_alone(broker, entry)  # before anything is written
        node = process.serves = Node(process, settings, node_id, broker)
        bus = await stack.enter_async_context(Bus(broker, node_id, on_gap=node.missed))
        database = Database(settings.database.url.get_secret_value(), settings.folder)
        stack.push_async_callback(database.aclose)
        mesh = Mesh(settings, broker, bus, database, node_id, "ws", process.clock)
        apps = await prepare(mesh)
        stack.push_async_callback(node.aclose)
        await node.serve(apps, bus)
        for app in apps.values():
            await call(app.on_server_start)
        listener = await stack.enter_async_context(_listening(node))
        port = process.port = listener.sockets[0].getsockname()[1]
        entry = replace(entry, address=_address(settings, port))
        registration = await stack.enter_async_context(_registered(node, broker, entry))
        _metrics(node)
        process.check(bus.trouble)
        if process.alone:
            garbage.tame()  # sockets make no cycles
        log.info("listening", node=node_id, host=settings.ws.host, port=port)
        process.started()

        async def change(found: Settings, changes: Changes) -> None:
            await node.apps.change(mesh, found, changes)
            await registration.serves(apps_of(found))

        async with watched(process, settings, change):
            await process.stopping.wait()
        node.draining = True  # who still comes is sent on
        await registration.drain()
        seconds = settings.ws.drain_seconds * 0.9
        await send_away(node, seconds)
        listener.close()
        await node.quiet(0.3 * seconds)


@contextlib.asynccontextmanager
async def _listening(node: Node) -> AsyncIterator[asyncio.Server]:
    host, port = node.settings.host, node.settings.port
    try:
        server = await asyncio.get_running_loop().create_server(
            partial(connection_of, node), host, port, backlog=BACKLOG, reuse_address=True
        )
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is already in use; choose another with ws.port or --port" if taken else f"cannot be used: {error}"
        raise StartError(f"ws: {host}:{port} {why}") from None
    try:
        yield server
    finally:
        server.close()


def _registered(node: Node, broker: Broker, entry: nodes.Node) -> nodes.Registration:
    def figures() -> nodes.Figures:
        sent = node.hub.frames_out + node.counts.messages_out
        return nodes.Figures(node.counts.messages_in, sent, total(lag_seconds))

    return nodes.Registration(broker, entry, connections=lambda: len(node.connections), figures=figures)


def _address(settings: Settings, port: int) -> str:
    """Return the URL clients are told: the public one, else where we listen."""
    if settings.ws.public_url:
        return settings.ws.public_url
    host = settings.ws.host
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"ws://{f'[{host}]' if ':' in host else host}:{port}/ws"


def _metrics(node: Node) -> None:
    gauges = {
        "connections": lambda: float(len(node.connections)),
        "capacity": lambda: float(node.settings.max_connections),
        "queue_bytes": node.queue_bytes,
        "groups": lambda: float(len(node.hub)),
        "subscriptions": lambda: float(len(node.channels.subscriptions)),
    }
    node.process.registry.register(NodeCollector(node.counts, node.hub, node.channels.recovery.outcomes, gauges))
