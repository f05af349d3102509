"""The WebSocket protocol of the library, with our close codes."""

import logging
from collections.abc import Sequence

from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from shared import messages
from shared.close_codes import CloseCode
from shared.codec import encode_json, json_to_msgpack
from shared.messages import SUBPROTOCOL_MSGPACK
from ws_server.framing import binary_frame, text_frame

# Neither side keeps a dictionary between messages: that would cost hundreds of kilobytes a connection.
DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    compress_settings={"memLevel": 5},
)
COMPRESSED_FROM = 1024  # bytes; shorter messages gain little
MAX_REASON = 123  # bytes of a close frame's reason, RFC 6455 section 5.5.1
LONGEST_HEAD = 32_768  # bytes of an HTTP request; the library alone would take a megabyte
END_OF_HEAD = b"\r\n\r\n"  # of an HTTP request
SUBPROTOCOL = Subprotocol(SUBPROTOCOL_MSGPACK)

QUIET = logging.getLogger("websockets.server")
QUIET.setLevel(logging.WARNING)  # it tells of each connection at info


class Protocol(ServerProtocol):
    """The library's protocol with our close codes: 4503 stands where it would say 1002, 1003, 1007 or 1009.

    Args:
        state: `OPEN` where the request was answered already, else `CONNECTING`.
        limit: most bytes of a message; None for any.
        compression: whether `permessage-deflate` may be agreed on.
    """

    too_long = False  # the request is
    _head = b""  # the last bytes of the request so far
    _head_size = 0
    _early = b""

    def __init__(self, state: State, limit: int | None, *, compression: bool) -> None:
        super().__init__(
            state=state,
            max_size=limit,
            extensions=[DEFLATE] if compression else None,
            subprotocols=[SUBPROTOCOL],
            select_subprotocol=_select_subprotocol,
            logger=QUIET,
        )

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take bytes; what follows the request waits for our answer, or the library would answer it before."""
        if self.state is not State.CONNECTING:
            super().receive_data(data)
            return
        seen = self._head + bytes(data)
        end = seen.find(END_OF_HEAD)
        self._head_size += len(data)
        if end < 0:
            self._head = seen[-len(END_OF_HEAD) + 1 :]
            if self._head_size > LONGEST_HEAD:
                self.too_long = True
                return
        else:
            cut = end + len(END_OF_HEAD) - len(self._head)
            self._head, data, self._early = b"", data[:cut], bytes(data[cut:])
        super().receive_data(data)

    def early(self) -> bytes:
        """Return what came with the request, once: to be received after the answer."""
        early, self._early = self._early, b""
        return early

    def frame(self, body: bytes) -> bytes:
        """Return a whole frame around finished JSON for this client alone, compressed where that was agreed and pays.

        What goes to many is made once for all and stays uncompressed, which RFC 7692 (section 6) leaves to the sender.
        """
        packed = self.subprotocol is not None
        if packed:
            body = json_to_msgpack(body)
        if self.extensions and len(body) >= COMPRESSED_FROM:
            frame = Frame(Opcode.BINARY if packed else Opcode.TEXT, body)
            return frame.serialize(mask=False, extensions=self.extensions)
        return binary_frame(body) if packed else text_frame(body)

    def fail(self, code: int, reason: str = "") -> None:
        """Fail the connection: say why in a message, then close for good."""
        if self.state is State.OPEN and code != CloseCode.ABNORMAL:
            body = encode_json(messages.disconnect(CloseCode.PROTOCOL_ERROR, reason))
            self.writes.append(self.frame(body))
            code = CloseCode.PROTOCOL_ERROR
        super().fail(code, short_reason(reason))


def _select_subprotocol(_ws: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose msgpack where the client offers it, JSON where it offers nothing.

    Raises:
        NegotiationError: the client insists on something else; it gets HTTP 400.
    """
    if not offered:
        return None
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    raise NegotiationError(f"the subprotocol is {SUBPROTOCOL_MSGPACK}, or none for JSON")


def short_reason(reason: str) -> str:
    """Return as much of a reason as fits into a close frame."""
    return reason.encode()[:MAX_REASON].decode(errors="ignore")
