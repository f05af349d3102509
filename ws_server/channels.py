"""Which clients of this node are in which channels, and how they come in."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
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
            again = await self._again(app, connection, channel)
            if again is not None:
                connection.send_message({**messages.joined(channel, id_), **again})
            return again is not None
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
                told[channel] |= await self._again(app, connection, channel) or {}
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

    def gaps(self, connection: "Connection", names: Collection[str]) -> list[tuple[str | None, str]]:
        """Return what a gap means for a client: None for what is not of a channel, channels, and what is missing.

        Args:
            connection: the client's, logged in.
            names: the bus channels on which messages may be missing.
        """
        personal = {connection.user_group, self._node.apps.everyone(self._app(connection).name)}
        found: list[tuple[str | None, str]] = [] if personal.isdisjoint(names) else [(None, "broker")]
        for channel in connection.channels:
            name = self._name(connection, channel)
            if name not in names:
                continue
            if name not in self.recovery:
                found.append((channel, "broker"))
            elif (options := options_of(channel, self._app(connection).channels)).presence and options.announce:
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
        """Count a client into a channel that this node then hears; where it has history, we know where it stands.

        It counts as in only at the very end: who finds it so (`Membership.OLD`) may rely on everything before.
        """
        self._check_room(connection, channel)
        name = self._name(connection, channel)
        with self._enters(connection, channel) as entering:
            await self.subscriptions.hold(name)
            try:
                if options_of(channel, self._app(connection).channels).history:
                    await self.recovery.follow(name, channel, self._node.keys(self._app(connection)))
                await self._node.presence.enter(connection, channel)
                self._check_room(connection, channel)
            except BaseException:
                self._give_up(connection, channel, entering)
                raise
            gone = entering.left or connection.stage is Stage.CLOSED
            if gone or channel in connection.channels:
                self._give_up(connection, channel, entering)
                return Membership.GONE if gone else Membership.OLD
        connection.channels |= {channel}
        return Membership.NEW

    def _check_room(self, connection: "Connection", channel: str) -> None:
        limit = self._node.settings.channels_per_client
        if limit and len(connection.channels) >= limit and channel not in connection.channels:
            raise ValueError(f"a client may be in {limit} channels")

    def _give_up(self, connection: "Connection", channel: str, entering: Entering) -> None:
        """Undo one try to enter; the client stays present where it is in, or still comes in another way."""
        self.subscriptions.release(self._name(connection, channel), self._node.now())
        others = [entry for entry in self._entering[connection, channel] if entry is not entering and not entry.left]
        if channel not in connection.channels and not others:
            self._node.presence.leave(connection, channel)

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

    async def _again(self, app: "App", connection: "Connection", channel: str) -> dict[str, Any] | None:
        """Tell a client that is in already where it stands: what it is being sent still goes on from there.

        Returns:
            Nothing for a client that left while the stream was read for it.
        """
        name = self._name(connection, channel)
        coming = await self.recovery.begun(name, connection)
        if channel not in connection.channels:
            return None
        if coming is not None:
            offset = coming.at
        else:
            self._node.hub.join(name, connection)  # writes what is newer than the client has, before it is told of it
            offset = self.recovery.last(name)
        return {"offset": offset, "grant": make_grant(app, connection.user_id, channel)}

    def _app(self, connection: "Connection") -> "App":
        assert connection.inbox is not None  # noqa: S101 - who is in a channel, or on its way, has begun its login
        return connection.inbox.client.app

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
