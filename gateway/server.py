"""The gateway as a process: listening first, so that pages are there even while Redis is not."""

import asyncio
import errno
import logging
import os
import secrets
import socket
import time
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from gateway import metrics
from gateway.backlog import BacklogWatch
from gateway.edge import AccessLog, Edge, frame_origins, quiet_about_bad_requests
from gateway.negotiate import Negotiate
from gateway.node_list import NodeList
from gateway.pages import Pages
from gateway.quick import QuickHooks
from gateway.uploads import Uploads
from gateway.webhook import Webhook, hooks
from shared import health
from shared.addresses import parse_networks
from shared.broker import Broker
from shared.bus import Bus, lag_seconds
from shared.deployment import apps_of
from shared.lifecycle import Process, StartError
from shared.nodes import Figures, Node, Registration
from shared.process_metrics import total
from shared.reread import watched
from shared.settings import Changes, GatewaySettings, Settings
from shared.updates import UpdateLog, agree_on_lanes_patiently
from shared.version import package_version

BACKLOG = 4096  # connections the kernel holds until we accept them; asyncio's 100 makes a storm wait
IDLE_SECONDS = 75.0  # longer than the usual 60 s of a proxy; also bounds the wait for a later request's head
MAX_LINE = MAX_FIELD = 8_190  # bytes of a request line, of a header
MAX_HEADERS = 128
LINGER_SECONDS = 3.0  # how long the rest of a refused body is read, so that the caller sees the answer
LAME_DUCK_SECONDS = 5.0  # how long a stopping gateway still listens while requests run
CLOSE_MARGIN = 2.0  # seconds of the drain kept for closing what is behind the HTTP server

log = structlog.get_logger("gateway")
server_log = logging.getLogger("gateway.http")


async def serve(process: Process, settings: Settings) -> None:
    """Run the gateway until the process stops.

    Args:
        process: its life.
        settings: of the deployment; the apps' classes are never loaded.

    Raises:
        StartError: the address is taken, or another process of the deployment counts lanes differently.
        shared.broker.BrokerUnfit: Redis is too old or refuses us.
    """
    broker = Broker(settings.redis)
    trusted = parse_networks(settings.gateway.trusted_proxies)
    nodes, webhook = NodeList(broker), Webhook(settings, trusted)
    edge = Edge(trusted, settings.ws.allowed_origins, frame_origins(settings.gateway.sandbox_url))
    application = web.Application(client_max_size=settings.gateway.max_update_bytes)
    edge.install(application)
    application.add_routes(_health_routes(process))
    uploads = Uploads(settings)
    parts = (Negotiate(settings, nodes, trusted), webhook, uploads, Pages(settings))
    for part in parts:
        application.add_routes(part.routes())
    node_id = f"gateway-{socket.gethostname()}-{secrets.token_hex(3)}"
    async with Listener(application, settings.gateway, process.drain_seconds, webhook, edge) as listener:
        process.port = listener.port
        started = int(time.time())
        node = Node(
            node_id, "gateway", listener.url, version=package_version(), started=started, apps=apps_of(settings)
        )
        registered = Registration(broker, node, figures=_figures)
        async with broker, Bus(broker, node_id) as bus, nodes, registered as registration:
            await _agree(broker, settings)
            webhook.updates = UpdateLog(broker, bus, settings.bot.lanes)
            uploads.attach(bus)
            process.check(bus.trouble)
            process.check(nodes.trouble)
            backlog = BacklogWatch(broker, settings)
            process.started()

            async def serve_anew(found: Settings, _changes: Changes) -> None:
                await _agree(broker, found)
                for part in (*parts, backlog):
                    part.serve(found)
                await registration.serves(apps_of(found))

            async with backlog, watched(process, settings, serve_anew):
                await process.stopping.wait()
            await registration.drain()
            await edge.calm(min(LAME_DUCK_SECONDS, process.drain_seconds / 2))
            await listener.close()


def _figures() -> Figures:
    return Figures(received=total(metrics.requests), lag=total(lag_seconds))


class Listener:
    """The HTTP server's sockets, open while the block runs.

    Args:
        application: what answers.
        settings: where to listen.
        drain_seconds: deadline of the process; running requests get most of it.
        webhook: takes plain updates off new connections.
        edge: counts requests that run.
    """

    def __init__(
        self,
        application: web.Application,
        settings: GatewaySettings,
        drain_seconds: float,
        webhook: Webhook,
        edge: Edge,
    ) -> None:
        self._webhook, self._edge = webhook, edge
        self._server: asyncio.Server | None = None
        self._quick: set[QuickHooks] = set()
        self._host, self._port = settings.host, settings.port
        server_log.addFilter(quiet_about_bad_requests)
        self._runner = web.AppRunner(
            application,
            access_log_class=AccessLog,
            logger=server_log,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
            # aiohttp takes this time twice: until it interrupts what runs, and until it gives that up
            shutdown_timeout=max(0.0, drain_seconds - LAME_DUCK_SECONDS - CLOSE_MARGIN) / 2,
        )

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises:
            StartError: the address cannot be listened on.
        """
        await self._runner.setup()
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                self._protocol, self._host, self._port, backlog=BACKLOG, reuse_address=True
            )
        except OSError as error:
            await self._runner.cleanup()
            raise StartError(_cannot_listen(self._host, self._port, error)) from None
        log.info("listening", url=self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Listen no more, let running requests end, close the connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._quick):
            connection.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.Protocol:
        """Make what takes a new connection: updates first, and aiohttp for everything else."""
        return QuickHooks(self._webhook, self._edge, self._aiohttp, self._quick)

    def _aiohttp(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None:
            raise StartError("the gateway does not listen")
        return server()

    @property
    def _address(self) -> tuple[str, int]:
        if self._server is None:
            raise StartError("the gateway does not listen")
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    @property
    def port(self) -> int:
        """The port it listens on: what 0 turned into."""
        return self._address[1]

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    place = f"gateway: {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is already in use; choose another with gateway.port or --port"
    if error.errno == errno.EACCES:
        return f"{place} needs rights this process does not have; choose a port from 1024 with gateway.port or --port"
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return f"{place} cannot be listened on ({reason}); correct gateway.host or --host"


def _health_routes(process: Process) -> list[web.RouteDef]:
    async def answer(request: web.Request) -> web.Response:
        found = health.answer(process, request.path)
        if found is None:
            raise web.HTTPNotFound
        headers = {"Content-Type": found.content_type, "Cache-Control": "no-store"}
        return web.Response(body=found.body, status=found.status, headers=headers)

    return [web.get(path, answer) for path in sorted(health.PATHS)]


async def _agree(broker: Broker, settings: Settings) -> None:
    """See to it that all processes count the lanes of each app with a webhook alike."""
    for app in [hook.app for hook in hooks(settings).values()]:
        await agree_on_lanes_patiently(broker, app, settings.bot.lanes)
