"""Sending much to one client at the pace at which it reads."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

REPLAY_BUFFER = 65_536  # bytes that may wait for a client while it is sent what it missed
SLOWEST_READER = 30.0  # seconds a client may take to read those
UNLIMITED = 2**62


class Pace:
    """The write buffer of one socket while something is replayed to it: short, so that the client sets the pace.

    Args:
        transport: the socket's, an `asyncio.WriteTransport`.
        limit: `ws.send-buffer-bytes`; 0 means none.
    """

    __slots__ = ("_limit", "_replays", "_resumed", "_transport")

    def __init__(self, transport: Any, limit: int) -> None:
        self._transport = transport
        self._limit = limit or UNLIMITED
        self._replays = 0
        self._resumed = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether something is being replayed."""
        return self._replays > 0

    def paused(self) -> bool:
        """Take note that the buffer is full; false when that is more than this client may have waiting."""
        if not self._replays or self._transport.get_write_buffer_size() > self._limit:
            return False
        self._resumed.clear()
        return True

    def resumed(self) -> None:
        """Take note that the client has read, or is gone."""
        self._resumed.set()

    @contextlib.contextmanager
    def replaying(self) -> Iterator[None]:
        """Keep the buffer short in this block, so that `drained` waits for the client."""
        self._replays += 1
        self._resumed.set()
        self._set(REPLAY_BUFFER)
        try:
            yield
        finally:
            self._replays -= 1
            if self._replays == 0:
                self._set(self._limit)

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent.

        Raises:
            TimeoutError: it did not within `SLOWEST_READER` seconds.
        """
        async with asyncio.timeout(SLOWEST_READER):
            await self._resumed.wait()

    def _set(self, limit: int) -> None:
        if not self._transport.is_closing():
            limit_buffer(self._transport, limit)


def limit_buffer(transport: Any, limit: int) -> None:
    """Have the transport say when more than `limit` bytes wait for the client; 0 means no limit."""
    transport.set_write_buffer_limits(high=limit or UNLIMITED)
