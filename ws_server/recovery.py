"""Channels with history on this node: what follows what, for the node itself and for clients that come back.

A client that comes back with a position is read to from the stream while the live messages of its channel are recorded
for it; it gets what it missed at the pace of its socket, then what was recorded, and joins the group in the same loop
turn in which nothing is left. So it cannot miss or repeat a message, and cannot be outrun for ever: what is recorded is
bounded, and over the bound the client is a slow consumer.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
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
from ws_server.session import Stage
from ws_server.tail import Tail, Verdict

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.keys import AppKeys
    from ws_server.connection import Connection
    from ws_server.node import Node

CHUNK_BYTES = 16_384  # of a replay in one write

log = structlog.get_logger("recovery")


@dataclass(slots=True, eq=False)
class CatchUp:
    """A client on its way into a channel.

    Attributes:
        connection: the client's.
        channel: its name.
        offset: where the client stands: told in `welcome` or `joined`.
        recovered: whether it misses nothing; None where it asked for nothing.
        reason: why not.
        missed: what it gets from the stream.
        recorded: what was delivered live meanwhile, offset and finished JSON.
        size: bytes of that.
    """

    connection: "Connection"
    channel: str
    offset: int = 0
    recovered: bool | None = None
    reason: str = ""
    missed: list[tuple[int, bytes]] = field(default_factory=list)
    recorded: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True, eq=False)
class Followed:
    """One channel with history, as this node follows it."""

    name: str
    channel: str
    keys: "AppKeys"
    tail: Tail = field(default_factory=Tail)
    established: asyncio.Task[None] | None = None
    catching_up: dict["Connection", CatchUp] = field(default_factory=dict)


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
        for catch_up in list(followed.catching_up.values()):
            self._record(followed, catch_up, message, message.body)

    def heal_all(self) -> None:
        """Read on in every channel: messages may have been missed while the bus was away."""
        for followed in self._followed.values():
            if not followed.tail.healing and followed.tail.last is not None:
                self._node.spawn(self._heal(followed))

    def __contains__(self, name: str) -> bool:
        """Return whether this node follows the channel."""
        return name in self._followed

    async def _heal(self, followed: Followed) -> None:
        tail = followed.tail
        if tail.healing:
            return
        while True:
            position = tail.begin()
            try:
                reading = await history.read(self._bus, followed.keys, followed.channel, position)
            except BaseException as error:
                tail.failed()
                if not isinstance(error, BrokerUnavailable):
                    raise
                log.warning("a channel could not be read", channel=followed.channel, error=str(error))
                return  # the bus tells when Redis is back, and then every channel is healed
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
        for catch_up in followed.catching_up.values():
            catch_up.recorded.append((0, body))

    def _deliver(self, followed: Followed, found: Iterable[Message]) -> None:
        for message in found:
            body = b'%b,"offset":%d}' % (message.body[:-1], message.offset)
            self._node.hub.deliver(followed.name, body, message.exclude, message.policy, message.key)
            for catch_up in list(followed.catching_up.values()):
                self._record(followed, catch_up, message, body)

    def _record(self, followed: Followed, catch_up: CatchUp, message: Message, body: bytes) -> None:
        if message.exclude == catch_up.connection.client_id:
            return
        if message.policy == "drop" and catch_up.connection.behind:
            self._node.hub.dropped += 1
            return
        catch_up.recorded.append((message.offset, body))
        catch_up.size += len(body)
        limit = self._node.settings.recovery_max_bytes
        if limit and catch_up.size > limit:
            del followed.catching_up[catch_up.connection]
            catch_up.connection.close(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason)

    # Clients.

    async def prepare(self, name: str, connection: "Connection", channel: str, position: Position) -> CatchUp:
        """Find out what a client missed; from now on what it must not miss is recorded.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        followed = self._followed[name]
        catch_up = followed.catching_up[connection] = CatchUp(connection, channel)
        if position.offset is not None:
            try:
                await self._read(followed, catch_up, position.offset)
            except BaseException:
                followed.catching_up.pop(connection, None)
                raise
        if not catch_up.recovered:
            catch_up.offset = followed.tail.last or 0
            catch_up.recorded.clear()
        return catch_up

    async def _read(self, followed: Followed, catch_up: CatchUp, position: int) -> None:
        limit = self._node.settings.recovery_max_bytes
        reading = await history.read(self._bus, followed.keys, followed.channel, position, max_bytes=limit)
        catch_up.recovered = reading.verdict == "valid"
        self.outcomes["recovered" if catch_up.recovered else reading.verdict] += 1
        if not catch_up.recovered:
            catch_up.reason = reading.verdict
            return
        # What is newer than where the node stands comes to the group, live or healed.
        here = followed.tail.last or 0
        catch_up.offset = position
        catch_up.missed = [
            (entry.offset, b'%b,"offset":%d}' % (entry.body[:-1], entry.offset))
            for entry in reading.entries
            if entry.offset <= here
        ]

    async def finish(self, name: str, catch_up: CatchUp) -> None:
        """Send what was missed at the pace of the socket, then let the client into the group."""
        followed, connection = self._followed.get(name), catch_up.connection
        sent = catch_up.offset
        batch = catch_up.missed
        while followed is not None and followed.catching_up.get(connection) is catch_up:
            if not batch:
                batch, catch_up.recorded, catch_up.size = catch_up.recorded, [], 0
            batch = [item for item in batch if item[0] > sent or item[0] == 0]
            if not batch:
                del followed.catching_up[connection]
                if connection.stage is Stage.READY and catch_up.channel in connection.channels:
                    self._node.hub.join(name, connection)
                return
            count = _chunk(batch)
            connection.send_all(body for _, body in batch[:count])
            sent = max(sent, batch[count - 1][0])
            batch = batch[count:]
            if connection.pace is not None:
                await connection.pace.drained()

    def leave(self, name: str, connection: "Connection") -> None:
        """Stop bringing a client into a channel."""
        followed = self._followed.get(name)
        if followed is not None:
            followed.catching_up.pop(connection, None)


def _chunk(batch: list[tuple[int, bytes]]) -> int:
    """Return how many of the first messages make one write."""
    size = 0
    for count, (_, body) in enumerate(batch, 1):
        size += len(body)
        if size >= CHUNK_BYTES:
            return count
    return len(batch)
