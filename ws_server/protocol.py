"""The WebSocket protocol of the library, with our close codes."""

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from shared import messages
from shared.close_codes import CloseCode
from shared.codec import encode_json, json_to_msgpack
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
END_OF_HEAD = b"\r\n\r\n"  # of an HTTP request


class Protocol(ServerProtocol):
    """The library's protocol with our close codes: 4503 stands where it would say 1002, 1003, 1007 or 1009."""

    _head = b""  # the last bytes of the request so far
    _early = b""

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take bytes; what follows the request waits for our answer, or the library would answer it before."""
        if self.state is not State.CONNECTING:
            super().receive_data(data)
            return
        seen = self._head + bytes(data)
        end = seen.find(END_OF_HEAD)
        if end < 0:
            self._head = seen[-len(END_OF_HEAD) + 1 :]
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


def short_reason(reason: str) -> str:
    """Return as much of a reason as fits into a close frame."""
    return reason.encode()[:MAX_REASON].decode(errors="ignore")
