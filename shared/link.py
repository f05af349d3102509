"""One pipelined connection to Redis: commands of a loop turn leave in one write, replies and pushes come in bulk.

Redis-py opens the connection (TLS, ACL, Sentinel and the handshake are its business); then this protocol takes the
transport over, because a node publishes and hears tens of thousands of messages a second.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Self

import hiredis
from redis.asyncio import ConnectionPool

from shared.broker import BrokerUnavailable

MAX_PENDING = 20_000  # commands without an answer, then new ones are refused
PUSH_KINDS = frozenset({b"message", b"smessage", b"subscribe", b"unsubscribe", b"ssubscribe", b"sunsubscribe"})

Argument = bytes | str | int | float


class CommandRefused(BrokerUnavailable):
    """Redis answered with an error.

    Attributes:
        code: the error's first word, such as `NOSCRIPT` or `OOM`.
    """

    def __init__(self, reply: str) -> None:
        super().__init__(f"Redis refused the command: {reply}")
        self.code = reply.partition(" ")[0]


class Link(asyncio.Protocol):
    """A connection that is either used for commands (`call`) or, with `on_push`, for pub/sub (`send`).

    Args:
        on_push: takes each pub/sub reply, a list such as `[b"message", channel, payload]`.
        on_lost: called once when the connection is gone, unless `abort` was ours.
    """

    def __init__(self, *, on_push: Callable[[list[Any]], None] | None = None, on_lost: Callable[[], None]) -> None:
        self._on_push = on_push
        self._on_lost = on_lost
        self._reader = hiredis.Reader(notEnoughData=NotImplemented)
        self._pending: deque[asyncio.Future[Any]] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._connection: Any = None  # redis-py closes the socket when its connection object is collected
        self._loop = asyncio.get_running_loop()

    async def open(self, pool: ConnectionPool) -> Self:
        """Connect with the options of `pool` and take the transport over.

        Raises:
            redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: Redis is not there.
        """
        self._connection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        await self._connection.connect()
        self._transport = self._connection._writer.transport  # noqa: SLF001 - redis-py has no public way to hand it over
        self._transport.set_protocol(self)
        return self

    @property
    def alive(self) -> bool:
        """Whether commands can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def pending(self) -> int:
        """Commands sent and not answered yet."""
        return len(self._pending)

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """Send a command with the others of this loop turn; the future is its reply.

        Raises:
            BrokerUnavailable: the connection is gone, or `MAX_PENDING` commands wait for Redis. The future raises it
                when the connection breaks before the reply, in which case Redis may or may not have done it, and
                `CommandRefused` when Redis answered with an error.
        """
        if not self.alive:
            raise BrokerUnavailable("the connection to Redis is down")
        if len(self._pending) >= MAX_PENDING:
            raise BrokerUnavailable(f"{MAX_PENDING} commands already wait for Redis")
        future = self._loop.create_future()
        self._pending.append(future)
        self.send(*command)
        return future

    def send(self, *command: Argument) -> None:
        """Send a pub/sub command, whose answers come to `on_push`."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub forgets longer tuples

    def abort(self) -> None:
        """Drop the connection at once; commands without a reply fail."""
        self._on_lost = _nothing
        if self._transport is not None:
            self._transport.abort()
        self._fail_pending()

    def data_received(self, data: bytes) -> None:
        """Take replies (asyncio's callback)."""
        reader = self._reader
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not NotImplemented:
                self._take(reply)
        except hiredis.ProtocolError:
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Fail what waits and tell the owner (asyncio's callback)."""
        self._fail_pending()
        self._on_lost()

    def _take(self, reply: Any) -> None:
        if self._on_push is not None:
            if isinstance(reply, list) and reply[0] in PUSH_KINDS:
                self._on_push(reply)
            return
        future = self._pending.popleft()
        if future.done():  # its caller was cancelled
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(CommandRefused(str(reply)))
            future.exception()  # of several sent together, only the first refusal finds somebody who waits
        else:
            future.set_result(reply)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self.alive and self._transport is not None:
            self._transport.write(b"".join(out))

    def _fail_pending(self) -> None:
        pending, self._pending = self._pending, deque()
        for future in pending:
            if not future.done():
                future.set_exception(BrokerUnavailable("the connection to Redis broke before it answered"))
                future.exception()  # a caller that went away must not leave a warning behind


def _nothing() -> None:
    pass
