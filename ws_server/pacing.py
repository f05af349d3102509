"""Clients that are behind: much waits on the node for them to read."""

import asyncio
from typing import Any

BEHIND_BYTES = 65_536  # a client is behind while more wait for it, or half of what may wait where that is less
SLOWEST_READER = 30.0  # seconds a client may take to read those
UNLIMITED = 2**62


def tell_when_behind(transport: Any, limit: int) -> None:
    """Have a transport call `pause_writing` when its client is behind, `resume_writing` when it has read.

    Args:
        transport: an `asyncio.WriteTransport`.
        limit: `ws.send-buffer-bytes`; 0 means none.
    """
    transport.set_write_buffer_limits(high=min(BEHIND_BYTES, (limit or UNLIMITED) // 2))


class Pace:
    """The write buffer of one client while it is behind.

    Args:
        transport: the socket's, an `asyncio.WriteTransport`.
        limit: `ws.send-buffer-bytes`; 0 means none.
    """

    __slots__ = ("_limit", "_read", "_transport")

    def __init__(self, transport: Any, limit: int) -> None:
        self._transport = transport
        self._limit = limit or UNLIMITED
        self._read = asyncio.Event()

    def too_much(self) -> bool:
        """Whether more waits than may."""
        return bool(self._transport.get_write_buffer_size() > self._limit)

    def caught_up(self) -> None:
        """Take note that the client has read, or is gone."""
        self._read.set()

    async def drained(self) -> None:
        """Wait until the client is behind no more.

        Raises:
            TimeoutError: it still was after `SLOWEST_READER` seconds.
        """
        async with asyncio.timeout(SLOWEST_READER):
            await self._read.wait()
