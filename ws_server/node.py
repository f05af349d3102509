"""A WebSocket node: its sockets, the groups they are in, and what the bus has for them."""

import asyncio
import math
import random
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from mini_apps.users import mark_admin
from shared import bus_frames, messages
from shared.addresses import parse_networks
from shared.broker import UNREACHABLE, Broker, BrokerUnavailable
from shared.bus import Bus
from shared.close_codes import CloseCode
from shared.keys import AppKeys
from shared.lifecycle import Process
from shared.messages import AppMessage, Login, Subscribe, Unsubscribe
from ws_server.admission import Admission
from ws_server.channels import Channels
from ws_server.connection import Connection
from ws_server.hub import Hub
from ws_server.inbox import GOODBYE, Inbox
from ws_server.login import arriving, start_login
from ws_server.metrics import Counts
from ws_server.presence import EVERYWHERE, Presence
from ws_server.session import Stage
from ws_server.signals import Signals
from ws_server.wheel import Wheel

if TYPE_CHECKING:
    from mini_apps.app import App
    from shared.settings import Settings

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
    """

    def __init__(self, process: Process, settings: "Settings", node_id: str, broker: Broker) -> None:
        self.process = process
        self.settings = settings.ws
        self.id = node_id
        self.broker = broker
        self.apps: dict[str, App] = {}
        self.connections: set[Connection] = set()
        self.counts = Counts()
        self.trusted_proxies = parse_networks(settings.gateway.trusted_proxies)
        self.max_message_bytes = 0
        self.draining = False
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.admission = Admission(self.settings, self.now())
        self.hub = Hub(self._loop.call_soon)
        self.channels: Channels
        self.signals: list[Signals] = []
        self.presence: Presence
        self._wheel: Wheel[Connection] = Wheel(TICK_SECONDS)
        self._busy: set[Inbox] = set()
        self._unwritten: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys: dict[str, AppKeys] = {}
        self._quiet = asyncio.Event()

    async def serve(self, apps: "dict[str, App]", bus: Bus) -> None:
        """Hear the broadcasts of `apps`; from now on sockets may come.

        Raises:
            BrokerUnavailable: Redis did not confirm.
        """
        self.apps = apps
        self._keys = {name: self.broker.keys.app(name) for name in apps}
        limits = [app.settings.max_message_bytes for app in apps.values()]
        self.max_message_bytes = 0 if 0 in limits else max(limits, default=self.settings.max_message_bytes)
        self.channels = Channels(self, bus, self._from_bus)
        self.presence = Presence(self, bus)
        for keys in self._keys.values():
            await self.channels.subscriptions.hold(keys.everyone())
        await self.presence.start()
        self.signals = [Signals(app, self.spawn) for app in apps.values()]
        for signals in self.signals:
            await bus.subscribe(signals.channel, signals.take)
        self.spawn(self._tick())

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
        await self.channels.subscriptions.aclose()

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
        return self._keys[app.name]

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
        self.hub.leave(self._keys[connection.app].everyone(), connection)
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

    def flush_later(self, connection: Connection) -> None:
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
            await asyncio.sleep(TICK_SECONDS)
            now = self.now()
            for connection in self._wheel.due(now):
                try:
                    self._look(connection, now)
                except Exception:  # a bug with one connection must not leave all the others unwatched
                    log.exception("a connection could not be looked after")
                    connection.overdue()
            self.channels.subscriptions.expire(now)
            for inbox in list(self._busy):
                if inbox.limit and now - inbox.since > inbox.limit:
                    inbox.cut()

    def _look(self, connection: Connection, now: float) -> None:
        if connection.stage is Stage.CLOSED:
            connection.overdue()
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

    def start_inbox(self, inbox: Inbox, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run an inbox that has work, and watch how long its handlers take."""
        self._busy.add(inbox)
        return self.spawn(work)

    def inbox_idle(self, inbox: Inbox) -> None:
        """Watch an inbox no more: its work is done."""
        self._busy.discard(inbox)
        self._note_quiet()

    # What the bus has for us.

    def _from_bus(self, name: str, payload: bytes) -> None:
        frame = bus_frames.unpack(payload)
        if isinstance(frame, bus_frames.Message):
            self.channels.take(name, frame)
            return
        for connection in (*self._clients(name), *self._clients(arriving(name))):
            self._command(connection, frame)

    def _command(self, connection: Connection, frame: bus_frames.Frame) -> None:
        match frame:
            case bus_frames.Join(channel=channel):
                if connection.stage is Stage.READY:
                    self.spawn(self._join(connection, channel))
            case bus_frames.Leave(channel=channel) if connection.stage is Stage.LOGGING_IN:
                self.channels.exit(connection, channel)  # its welcome will not name the channel
            case bus_frames.Leave(channel=channel, reason=reason):
                self.spawn(connection.leave(channel, reason))
            case bus_frames.Disconnect(code=code, reason=reason):
                connection.close(code, reason)
            case bus_frames.AdminChanged(is_admin=is_admin) if connection.inbox is not None:
                mark_admin(connection.inbox.client.user, is_admin=is_admin)

    async def _join(self, connection: Connection, channel: str) -> None:
        try:
            await connection.join(channel)
        except (ValueError, BrokerUnavailable, RedisError, *UNREACHABLE) as error:
            connection.send_message(messages.left(channel, str(error)))

    def missed(self) -> None:
        """Tell every client that messages may be missing: the connection to Redis was rebuilt."""
        self.channels.recovery.heal_all()
        for signals in self.signals:
            signals.missed()
        self.presence.missed()
        self.spawn(self._resync(list(self.connections)))

    async def _resync(self, connections: Iterable[Connection]) -> None:
        for count, connection in enumerate(connections):
            if connection.stage is Stage.READY:
                for channel, reason in self.channels.gaps(connection):
                    connection.send_message(messages.resync(channel, reason))
            if count % RESYNC_BATCH == 0:
                await asyncio.sleep(0)

    # The end.

    def _note_quiet(self) -> None:
        if self.draining and not self.connections and not self._busy:
            self._quiet.set()

    async def quiet(self, seconds: float) -> None:
        """Wait until the clients that were sent away are gone and the handlers are done, or the time is up."""
        self._note_quiet()
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            log.warning(
                "clients or handlers were not done in time", sockets=len(self.connections), busy=len(self._busy)
            )
