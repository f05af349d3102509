"""The request nearly every client begins with, recognised and answered at once.

What is the least odd (another path, a field given twice, a request in pieces) is not recognised and goes to the
library, which says the same of what is recognised here; a test holds the two together. Reading a request takes the
library as long as all else of a login that is done without asking anybody.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.messages import SUBPROTOCOL_MSGPACK

LONGEST = 8192  # bytes of a request
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
CONNECTIONS = frozenset({"upgrade", "keep-alive, upgrade"})  # as Chromium and Safari, and as Firefox says it
WITH_BODY = frozenset({"content-length", "transfer-encoding"})

_REQUEST = re.compile(
    r"GET /(?:ws)?(?:\?[!-~]*)? HTTP/1\.1\r\n((?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t -~]*\r\n){1,64})\r\n"
)
_KEY = re.compile("[A-Za-z0-9+/]{22}==")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request to open a WebSocket that is to be granted.

    Attributes:
        fields: lower-case name to value.
        response: what grants it.
        packed: whether the client speaks msgpack.
        early: bytes that came behind it.
    """

    fields: Mapping[str, str]
    response: bytes
    packed: bool
    early: bytes

    def get_all(self, name: str) -> list[str]:
        """Return the values of a field, as the library's headers do."""
        value = self.fields.get(name.lower())
        return [] if value is None else [value]


def recognise(data: bytes, *, compression: bool) -> Upgrade | None:
    """Return the request in the first bytes of a socket, or None where the library must look at it.

    Args:
        data: the bytes.
        compression: whether `permessage-deflate` may be agreed on, which is the library's to do.
    """
    end = data.find(b"\r\n\r\n", 0, LONGEST) + 4
    head = data[:end]
    if not head.isascii() or (match := _REQUEST.fullmatch(head.decode())) is None:
        return None
    lines = match[1].split("\r\n")[:-1]
    fields = {name.lower(): value.strip(" \t") for name, _, value in (line.partition(":") for line in lines)}
    key, protocol = fields.get("sec-websocket-key", ""), fields.get("sec-websocket-protocol")
    if (
        len(fields) < len(lines)
        or fields.get("upgrade", "").lower() != "websocket"
        or fields.get("connection", "").lower() not in CONNECTIONS
        or fields.get("sec-websocket-version") != "13"
        or not _KEY.fullmatch(key)
        or protocol not in (None, SUBPROTOCOL_MSGPACK)
        or (compression and "sec-websocket-extensions" in fields)
        or not WITH_BODY.isdisjoint(fields)
    ):
        return None
    return Upgrade(fields, _response(key, protocol), protocol is not None, data[end:])


def _response(key: str, protocol: str | None) -> bytes:
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()).decode()
    chosen = "" if protocol is None else f"Sec-WebSocket-Protocol: {protocol}\r\n"
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{chosen}\r\n"
    ).encode()
