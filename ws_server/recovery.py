"""Channels with history on this node: what follows what, for the node itself and for clients that come back.

A client that comes back with a position is read to from the stream while the live messages of its channel are recorded
for it; it gets what it missed at the pace of its socket, then what was recorded, and joins the group in the same loop
turn in which nothing is left. So it cannot miss or repeat a message, and cannot be outrun for ever: what is recorded is
bounded, and over the bound the client is a slow consumer.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from shared import history, messages
from shared.broker import BrokerUnavailable
from shared.bus_frames import Message
from shared.close_codes import CloseCode
from shared.codec import encode_json
from shared.history import Reading
from shared.messages import Position
from ws_server.catch_up import BESIDE, RESYNC, CatchUp
from ws_server.session import Stage
from ws_server.tail import Tail, Verdict

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.keys import AppKeys
    from ws_server.connection import Connection
    from ws_server.node import Node

RETRY_SECONDS = 1.0  # until a channel that could not be read is read again

log = structlog.get_logger("recovery")


@dataclass(slots=True, eq=False)
class Followed:
    """One channel with history, as this node follows it."""

    name: str
    channel: str
    keys: "AppKeys"
    tail: Tail = field(default_factory=Tail)
    established: asyncio.Task[None] | None = None
    catching_up: dict["Connection", CatchUp] = field(default_factory=dict)
    reading: dict["Connection", asyncio.Event] = field(default_factory=dict)  # set once it is known what was missed


class Recovery:
    """The channels with history that this node hears.

    Args:
        node: the node.
        bus: the open bus.
    """

    def __init__(self, node: "Node", bus: "Bus") -> None:
        self._node = node
        self._bus = bus
        self._followed: dict[str, Followed] = {}
        self.outcomes: Counter[str] = Counter()

    # The node itself.

    async def follow(self, name: str, channel: str, keys: "AppKeys") -> None:
        """Know where the channel stands, from when this returns; its subscription is confirmed already.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        followed = self._followed.get(name)
        if followed is None:
            followed = self._followed[name] = Followed(name, channel, keys)
        if followed.tail.last is None:
            if followed.established is None or followed.established.done():
                followed.established = self._node.spawn(self._heal(followed))
            await asyncio.shield(followed.established)
            if followed.tail.last is None:
                raise BrokerUnavailable("Redis did not say where the channel stands")

    def forget(self, name: str) -> None:
        """Follow a channel no more: this node hears it no more."""
        self._followed.pop(name, None)

    def take(self, name: str, message: Message) -> None:
        """Take a live message from the bus."""
        followed = self._followed.get(name)
        if followed is None:
            return
        if followed.tail.take(message) is Verdict.DELIVER:
            self._deliver(followed, [message])
        elif not followed.tail.healing and followed.tail.last is not None:
            self._node.spawn(self._heal(followed))

    def beside(self, name: str, message: Message) -> None:
        """Take a live message that has no place in the history: who comes and goes."""
        followed = self._followed.get(name)
        if followed is None:
            return
        for connection, catch_up in list(followed.catching_up.items()):
            self._record(followed, connection, catch_up, BESIDE, message.body)

    def heal(self, names: Collection[str]) -> None:
        """Read on in these channels: messages may have been missed while the bus was away."""
        for followed in [followed for name, followed in self._followed.items() if name in names]:
            if not followed.tail.healing and followed.tail.last is not None:
                self._node.spawn(self._heal(followed))

    def __contains__(self, name: str) -> bool:
        """Return whether this node follows the channel."""
        return name in self._followed

    async def _heal(self, followed: Followed) -> None:
        tail = followed.tail
        while not tail.healing:
            position = tail.begin()
            try:
                reading = await history.read(self._bus, followed.keys, followed.channel, position)
            except BaseException as error:
                tail.failed()
                if not isinstance(error, BrokerUnavailable):
                    raise
                log.warning("a channel could not be read", channel=followed.channel, error=str(error))
                if position < 0:
                    return  # whoever waits for it is told; the next one tries again
                await asyncio.sleep(RETRY_SECONDS)
                reading = None
            if self._followed.get(followed.name) is not followed:
                return  # nobody is in the channel any more, or it is followed anew
            if reading is not None:
                if position >= 0 and reading.verdict != "valid":
                    self._tell_gap(followed, reading)
                self._deliver(followed, tail.healed(reading))
                if not tail.gap:
                    return

    def _tell_gap(self, followed: Followed, reading: Reading) -> None:
        log.warning("messages were lost to a channel", channel=followed.channel, reason=reading.verdict)
        self.outcomes["node: " + reading.verdict] += 1
        body = encode_json(messages.resync(followed.channel, reading.verdict))
        self._node.hub.deliver(followed.name, body)
        for connection, catch_up in list(followed.catching_up.items()):
            self._record(followed, connection, catch_up, RESYNC, body)

    def _deliver(self, followed: Followed, found: Iterable[Message]) -> None:
        for message in found:
            body = _placed(message.body, message.offset)
            self._node.hub.deliver(followed.name, body, message.exclude, message.policy, message.key)
            for connection, catch_up in list(followed.catching_up.items()):
                if message.exclude == connection.client_id:
                    continue
                if message.policy == "drop" and connection.behind:
                    self._node.hub.dropped += 1
                    continue
                self._record(followed, connection, catch_up, message.offset, body)

    def _record(
        self, followed: Followed, connection: "Connection", catch_up: CatchUp, offset: int, body: bytes
    ) -> None:
        if not catch_up.record(offset, body):
            del followed.catching_up[connection]
            connection.close(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason)

    # Clients.

    def coming(self, name: str, connection: "Connection") -> CatchUp | None:
        """Return how far a client is that is still being brought into the channel."""
        followed = self._followed.get(name)
        return followed.catching_up.get(connection) if followed is not None else None

    async def begun(self, name: str, connection: "Connection") -> CatchUp | None:
        """Return the same once it is known where the client stands."""
        while (followed := self._followed.get(name)) is not None and (reading := followed.reading.get(connection)):
            await reading.wait()
        return self.coming(name, connection)

    def last(self, name: str) -> int:
        """Return where this node stands in a channel it follows."""
        return self._followed[name].tail.last or 0

    async def prepare(self, name: str, connection: "Connection", channel: str, position: Position) -> CatchUp:
        """Find out what a client missed; from now on what it must not miss is recorded.

        When `coming` gives something else afterwards, the client left the channel meanwhile.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        followed = self._followed[name]
        catch_up = followed.catching_up[connection] = CatchUp(channel, self._node.settings.recovery_max_bytes)
        if position.offset is None:
            catch_up.begin_here(followed.tail.last or 0)
            return catch_up
        followed.reading[connection] = read = asyncio.Event()
        try:
            await self._read(followed, catch_up, position.offset)
        except BaseException:
            if self.coming(name, connection) is catch_up:
                del followed.catching_up[connection]
            raise
        finally:
            read.set()
            if followed.reading.get(connection) is read:
                del followed.reading[connection]
        return catch_up

    async def _read(self, followed: Followed, catch_up: CatchUp, position: int) -> None:
        limit = self._node.settings.recovery_max_bytes
        reading = await history.read(self._bus, followed.keys, followed.channel, position, max_bytes=limit)
        here = followed.tail.last or 0
        if reading.verdict == "valid":
            self.outcomes["recovered"] += 1
            catch_up.begin(
                position, here, ((entry.offset, _placed(entry.body, entry.offset)) for entry in reading.entries)
            )
        else:
            self.outcomes[reading.verdict] += 1
            catch_up.begin_here(here, reading.verdict)

    async def finish(self, name: str, connection: "Connection", catch_up: CatchUp) -> None:
        """Send what was missed at the pace of the socket, then let the client into the group."""
        while self.coming(name, connection) is catch_up:
            chunk = catch_up.take()
            if not chunk:
                self.leave(name, connection)
                if connection.stage is not Stage.CLOSED and catch_up.channel in connection.channels:
                    self._node.hub.join(name, connection)
                return
            connection.send_all(chunk)
            if connection.pace is not None:
                await connection.pace.drained()

    def leave(self, name: str, connection: "Connection") -> None:
        """Stop bringing a client into a channel."""
        followed = self._followed.get(name)
        if followed is not None:
            followed.catching_up.pop(connection, None)


def _placed(body: bytes, offset: int) -> bytes:
    """Write an offset into finished JSON."""
    return b'%b,"offset":%d}' % (body[:-1], offset)
