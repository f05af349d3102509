"""Which clients of this node are in which channels, and how they come in."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from mini_apps.channels import options_of
from mini_apps.grants import granted, make_grant
from mini_apps.hooks import call
from shared import messages
from shared.bus import Bus
from shared.bus_frames import Message
from shared.close_codes import CloseCode
from shared.messages import NOWHERE, Position
from ws_server.catch_up import CatchUp
from ws_server.recovery import Recovery
from ws_server.session import Stage
from ws_server.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from mini_apps.app import App
    from mini_apps.client import Client
    from ws_server.connection import Connection
    from ws_server.node import Node

NOT_RECOVERED = "unknown position"


class Membership(Enum):
    """What became of a client's wish to enter a channel."""

    NEW = auto()
    OLD = auto()
    GONE = auto()


@dataclass(slots=True, eq=False)
class Entering:
    """A client that waits for Redis on its way into a channel; `left` when it is to stay out after all."""

    left: bool = False


class Channels:
    """The channels of a node's clients.

    Args:
        node: the node.
        bus: the open bus.
        deliver: takes the name and payload of what the bus has.
    """

    def __init__(self, node: "Node", bus: Bus, deliver: "Callable[[str, bytes], None]") -> None:
        self._node = node
        self._entering: dict[tuple[Connection, str], list[Entering]] = {}
        self.recovery = Recovery(node, bus)
        self.subscriptions = Subscriptions(bus, deliver, self.recovery.forget)

    def take(self, name: str, message: Message) -> None:
        """Take a message from the bus: straight to the group, or in its place where there is history."""
        if message.offset:
            self.recovery.take(name, message)
        else:
            self._node.hub.deliver(name, message.body, message.exclude, message.policy, message.key)
            self.recovery.beside(name, message)

    async def enter(
        self, connection: "Connection", channel: str, id_: Any = None, position: Position = NOWHERE
    ) -> bool:
        """Bring a client into a channel and tell it; what is published from then on reaches it.

        Args:
            connection: the client's, logged in.
            channel: a name that can be one.
            id_: of the client's request, where it had one.
            position: where the client stands, if it was here before.

        Returns:
            Whether it is in; not when it was taken out, or lost, while Redis was asked.

        Raises:
            ValueError: the client is in too many channels.
            BrokerUnavailable: Redis did not confirm.
        """
        membership = await self._reserve(connection, channel)
        if membership is Membership.GONE:
            return False
        app, name = self._app(connection), self._name(connection, channel)
        if name not in self.recovery:
            connection.send_message(messages.joined(channel, id_))
            self._node.hub.join(name, connection)
            return True
        if membership is Membership.OLD:
            connection.send_message({**messages.joined(channel, id_), **self._again(app, connection, channel)})
            return True
        try:
            catch_up = await self.recovery.prepare(name, connection, channel, position)
        except BaseException:
            self.exit(connection, channel)
            raise
        if self.recovery.coming(name, connection) is not catch_up:
            return False
        connection.send_message({**messages.joined(channel, id_), **_standing(app, connection, catch_up)})
        await self.finish(connection, [catch_up])
        return True

    async def rejoin(
        self, connection: "Connection", app: "App", client: "Client", positions: Mapping[str, Position]
    ) -> tuple[dict[str, dict[str, Any]], list[CatchUp]]:
        """Let a client that comes back into the channels it was in; each needs a grant that holds, or a new yes.

        Returns:
            What `welcome` says of each channel, and what is to be finished after it.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        limit = self._node.settings.channels_per_client
        asked = dict(list(positions.items())[: limit or None])
        proven = await granted(app, client.user.telegram_id, asked)
        told: dict[str, dict[str, Any]] = {}
        coming: list[CatchUp] = []
        for channel, position in asked.items():
            if channel not in proven and not await call(app.on_subscribe, client, channel):
                continue
            membership = await self._reserve(connection, channel)
            if connection.stage is Stage.CLOSED:
                break
            if membership is Membership.GONE:
                continue
            name = self._name(connection, channel)
            told[channel] = {"recovered": False, "reason": NOT_RECOVERED}
            if membership is Membership.OLD and name in self.recovery:
                told[channel] |= self._again(app, connection, channel)
            elif name in self.recovery:
                catch_up = await self.recovery.prepare(name, connection, channel, position)
                coming.append(catch_up)
                told[channel] |= _standing(app, connection, catch_up)
                if catch_up.recovered:
                    del told[channel]["reason"]
        # The app may have taken it out of some of them meanwhile.
        return {channel: standing for channel, standing in told.items() if channel in connection.channels}, coming

    async def finish(self, connection: "Connection", coming: list[CatchUp]) -> None:
        """Send a client what it missed, then let it hear what is live."""
        try:
            for catch_up in coming:
                await self.recovery.finish(self._name(connection, catch_up.channel), connection, catch_up)
        except TimeoutError:
            connection.close(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason)

    def gaps(self, connection: "Connection") -> list[tuple[str | None, str]]:
        """Return what a gap means for a client: None for what is not of a channel, channels, and what is missing."""
        found: list[tuple[str | None, str]] = [(None, "broker")]
        for channel in connection.channels:
            if self._name(connection, channel) not in self.recovery:
                found.append((channel, "broker"))
            elif options_of(channel, self._app(connection).channels).presence:
                found.append((channel, "presence"))
        return found

    def exit(self, connection: "Connection", channel: str) -> bool:
        """Take a client out of a channel, or stop it on its way in; false when it was neither."""
        entering = self._entering.get((connection, channel), ())
        for entry in entering:
            entry.left = True
        if channel not in connection.channels:
            return bool(entering)
        connection.channels -= {channel}
        name = self._name(connection, channel)
        self._node.presence.leave(connection, channel)
        self.recovery.leave(name, connection)
        self._node.hub.leave(name, connection)
        self.subscriptions.release(name, self._node.now())
        return True

    async def _reserve(self, connection: "Connection", channel: str) -> Membership:
        """Count a client into a channel that this node then hears; where it has history, we know where it stands."""
        limit = self._node.settings.channels_per_client
        if limit and len(connection.channels) >= limit and channel not in connection.channels:
            raise ValueError(f"a client may be in {limit} channels")
        name = self._name(connection, channel)
        with self._enters(connection, channel) as entering:
            await self.subscriptions.hold(name)
            try:
                if options_of(channel, self._app(connection).channels).history:
                    await self.recovery.follow(name, channel, self._node.keys(self._app(connection)))
            except BaseException:
                self.subscriptions.release(name, self._node.now())
                raise
        gone = entering.left or connection.stage is Stage.CLOSED
        if gone or channel in connection.channels:
            self.subscriptions.release(name, self._node.now())
            return Membership.GONE if gone else Membership.OLD
        connection.channels |= {channel}
        try:
            await self._node.presence.enter(connection, channel)
        except BaseException:
            self.exit(connection, channel)
            raise
        return Membership.NEW if channel in connection.channels else Membership.GONE

    @contextlib.contextmanager
    def _enters(self, connection: "Connection", channel: str) -> Iterator[Entering]:
        """Let `exit` find a client that is on its way in: what the app said last holds, in or out."""
        key, entering = (connection, channel), Entering()
        self._entering.setdefault(key, []).append(entering)
        try:
            yield entering
        finally:
            self._entering[key].remove(entering)
            if not self._entering[key]:
                del self._entering[key]

    def _again(self, app: "App", connection: "Connection", channel: str) -> dict[str, Any]:
        """Tell a client that is in already where it stands: what it is being sent still goes on from there."""
        name = self._name(connection, channel)
        coming = self.recovery.coming(name, connection)
        if coming is not None:
            offset = coming.at
        else:
            self._node.hub.join(name, connection)  # writes what is newer than the client has, before it is told of it
            offset = self.recovery.last(name)
        return {"offset": offset, "grant": make_grant(app, connection.user_id, channel)}

    def _app(self, connection: "Connection") -> "App":
        return self._node.apps[connection.app or ""]

    def _name(self, connection: "Connection", channel: str) -> str:
        return self._node.keys(self._app(connection)).channel(channel)


def _standing(app: "App", connection: "Connection", catch_up: CatchUp) -> dict[str, Any]:
    """Tell a client where it stands in a channel with history, and give it the proof to come back with."""
    user = connection.user_id
    told: dict[str, Any] = {"offset": catch_up.offset, "grant": make_grant(app, user, catch_up.channel)}
    if catch_up.recovered is not None:
        told["recovered"] = catch_up.recovered
        if not catch_up.recovered:
            told["reason"] = catch_up.reason
    return told
