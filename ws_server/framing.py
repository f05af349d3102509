"""WebSocket frames as the server sends them: made once, written to any number of sockets.

A server does not mask (RFC 6455, section 5.1), so a frame is the same bytes for every client.
"""

import struct

import structlog
from prometheus_client import Counter

from shared.codec import json_to_msgpack

# What json_to_msgpack raises for what somebody else published and is no JSON; that must not keep the messages beside it
# from their clients.
UNPACKABLE = (ValueError, TypeError, OverflowError, RecursionError)

left_out = Counter(
    "mini_apps_ws_unpackable", "Messages without a msgpack form, which clients that speak it did not get"
)

log = structlog.get_logger("framing")

_TEXT = 0x81  # FIN and opcode 1
_BINARY = 0x82  # FIN and opcode 2


def text_frame(body: bytes) -> bytes:
    """Return a whole text frame around UTF-8 `body`."""
    return _header(_TEXT, len(body)) + body


def binary_frame(body: bytes) -> bytes:
    """Return a whole binary frame around `body`."""
    return _header(_BINARY, len(body)) + body


def packed_frame(json: bytes) -> bytes:
    """Return a finished JSON message as a msgpack frame; nothing for what has no such form (`UNPACKABLE`)."""
    try:
        return binary_frame(json_to_msgpack(json))
    except UNPACKABLE as error:
        return unpackable(json, error)


def unpackable(json: bytes, error: Exception) -> bytes:
    """Count and log a message that a client goes without, and return nothing in its place."""
    left_out.inc()
    log.warning("a message cannot be had as msgpack", bytes=len(json), error=type(error).__name__)
    return b""


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
