"""The WebSocket of one socket: bytes to what the client sent, and back.

Nearly every client sends one usual request and then whole frames. Those are read here, in a fraction of the library's
time and without the 3 KB its protocol takes of each idle socket. At the first byte that is not as usual the library's
protocol takes over and serves the socket to its end: what is odd, and how to say so, only it decides.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidMessage
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from shared.codec import json_to_msgpack
from ws_server.framing import binary_frame, text_frame
from ws_server.plain_frames import PING, plain_frames, pong_frame
from ws_server.protocol import SUBPROTOCOL, Protocol, short_reason
from ws_server.upgrade import Upgrade, recognise

if TYPE_CHECKING:
    from websockets.frames import Close

NOTHING: tuple[bytes, ...] = ()

Event = Request | Upgrade | Frame


class Wire:
    """What is said on one socket; does no input or output itself.

    Args:
        limit: most bytes of a message; None for any.
        compression: whether `permessage-deflate` may be agreed on.

    Attributes:
        packed: whether the client speaks msgpack.
    """

    __slots__ = ("_compression", "_early", "_library", "_limit", "_open", "_writes", "packed")

    def __init__(self, limit: int | None, *, compression: bool) -> None:
        self.packed = False
        self._limit = limit
        self._compression = compression
        self._open = False
        self._early = b""
        self._writes: Sequence[bytes] = NOTHING
        self._library: Protocol | None = None

    @property
    def is_open(self) -> bool:
        """Whether the request was granted and nobody has closed since."""
        return self._open if self._library is None else self._library.state is State.OPEN

    @property
    def no_request(self) -> bool:
        """Whether what came is no HTTP request at all."""
        return self._library is not None and isinstance(self._library.handshake_exc, InvalidMessage)

    @property
    def too_long(self) -> bool:
        """Whether the request has more bytes than are taken."""
        return self._library is not None and self._library.too_long

    @property
    def close_sent(self) -> "Close | None":
        """The close frame that was sent, if one was."""
        return None if self._library is None else self._library.close_sent

    def limit(self, size: int | None) -> None:
        """Take no messages of more than `size` bytes from now on; None for any."""
        self._limit = size
        if self._library is not None:
            self._library.max_message_size = size

    # What comes in.

    def receive(self, data: bytes) -> Sequence[Event]:
        """Take bytes, and return what they say; what follows a request waits for `early`."""
        if self._library is None:
            if not self._open:
                upgrade = recognise(data, compression=self._compression)
                if upgrade is not None:
                    return (upgrade,)
                return self._ask_library(data)
            frames, used = plain_frames(data, self._limit)
            pongs = [pong_frame(bytes(frame.data)) for frame in frames if frame.opcode is Opcode.PING]
            if pongs:
                self._writes = (*self._writes, *pongs)
            return frames if used == len(data) else [*frames, *self._ask_library(data[used:])]
        return self._ask_library(data)

    def early(self) -> bytes:
        """Return what came with the request, once: to be received after the answer."""
        if self._library is not None:
            return self._library.early()
        early, self._early = self._early, b""
        return early

    def end(self) -> None:
        """Take the end of the stream."""
        if self._library is not None:
            self._library.receive_eof()

    def _ask_library(self, data: bytes) -> Sequence[Event]:
        library = self._with_library()
        library.receive_data(data)
        return library.events_received()  # type: ignore[return-value]  # its requests and frames, on this side

    def _with_library(self) -> Protocol:
        if self._library is None:
            state = State.OPEN if self._open else State.CONNECTING
            self._library = Protocol(state, self._limit, compression=self._compression)
            self._library.subprotocol = SUBPROTOCOL if self.packed else None
        return self._library

    # What goes out.

    def grant(self, upgrade: Upgrade) -> None:
        """Open the WebSocket as it was asked for."""
        self._open = True
        self.packed = upgrade.packed
        self._early = upgrade.early
        self._writes = (upgrade.response,)

    def accept(self, request: Request) -> Response:
        """Return the library's answer to a request to open the WebSocket."""
        return self._with_library().accept(request)

    def reject(self, status: int, text: str) -> Response:
        """Return an answer that opens nothing."""
        return self._with_library().reject(status, text)

    def answer(self, response: Response) -> None:
        """Answer a request that is the library's."""
        library = self._with_library()
        library.send_response(response)
        self.packed = library.subprotocol is not None

    def frame(self, body: bytes) -> bytes:
        """Return a whole frame around finished JSON for this client alone, compressed where that was agreed."""
        if self._library is not None:
            return self._library.frame(body)
        return binary_frame(json_to_msgpack(body)) if self.packed else text_frame(body)

    def ping(self) -> None:
        """Ask whether the client is still there.

        Raises:
            InvalidState: the client is closing.
        """
        if self._library is not None:
            self._library.send_ping(b"")
        else:
            self._writes = (*self._writes, PING)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame.

        Raises:
            InvalidState: the client is closing.
        """
        self._with_library().send_close(code, short_reason(reason))

    def written(self) -> Sequence[bytes]:
        """Return what the protocol itself has to say, once: handshake, pongs, close frames; `b""` ends the stream."""
        writes, self._writes = self._writes, NOTHING
        return writes if self._library is None else (*writes, *self._library.data_to_send())
