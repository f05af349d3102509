"""The apps of a node: which there are, and what comes and goes with each of them."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import structlog

from mini_apps.hooks import call
from mini_apps.loading import prepare_anew
from mini_apps.logins import live_facts
from mini_apps.renewal import LISTS, NODE_LOOKS_UP, renewal
from mini_apps.users import mark_admin
from shared.broker import insist
from shared.close_codes import CloseCode
from shared.settings import SettingsError
from ws_server.drain import close_paced, to_come_back
from ws_server.signals import Signals

if TYPE_CHECKING:
    from mini_apps.app import App
    from mini_apps.mesh import Mesh
    from shared.bus import Bus
    from shared.keys import AppKeys
    from shared.settings import AppSettings, Changes, Settings
    from ws_server.connection import Connection
    from ws_server.drain import Close
    from ws_server.node import Node

NO_SUCH_APP = "app"  # reason of 4500
LOOK_SECONDS = 0.1  # between two looks whether the clients that were sent away are gone
LATE_SECONDS = 10.0  # how long they have, and their handlers

T = TypeVar("T")

log = structlog.get_logger("apps")


class Apps(Mapping[str, "App"]):
    """The apps that a node serves now, by name.

    Args:
        node: the node.
        bus: the open bus.
    """

    def __init__(self, node: "Node", bus: "Bus") -> None:
        self._node = node
        self._bus = bus
        self._apps: dict[str, App] = {}
        self._keys: dict[str, AppKeys] = {}  # of those that are gone too: clients on their way out still need them
        self._signals: dict[str, Signals] = {}

    def __getitem__(self, name: str) -> "App":
        """Return an app."""
        return self._apps[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._apps)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._apps)

    def keys_of(self, name: str) -> "AppKeys":
        """Return the Redis names of an app."""
        found = self._keys.get(name)
        if found is None:
            found = self._keys[name] = self._node.broker.keys.app(name)
        return found

    def everyone(self, name: str) -> str:
        """Return the bus channel over which this node hears the broadcasts of an app."""
        return self.keys_of(name).everyone(self._bus.part)

    def missed(self, names: Collection[str]) -> None:
        """Let apps know whose signals may be missing.

        Args:
            names: the bus channels on which something may be missing.
        """
        for signals in self._signals.values():
            if signals.channel in names:
                signals.missed()

    # One app.

    async def open(self, app: "App") -> None:
        """Hear what is said to all clients of an app, and let clients in; waits for Redis as long as it takes."""
        everyone = self.everyone(app.name)
        await insist(lambda: self._node.channels.subscriptions.hold(everyone))
        await insist(lambda: self._node.presence.open(app))
        signals = Signals(app, self._node.spawn)
        await insist(lambda: self._bus.subscribe(signals.channel, signals.take))
        self._signals[app.name] = signals
        self._serve(app)

    async def close(self, name: str) -> None:
        """Let nobody in any more, send the clients away for good, and hear no more."""
        app = self._apps.pop(name)
        self._bus.unsubscribe(self._signals.pop(name).channel)
        await self._send_away(app, lambda connection: connection.close(CloseCode.LOGIN_REFUSED, NO_SUCH_APP))
        roster = self._node.presence.drop(name)
        if roster is not None:
            await roster.aclose()
        self._node.channels.subscriptions.release(self.everyone(name), self._node.now())

    async def renew(self, app: "App") -> None:
        """Put another instance in the place of the one that is served; its clients come back to the new one."""
        before = self._apps[app.name]
        roster = await insist(lambda: self._node.presence.open(app))
        self._signals[app.name].serve(app)
        self._serve(app)
        await self._send_away(before, to_come_back(len(self._of(before))))
        if roster is not None:
            await roster.aclose()

    def keep(self, app: "App", settings: "AppSettings", keys: frozenset[str]) -> None:
        """Let an app go on with other settings; who is banned or an admin by them learns it at once."""
        admins, banned = set(app.settings.admins), set(settings.banned)
        app.use_settings(settings)
        if not keys & LISTS:
            return
        changed = admins ^ set(settings.admins)
        for connection in self._of(app):
            if connection.user_id in banned:
                connection.close(CloseCode.BANNED, CloseCode.BANNED.reason)
            elif connection.user_id in changed:
                self._node.spawn(_tell_admin(app, connection))

    def _serve(self, app: "App") -> None:
        self._apps[app.name] = app
        self._node.limit_messages()

    async def _send_away(self, app: "App", close: "Close") -> None:
        """Close the clients of one instance and wait until they are gone, or late."""
        await close_paced(self._of(app), close, self._node.settings.drain_seconds, self._node.now)
        until = self._node.now() + LATE_SECONDS
        while (late := self._of(app)) and self._node.now() < until:
            for connection in late:  # who was about to log in when the others were closed
                close(connection)
            await asyncio.sleep(LOOK_SECONDS)
        if late:
            log.warning("clients of an app were not gone in time", app=app.name, clients=len(late))

    def _of(self, app: "App") -> "list[Connection]":
        connections = self._node.connections
        return [one for one in connections if one.inbox is not None and one.inbox.client.app is app]

    # All of them.

    async def change(self, mesh: "Mesh", settings: "Settings", changes: "Changes") -> None:
        """Serve the apps of other settings.

        Args:
            mesh: what the process gives its apps.
            settings: as read now.
            changes: what differs in them.

        Raises:
            SettingsError: an app cannot be used; nothing has changed.
            StartError: the database cannot be used; nothing has changed.
            BrokerUnavailable: Redis did not answer; nothing has changed.
        """
        plan = renewal(self._apps, changes, NODE_LOOKS_UP)
        kept = {name: self._apps[name] for name in plan.kept}
        fresh = await prepare_anew(mesh, settings, (*plan.added, *plan.renewed), kept)
        await _start(fresh)
        for name, app in kept.items():
            self.keep(app, settings.apps[name], plan.kept[name])
        for name in plan.added:
            await self.open(fresh[name])
        ends = [self.close(name) for name in plan.removed] + [self.renew(fresh[name]) for name in plan.renewed]
        await asyncio.gather(*ends)


async def _start(apps: "Mapping[str, App]") -> None:
    mistakes = []
    for name, app in apps.items():
        try:
            await call(app.on_server_start)
        except Exception as error:
            log.exception("on_server_start failed", app=name)
            mistakes.append(f"apps.{name}: on_server_start failed: {type(error).__name__}: {error}")
    if mistakes:
        raise SettingsError(mistakes)


async def _tell_admin(app: "App", connection: "Connection") -> None:
    """Bring a client that is connected to what the settings, Redis and the user's row say now."""
    user_id = connection.user_id
    facts = await insist(lambda: live_facts(app, user_id))
    row = await app.mesh.users.find(user_id)
    if connection.inbox is not None:
        marked = facts.admin or (row is not None and row.is_admin)
        mark_admin(connection.inbox.client.user, is_admin=marked or user_id in app.settings.admins)
        connection.inbox.client.marked_admin = None  # a login that is not through must not go back behind this
