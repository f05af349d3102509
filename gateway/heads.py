"""Heads that do not come to their end: a connection has a few seconds for its first request, however it dribbles.

Later requests on it have what aiohttp gives them: the time for which a connection may be idle, from the answer before,
so that a slow head holds a connection no longer than silence does.
"""

import asyncio

import structlog

from gateway import metrics

HEAD_SECONDS = 10.0
LINGER_SECONDS = 1.0
TOO_SLOW = b'{"error":"The request took too long."}\n'
ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Cache-Control: no-store\r\nServer: mini-apps\r\nContent-Length: %d\r\n\r\n%b" % (len(TOO_SLOW), TOO_SLOW)
)

access = structlog.get_logger("access")


class Heads:
    """The connections whose first head is on its way to aiohttp."""

    def __init__(self) -> None:
        self._expected: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}

    def expect(self, transport: asyncio.Transport) -> None:
        """Close a connection with 408, unless a whole head comes in time."""
        loop = asyncio.get_running_loop()
        self._expected[transport] = loop.call_later(HEAD_SECONDS, self._cut, transport)

    def came(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that a request began on a connection."""
        if transport is not None and (timer := self._expected.pop(transport, None)) is not None:
            timer.cancel()

    def _cut(self, transport: asyncio.Transport) -> None:
        del self._expected[transport]
        if transport.is_closing():
            return
        transport.write(ANSWER)
        transport.write_eof()
        # Closed at once, with bytes on their way here, the connection would be reset, and take the answer along.
        transport.pause_reading()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.close)
        metrics.requests.labels("unreadable", 408).inc()
        peer = transport.get_extra_info("peername")
        access.info("request", method="UNKNOWN", path="/", status=408, address=peer[0] if peer else None)
