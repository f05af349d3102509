"""What a node has to say to one client: frames that leave once per loop turn, and an end for who does not read."""

import asyncio
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shared.close_codes import CloseCode
from shared.codec import encode_json
from ws_server.framing import UNPACKABLE, unpackable
from ws_server.pacing import Pace
from ws_server.session import Stage

if TYPE_CHECKING:
    from ws_server.node import Node
    from ws_server.wire import Wire


class Outgoing(asyncio.Protocol):
    """The writing half of a `Connection`; also the `Member` of the hub.

    Args:
        node: the node it belongs to.
        wire: the WebSocket of this socket.
    """

    __slots__ = ("_out", "_wire", "client_id", "node", "pace", "packed", "stage", "transport")

    def __init__(self, node: "Node", wire: "Wire") -> None:
        self.node = node
        self.stage = Stage.HANDSHAKE
        self.client_id = secrets.token_hex(8)
        self.packed = False
        self.transport: asyncio.Transport | None = None
        self.pace: Pace | None = None
        self._wire = wire
        self._out: list[bytes] = []

    # Who does not read.

    def pause_writing(self) -> None:
        """Take note that the client is behind (asyncio's callback)."""
        self.pace = Pace(self.transport, self.node.settings.send_buffer_bytes)
        self._cut_if_slow()

    def resume_writing(self) -> None:
        """Go on with what waited until the client had read (asyncio's callback)."""
        pace, self.pace = self.pace, None
        if pace is not None:
            pace.caught_up()
        if self.stage is not Stage.CLOSED:
            self.node.hub.caught_up(self)

    def _cut_if_slow(self) -> None:
        """Cut a slow client off: more than `send-buffer-bytes` wait for it."""
        if self.pace is not None and self.pace.too_much():
            if self.stage is not Stage.CLOSED:
                self._count_close(CloseCode.SLOW_CONSUMER)
            self.stage = Stage.CLOSED
            self.overdue()

    @property
    def behind(self) -> bool:
        """Whether much waits for the client to read."""
        return self.pace is not None

    # What is written.

    def write(self, data: bytes) -> None:
        """Write whole frames, behind what was sent in this loop turn."""
        if self.stage is Stage.CLOSED or self.transport is None:
            return
        if self._out:
            self._out.append(data)
            return
        self.transport.write(data)
        if self.pace is not None:
            self._cut_if_slow()

    def send(self, body: bytes) -> None:
        """Send finished JSON to this client; what is sent in one loop turn leaves in one write."""
        if self.stage is Stage.CLOSED:
            return
        frame = self._wire.frame(body)
        counts = self.node.counts
        counts.messages_out += 1
        counts.bytes_out += len(frame)
        self._later(frame)

    def _later(self, data: bytes) -> None:
        if not self._out:
            self.node.flush_later(self)
        self._out.append(data)

    def flush(self) -> None:
        """Write what was sent in this loop turn."""
        if self._out and self.transport is not None and not self.transport.is_closing():
            out, self._out = self._out, []
            self.transport.write(b"".join(out))
            if self.pace is not None:
                self._cut_if_slow()

    def send_message(self, message: dict[str, Any]) -> None:
        """Send a message of the protocol to this client.

        Raises:
            TypeError, ValueError: a value in it (a handler's result, say) has no JSON form, or is nested too deeply.
        """
        self.send(encode_json(message))

    def send_all(self, bodies: Iterable[bytes]) -> None:
        """Send several finished messages in one write, now; what has no msgpack form is left out for who speaks it."""
        self.flush()
        self.write(b"".join([self._frame_if_any(body) for body in bodies]))

    def _frame_if_any(self, body: bytes) -> bytes:
        try:
            return self._wire.frame(body)
        except UNPACKABLE as error:
            return unpackable(body, error)

    def overdue(self) -> None:
        """End the socket at once: the client is too late, or too slow."""
        if self.transport is not None:
            self.transport.abort()

    def _count_close(self, code: int) -> None:
        self.node.counts.closes[str(int(code))] += 1

    def _write_protocol(self) -> None:
        """Write what the protocol itself has to say: handshake, pongs, close frames."""
        transport, written = self.transport, self._wire.written()
        if transport is None or not written:
            return
        self.flush()  # a close frame comes after the message that says why
        for data in written:
            if data:
                transport.write(data)
            else:
                transport.close()  # flushes first; a half-closed socket would keep the client waiting
        if self.pace is not None:
            self._cut_if_slow()  # pongs may be all that a client never reads
