"""One pipelined connection to Redis: commands of a loop turn leave in one write, replies and pushes come in bulk.

Redis-py opens the connection (TLS, ACL, Sentinel and the handshake are its business); then this protocol takes the
transport over, because a node publishes and hears tens of thousands of messages a second.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Self

import hiredis
from prometheus_client import Counter
from redis.asyncio import ConnectionPool

from shared.connecting import BrokerUnavailable

MAX_PENDING = 20_000  # commands without an answer, then new ones are refused
MAX_UNSENT_BYTES = 67_108_864  # of commands that Redis does not read, then new ones are refused
REFUSED = b"refused"  # the kind of a push that stands for an error: of the oldest pub/sub command without an answer
DEMOTED = "READONLY"  # this server is a replica now, so whoever is connected to it must find the other one
PUSH_KINDS = frozenset({b"message", b"smessage", b"subscribe", b"unsubscribe", b"ssubscribe", b"sunsubscribe"})

Argument = bytes | str | int | float

refused = Counter(
    "mini_apps_bus_refused", "Commands refused because 20,000, or 64 MiB of them, already waited for Redis"
)


class CommandRefused(BrokerUnavailable):
    """Redis answered with an error.

    Attributes:
        code: the error's first word, such as `NOSCRIPT` or `OOM`.
        reply: the error.
    """

    def __init__(self, reply: str) -> None:
        super().__init__(f"Redis refused the command: {reply}")
        self.reply = reply
        self.code = reply.partition(" ")[0]


class Replies:
    """What waits for the replies to several commands, in the place of each one's future.

    Args:
        future: of all the replies.
        commands: how many there are.
        refusals: take an error that Redis answers for the reply it is, and not for the failure of all.
    """

    __slots__ = ("_commands", "_refusals", "_replies", "future")

    def __init__(self, future: asyncio.Future[list[Any]], commands: int, *, refusals: bool) -> None:
        self.future = future
        self._commands = commands
        self._refusals = refusals
        self._replies: list[Any] = []

    def done(self) -> bool:
        """Whether nobody waits: all is there, one failed, or the caller was cancelled."""
        return self.future.done()

    def set_exception(self, error: Exception) -> None:
        """Fail the caller, unless it takes refusals too."""
        if self._refusals and isinstance(error, CommandRefused):
            self.set_result(error)
        else:
            self.future.set_exception(error)

    def exception(self) -> BaseException | None:
        """Return what failed, if something has."""
        return self.future.exception() if self.future.done() else None

    def set_result(self, reply: Any) -> None:
        """Take the reply to the next command."""
        self._replies.append(reply)
        if len(self._replies) == self._commands:
            self.future.set_result(self._replies)


class Link(asyncio.Protocol):
    """A connection that is either used for commands (`call`) or, with `on_push`, for pub/sub (`send`).

    Args:
        on_push: takes each pub/sub reply, a list such as `[b"message", channel, payload]`; for an error
            `[REFUSED, None, CommandRefused]`.
        on_lost: called once when the connection is gone, unless `abort` was ours.
    """

    def __init__(self, *, on_push: Callable[[list[Any]], None] | None = None, on_lost: Callable[[], None]) -> None:
        self._on_push = on_push
        self._on_lost = on_lost
        self._reader = hiredis.Reader(notEnoughData=NotImplemented)
        self._pending: deque[asyncio.Future[Any] | Replies] = deque()
        self._out: list[bytes] = []
        self._unsent = 0  # bytes at the last look, and those of commands since
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
    def address(self) -> tuple[str, int]:
        """Which server it leads to; nowhere in particular for a Unix socket."""
        return getattr(self._connection, "host", ""), int(getattr(self._connection, "port", 0))

    @property
    def alive(self) -> bool:
        """Whether commands can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def fileno(self) -> int:
        """The number of its socket; -1 without one."""
        socket = self._transport.get_extra_info("socket") if self._transport is not None else None
        return -1 if socket is None else int(socket.fileno())

    @property
    def pending(self) -> int:
        """Commands sent and not answered yet."""
        return len(self._pending)

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """Send a command with the others of this loop turn; the future is its reply.

        Raises:
            BrokerUnavailable: the connection is gone, or `MAX_PENDING` commands or `MAX_UNSENT_BYTES` wait for Redis.
                The future raises it when the connection breaks before the reply, in which case Redis may or may not
                have done it, and `CommandRefused` when Redis answered with an error.
        """
        self._check()
        future = self._loop.create_future()
        self._pending.append(future)
        self.send(*command)
        return future

    def calls(self, commands: Sequence[Sequence[Argument]], *, refusals: bool = False) -> asyncio.Future[list[Any]]:
        """Send several commands; the future is the list of their replies.

        Args:
            commands: their words.
            refusals: give a `CommandRefused` in the place of each reply that is an error.

        Raises:
            BrokerUnavailable: as `call` does; the future raises what is wrong with the first that fails.
        """
        self._check()
        replies = Replies(self._loop.create_future(), len(commands), refusals=refusals)
        if not commands:
            replies.future.set_result([])
        for command in commands:
            self._pending.append(replies)
            self.send(*command)
        return replies.future

    def _check(self) -> None:
        if not self.alive:
            raise BrokerUnavailable("the connection to Redis is down")
        if len(self._pending) >= MAX_PENDING:
            refused.inc()
            raise BrokerUnavailable(f"{MAX_PENDING} commands already wait for Redis")
        if self._unsent > MAX_UNSENT_BYTES and self._count_unsent() > MAX_UNSENT_BYTES:
            refused.inc()
            raise BrokerUnavailable(f"{MAX_UNSENT_BYTES >> 20} MiB of commands already wait for Redis")

    def future(self) -> asyncio.Future[Any]:
        """Return a future of this connection's loop, which Python 3.11 would ask the kernel for."""
        return self._loop.create_future()

    def send(self, *command: Argument) -> None:
        """Send a pub/sub command, whose answers come to `on_push`."""
        if not self._out:
            self._loop.call_soon(self._flush)
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub forgets longer tuples
        self._unsent += len(packed)
        self._out.append(packed)

    def _count_unsent(self) -> int:
        buffered = self._transport.get_write_buffer_size() if self._transport is not None else 0
        self._unsent = buffered + sum(map(len, self._out))
        return self._unsent

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
            elif isinstance(reply, hiredis.ReplyError):
                self._on_push([REFUSED, None, CommandRefused(str(reply))])
            return
        if not self._pending:  # told unasked: the server has too many clients and does not want us
            if self._transport is not None:
                self._transport.abort()
            return
        future = self._pending.popleft()
        if future.done():  # its caller was cancelled
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(error := CommandRefused(str(reply)))
            future.exception()  # of several sent together, only the first refusal finds somebody who waits
            if error.code == DEMOTED and self._transport is not None:
                self._transport.abort()
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
