"""The `ws` process: opens what a node needs, listens, and drains at the end."""

import asyncio
import contextlib
import errno
import gc
import secrets
import socket
import time
from collections.abc import AsyncIterator

import structlog

from mini_apps.database import Database
from mini_apps.hooks import call
from mini_apps.loading import prepare
from mini_apps.mesh import Mesh
from shared import nodes
from shared.broker import Broker
from shared.bus import Bus
from shared.lifecycle import Process, StartError
from shared.settings import Settings
from shared.version import package_version
from ws_server.connection import Connection
from ws_server.drain import send_away
from ws_server.metrics import NodeCollector
from ws_server.node import Node

BACKLOG = 4096  # asyncio's 100 makes a reconnect storm wait in SYN retries

log = structlog.get_logger("ws")


async def serve(process: Process, settings: Settings) -> None:
    """Run a node until the process is asked to stop, then drain it."""
    node_id = settings.ws.node_id or f"{socket.gethostname()}-{secrets.token_hex(3)}"
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Broker(settings.redis))
        node = Node(process, settings, node_id, broker)
        bus = await stack.enter_async_context(Bus(broker, node_id, on_gap=node.missed))
        database = Database(settings.database.url.get_secret_value(), settings.folder)
        stack.push_async_callback(database.aclose)
        apps = await prepare(Mesh(settings, broker, bus, database, node_id, "ws"))
        stack.push_async_callback(node.aclose)
        await node.serve(apps, bus)
        for app in apps.values():
            await call(app.on_server_start)
        listener = await stack.enter_async_context(_listening(node))
        port = process.port = listener.sockets[0].getsockname()[1]
        registration = await stack.enter_async_context(_registered(node, broker, _address(settings, port)))
        _metrics(node)
        process.check(bus.trouble)
        _tame_garbage_collector()
        log.info("listening", node=node_id, host=settings.ws.host, port=port)
        process.started()
        await process.stopping.wait()
        node.draining = True  # who still comes is sent on
        await registration.drain()
        seconds = settings.ws.drain_seconds * 0.9
        await send_away(node, seconds)
        listener.close()
        await node.quiet(0.3 * seconds)


def _tame_garbage_collector() -> None:
    """Look for cycles rarely: sockets make none, and each look costs more the more sockets there are."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@contextlib.asynccontextmanager
async def _listening(node: Node) -> AsyncIterator[asyncio.Server]:
    host, port = node.settings.host, node.settings.port
    try:
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(node), host, port, backlog=BACKLOG, reuse_address=True
        )
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is already in use; choose another with ws.port or --port" if taken else f"cannot be used: {error}"
        raise StartError(f"ws: {host}:{port} {why}") from None
    try:
        yield server
    finally:
        server.close()


def _registered(node: Node, broker: Broker, address: str) -> nodes.Registration:
    entry = nodes.Node(
        id=node.id,
        kind="ws",
        address=address,
        capacity=node.settings.max_connections,
        version=package_version(),
        started=int(time.time()),
    )
    return nodes.Registration(broker, entry, connections=lambda: len(node.connections))


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
        "connections": ("Open sockets", lambda: float(len(node.connections))),
        "queue_bytes": ("Bytes that wait on the node for clients to read", node.queue_bytes),
        "groups": ("Groups with members on this node", lambda: float(len(node.hub))),
        "subscriptions": ("Bus channels this node hears", lambda: float(len(node.channels.subscriptions))),
    }
    node.process.registry.register(NodeCollector(node.counts, node.hub, node.channels.recovery.outcomes, gauges))
