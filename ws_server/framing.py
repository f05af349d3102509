"""WebSocket frames as the server sends them: made once, written to any number of sockets.

A server does not mask (RFC 6455, section 5.1), so a frame is the same bytes for every client.
"""

import struct

_TEXT = 0x81  # FIN and opcode 1
_BINARY = 0x82  # FIN and opcode 2


def text_frame(body: bytes) -> bytes:
    """Return a whole text frame around UTF-8 `body`."""
    return _header(_TEXT, len(body)) + body


def binary_frame(body: bytes) -> bytes:
    """Return a whole binary frame around `body`."""
    return _header(_BINARY, len(body)) + body


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
