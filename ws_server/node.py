"""A WebSocket node: its sockets, the groups they are in, and what the bus has for them."""

import asyncio
import math
import random
from collections.abc import Collection, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import structlog

from shared import bus_frames, messages, trace
from shared.addresses import parse_networks
from shared.broker import Broker
from shared.bus import Bus
from shared.close_codes import CloseCode
from shared.codec import encode_json
from shared.keys import AppKeys
from shared.lifecycle import Process
from shared.messages import AppMessage, Login, Subscribe, Unsubscribe
from ws_server.acks import Confirmations
from ws_server.admission import Admission
from ws_server.apps import Apps
from ws_server.channels import Channels
from ws_server.commands import obey
from ws_server.connection import Connection
from ws_server.hub import Hub
from ws_server.inbox import GOODBYE, Inbox
from ws_server.login import arriving, start_login, time_left
from ws_server.metrics import Counts
from ws_server.presence import EVERYWHERE, Presence
from ws_server.session import Stage
from ws_server.tap import Tap
from ws_server.wheel import Wheel

if TYPE_CHECKING:
    from mini_apps.app import App
    from shared.settings import Settings
    from ws_server.outgoing import Outgoing

TICK_SECONDS = 0.5
RESYNC_BATCH = 500  # clients told of a gap before others get a turn of the loop

log = structlog.get_logger("node")


class Node:
    """Everything one `ws` process does with its sockets.

    Args:
        process: readiness and the end.
        settings: all settings; `[ws]` is this node's.
        node_id: unique in the deployment; clients are told.
        broker: the open broker.

    Attributes:
        clock: what time limits of clients are measured with.
        greeting: the first message to each client, finished.
        busy: the inboxes whose handler runs now.
    """

    def __init__(self, process: Process, settings: "Settings", node_id: str, broker: Broker) -> None:
        self.process, self.id, self.broker = process, node_id, broker
        self.settings = settings.ws
        self.tap = Tap(self) if settings.gateway.sandbox_url else None
        self.greeting = encode_json(messages.connect(node_id, self.settings.ping_interval, self.settings.ping_timeout))
        self.apps: Apps
        self.connections: set[Connection] = set()
        self.counts = Counts()
        self.trusted_proxies = parse_networks(settings.gateway.trusted_proxies)
        self.max_message_bytes = 0
        self.serving = self.draining = False
        self._loop = asyncio.get_running_loop()
        self.clock = process.clock
        self.now = self.clock.monotonic
        self.admission = Admission(self.settings, self.now())
        self.hub = Hub(self._loop.call_soon)
        self.channels: Channels
        self.presence: Presence
        self.confirmations: Confirmations
        self._wheel: Wheel[Connection] = Wheel(TICK_SECONDS)
        self.busy: set[Inbox] = set()
        self._unwritten: list[Outgoing] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()

    async def serve(self, apps: "dict[str, App]", bus: Bus) -> None:
        """Hear the broadcasts of `apps`; from now on sockets may come."""
        self.confirmations = Confirmations(self, bus)
        self.channels = Channels(self, bus, self._from_bus)
        self.presence = Presence(self, bus)
        self.apps = Apps(self, bus)
        self.serving = True
        for app in apps.values():
            await self.apps.open(app)
        self.spawn(self._tick())

    def limit_messages(self) -> None:
        """Let a socket, until it is known for which app, send what any of the apps takes."""
        limits = [app.settings.max_message_bytes for app in self.apps.values()]
        self.max_message_bytes = 0 if 0 in limits else max(limits, default=self.settings.max_message_bytes)

    async def aclose(self) -> None:
        """Cancel what still runs and drop every socket."""
        for connection in list(self.connections):
            connection.overdue()
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self.presence.aclose()
        self.channels.subscriptions.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task of this node, which cancels it at its end at the latest."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the node failed", exc_info=error)

    def keys(self, app: "App") -> AppKeys:
        """Return the Redis names of one of the node's apps."""
        return self.apps.keys_of(app.name)

    # Sockets.

    def accepted(self, connection: Connection) -> None:
        """Take a new socket into account; one far over the node's capacity does not even get a handshake."""
        self.counts.accepted += 1
        self.connections.add(connection)
        if self.admission.beyond_reason(len(self.connections)):
            connection.overdue()
            return
        if self.settings.login_timeout:
            self.look_again(connection, self.settings.login_timeout)

    def lost(self, connection: Connection) -> None:
        """Forget a socket that is gone; its app hears of it after the messages that came before."""
        self.connections.discard(connection)
        self._wheel.remove(connection.slot, connection)
        if connection.peer is not None:
            self.admission.left(connection.peer.address)
        if connection.inbox is not None and connection.inbox.opened:
            self.forget_groups(connection)
            connection.inbox.put(GOODBYE)
        self._note_quiet()

    def forget_groups(self, connection: Connection) -> None:
        """Take a connection out of all its groups."""
        if connection.app is None:
            return
        for channel in list(connection.channels):
            self.channels.exit(connection, channel)
        if connection.user_group is None:
            return
        self.presence.leave(connection, EVERYWHERE)
        self.hub.leave(connection.user_group, connection)
        self.hub.leave(arriving(connection.user_group), connection)
        self.channels.subscriptions.release(connection.user_group, self.now())
        self.hub.leave(self.apps.everyone(connection.app), connection)
        connection.user_group = None

    def make_room(self, user_group: str) -> None:
        """Close the oldest connections of a user who has as many as allowed: the newest wins."""
        limit = self.settings.max_connections_per_user
        if not limit or self.hub.size(user_group) < limit:
            return
        members = [member for member in self._clients(user_group) if member.stage is Stage.READY]
        for member in members[: max(0, len(members) - limit + 1)]:
            member.close(CloseCode.REPLACED, CloseCode.REPLACED.reason)

    def _clients(self, group: str) -> list[Connection]:
        return [member for member in self.hub.members(group) if isinstance(member, Connection)]

    def spread_retry(self) -> float:
        """Return seconds after which a closed client may come back, drawn so that a herd spreads out."""
        return random.uniform(0.2, 1.0 + len(self.connections) / 2000)

    def flush_later(self, connection: "Outgoing") -> None:
        """Write what a connection is sent in this loop turn at the end of the turn."""
        if not self._unwritten:
            self._loop.call_soon(self._flush)
        self._unwritten.append(connection)

    def _flush(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        for connection in unwritten:
            connection.flush()

    def queue_bytes(self) -> float:
        """Return how many bytes wait for clients to read."""
        transports = [connection.transport for connection in self.connections]
        sockets = sum(transport.get_write_buffer_size() for transport in transports if transport is not None)
        return float(sockets + self.hub.waiting_bytes())

    def look_again(self, connection: Connection, seconds: float) -> None:
        """Look at a connection in so many seconds."""
        self._wheel.remove(connection.slot, connection)
        connection.slot = self._wheel.add(self.now() + seconds, connection)

    def watch(self, connection: Connection) -> None:
        """Look after a connection that is logged in: from now on it is silence that counts."""
        self._wheel.remove(connection.slot, connection)
        waits = [wait for wait in (self.settings.ping_interval, self.settings.idle_timeout) if wait]
        if waits:
            self.look_again(connection, min(waits))

    async def _tick(self) -> None:
        while True:
            await self.clock.sleep(TICK_SECONDS, late=math.inf)
            now = self.now()
            for connection in self._wheel.due(now):
                try:
                    self._look(connection, now)
                except Exception:  # a bug with one connection must not leave all the others unwatched
                    log.exception("a connection could not be looked after")
                    connection.overdue()
            self.channels.subscriptions.expire(now)
            for inbox in list(self.busy):
                if inbox.limit and now - inbox.since > inbox.limit:
                    inbox.cut()

    def _look(self, connection: Connection, now: float) -> None:
        if connection.stage is Stage.CLOSED:
            connection.overdue()
        elif connection.stage is Stage.LOGGING_IN and (left := time_left(self.settings, connection, now)) > 0:
            self.look_again(connection, left)
        elif connection.stage is not Stage.READY:
            connection.close(CloseCode.LOGIN_TIMEOUT, CloseCode.LOGIN_TIMEOUT.reason)
        else:
            self._keep_alive(connection, now)

    def _keep_alive(self, connection: Connection, now: float) -> None:
        interval, timeout = self.settings.ping_interval, self.settings.ping_timeout
        if connection.held:  # its messages wait in the socket, so its silence means nothing
            self.look_again(connection, interval or TICK_SECONDS)
            return
        silence, idle = now - connection.heard, self.settings.idle_timeout
        if idle and now - connection.spoke >= idle:
            connection.close(CloseCode.IDLE, CloseCode.IDLE.reason)
            return
        left = idle - (now - connection.spoke) if idle else math.inf
        if not interval:
            self.look_again(connection, left)
            return
        if connection.pinged and timeout and silence >= interval + timeout:
            connection.close(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
        elif silence >= interval and not connection.pinged:
            connection.ping()
            self.look_again(connection, min(left, timeout or interval))
        else:
            self.look_again(connection, min(left, max(TICK_SECONDS, interval - silence)))

    # Messages of clients.

    def start_login(self, connection: Connection, login: Login) -> None:
        """Begin the login of a connection."""
        start_login(self, connection, login)

    def enqueue(self, connection: Connection, message: AppMessage | Subscribe | Unsubscribe) -> None:
        """Queue a message for its handler; at the bound the socket is not read until the handler catches up."""
        inbox = connection.inbox
        if inbox is None:
            return
        inbox.put(message)
        if self.settings.client_queue and len(inbox) >= self.settings.client_queue:
            connection.stop_reading()

    def inbox_busy(self, inbox: Inbox) -> None:
        """Watch how long an inbox that has work takes for it."""
        self.busy.add(inbox)

    def inbox_idle(self, inbox: Inbox) -> None:
        """Watch an inbox no more: its work is done."""
        self.busy.discard(inbox)
        self._note_quiet()

    # What the bus has for us.

    def _from_bus(self, name: str, payload: bytes) -> None:
        frame = bus_frames.unpack(payload)
        if isinstance(frame, bus_frames.Message):
            if frame.ack is not None and frame.asker is not None:
                self.confirmations.asked(name, frame.ack, frame.asker)
            self.channels.take(name, frame)
            return
        with trace.bound(frame.trace):
            for connection in (*self._clients(name), *self._clients(arriving(name))):
                obey(self, connection, frame)

    def missed(self, names: Collection[str]) -> None:
        """Tell clients that messages may be missing: a connection to Redis was rebuilt.

        Args:
            names: the bus channels that were heard over it.
        """
        if not self.serving:
            return
        self.channels.recovery.heal(names)
        self.apps.missed(names)
        self.presence.missed()
        self.spawn(self._resync(list(self.connections), names))

    async def _resync(self, connections: Iterable[Connection], names: Collection[str]) -> None:
        for count, connection in enumerate(connections):
            if connection.stage is Stage.READY:
                for channel, reason in self.channels.gaps(connection, names):
                    connection.send_message(messages.resync(channel, reason))
            if count % RESYNC_BATCH == 0:
                await asyncio.sleep(0)

    # The end.

    def _note_quiet(self) -> None:
        if self.draining and not self.connections and not self.busy:
            self._quiet.set()

    async def quiet(self, seconds: float) -> None:
        """Wait until the clients that were sent away are gone and the handlers are done, or the time is up."""
        self._note_quiet()
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            log.warning("clients or handlers were not done in time", sockets=len(self.connections), busy=len(self.busy))
