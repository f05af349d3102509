"""A WebSocket client that costs little: just enough of RFC 6455 to speak with a node of ours."""

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import orjson

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
LOST = 1006
REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: churn\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Socket(asyncio.Protocol):
    """One connection.

    Args:
        on_message: takes each message of the server.
        on_end: told the close code, once.
    """

    def __init__(self, on_message: Callable[[dict[str, Any]], None], on_end: Callable[[int], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._open = False
        self._ended = False
        self._code = LOST

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # TCP gives a Transport
        self._transport.write(REQUEST)  # type: ignore[union-attr]  # it was just set

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        if not self._open:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = data
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.abort()
                return
            self._open, data = True, rest
        self._buffer = self._frames(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._end()

    def send(self, **message: Any) -> None:
        """Send a message."""
        self._write(TEXT, orjson.dumps(message))

    def close(self) -> None:
        """Say goodbye and go; what is still under way to us is lost."""
        self._write(CLOSE, struct.pack("!H", 1000))
        if self._transport is not None:
            self._transport.close()
        self._end()

    def abort(self) -> None:
        """Vanish, as a phone without network does."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(self._code)

    def _write(self, opcode: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        size = len(payload)
        length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
        self._transport.write(bytes((0x80 | opcode,)) + length + bytes(4) + payload)  # a mask of zeros changes nothing

    def _frames(self, data: bytes) -> bytes:
        """Take every whole frame, and return the rest."""
        at, end = 0, len(data)
        while not self._ended and end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if end < start + size or end < start:
                break
            self._frame(data[at] & 0xF, data[start : start + size])
            at = start + size
        return data[at:]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._on_message(orjson.loads(payload))
        elif opcode == PING:
            self._write(PONG, payload)
        elif opcode == CLOSE:
            self._code = int.from_bytes(payload[:2], "big") or LOST
            self._write(CLOSE, payload[:2])
            if self._transport is not None:
                self._transport.close()
