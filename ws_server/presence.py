"""This node's part in who is where, app by app.

Nothing here is asked of apps that neither declare `Channel(presence=True)` nor override `on_user_offline`.
"""

import asyncio
from typing import TYPE_CHECKING

from mini_apps.app import App
from shared.presence import EVERYWHERE
from ws_server.roster import Roster, wanted

if TYPE_CHECKING:
    from shared.bus import Bus
    from ws_server.connection import Connection
    from ws_server.node import Node

__all__ = ["EVERYWHERE", "Presence"]


class Presence:
    """The presence of a node's apps.

    Args:
        node: the node.
        bus: the open bus.
    """

    def __init__(self, node: "Node", bus: "Bus") -> None:
        self._node = node
        self._bus = bus
        self._rosters: dict[str, Roster] = {}

    async def open(self, app: App) -> "Roster | None":
        """Register with Redis for an app; from now on its users may come.

        Returns:
            The roster that had its place, to be closed.

        Raises:
            BrokerUnavailable: Redis did not confirm; nothing has changed.
        """
        if not wanted(app):
            return self.drop(app.name)
        roster = Roster(self._node, self._bus, app)
        await roster.start()
        before, self._rosters[app.name] = self._rosters.get(app.name), roster
        return before

    def drop(self, app: str) -> "Roster | None":
        """Count users of an app no more; returns the roster, to be closed."""
        return self._rosters.pop(app, None)

    async def enter(self, connection: "Connection", channel: str) -> None:
        """Count a client in, if the channel wants it; once this returns, `App.presence` lists the user.

        Raises:
            BrokerUnavailable: Redis did not confirm; `leave` is to be called all the same.
        """
        roster = self._rosters.get(connection.app or "")
        if roster is not None and roster.wants(channel):
            await roster.enter(connection, channel)

    def leave(self, connection: "Connection", channel: str) -> None:
        """Count a client out: after the grace where its socket is gone, at once where it left by itself."""
        roster = self._rosters.get(connection.app or "")
        if roster is not None:
            roster.leave(connection, channel)

    def missed(self) -> None:
        """Take note that the connection to Redis was rebuilt."""
        for roster in self._rosters.values():
            roster.missed()

    async def aclose(self) -> None:
        """Let all users go."""
        await asyncio.gather(*(roster.aclose() for roster in self._rosters.values()))
