"""The short way of a webhook update: from the socket into Redis, without a request object, a task or a route.

Telegram keeps its connections open and sends nothing but updates over them. A connection begins here; as long as each
request on it is a plain, right update it is answered here. At the first byte of anything else (another address, a
wrong secret, a strange header, a failure) the connection, with that request, goes to aiohttp for good, so that there is
one place that refuses, explains and times out. Source: https://www.rfc-editor.org/rfc/rfc9112
"""

import asyncio
import hmac
import re
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, cast

import structlog

from gateway import metrics
from gateway.edge import Edge
from gateway.webhook import SECRET_HEADER, Hook, Webhook
from shared.broker import BrokerUnavailable
from shared.updates import BadUpdate

START: Final = b"POST /webhook/"
LONGEST_HEAD: Final = 8_190
IDLE_SECONDS: Final = 75.0
PATIENCE_SECONDS: Final = 1.0  # for a whole request; then aiohttp waits for the rest, and says when it is too slow
LARGEST_WAITING: Final = 65_536  # bytes of further requests while one is being stored
OK: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: mini-apps\r\nX-Content-Type-Options: nosniff\r\n"
    b"Content-Type: application/octet-stream\r\n\r\n"
)
SECRET: Final = SECRET_HEADER.lower().encode()
# What only aiohttp deals with: other framings, interim answers, what stands there twice.
STRANGE: Final = frozenset(
    {b"content-length", SECRET, b"transfer-encoding", b"expect", b"upgrade", b"content-encoding", b"trailer"}
)
_ODD: Final = re.compile(rb"[\r\n\0]")
_NAME: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-z]+")  # a token, in lower case

access = structlog.get_logger("access")


class QuickHooks(asyncio.Protocol):
    """One connection, until it is aiohttp's.

    Args:
        webhook: the apps' webhooks, and where updates go.
        edge: counts requests that run, and watches for heads that do not come.
        others: makes aiohttp's protocol for a connection.
        open_: the connections that are here now.
    """

    def __init__(
        self, webhook: Webhook, edge: Edge, others: Callable[[], asyncio.Protocol], open_: "set[QuickHooks]"
    ) -> None:
        self._webhook = webhook
        self._edge = edge
        self._others = others
        self._open = open_
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting = bytearray()
        self._storing = False
        self._timer: asyncio.TimerHandle | None = None
        self._heard = self._began = 0.0  # the last byte, and the first of the request at the front

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio's callback)."""
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(PATIENCE_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End (asyncio's callback)."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Take bytes (asyncio's callback)."""
        self._heard = self._loop.time()
        if not self._waiting:
            self._began = self._heard
        self._waiting += data
        if not self._storing:
            self._next()
        elif len(self._waiting) > LARGEST_WAITING and self._transport is not None:
            self._transport.pause_reading()

    def close(self) -> None:
        """Close the connection; what is being stored then gets no answer and comes again."""
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> None:
        """Deal with the request at the front, if all of it is there."""
        waiting = self._waiting
        if not waiting:
            return
        if not waiting.startswith(START[: len(waiting)]):
            self._hand_over()
            return
        end = waiting.find(b"\r\n\r\n")
        if end < 0:
            if len(waiting) > LONGEST_HEAD:
                self._hand_over()
            return
        found = self._read_head(bytes(waiting[:end])) if end <= LONGEST_HEAD else None
        if found is None:
            self._hand_over()
            return
        hook, length = found
        whole = end + 4 + length
        if len(waiting) >= whole:
            self._store(hook, bytes(waiting[end + 4 : whole]), whole)

    def _read_head(self, head: bytes) -> tuple[Hook, int] | None:
        """Return the app's hook and the length of the body; None for what is not plain and right."""
        line, *fields = head.split(b"\r\n")
        if _ODD.search(head.replace(b"\r\n", b"")):  # a bare line end reads as one header here, and as two elsewhere
            return None
        path, space, version = line[len(START) :].partition(b" ")
        hook = self._webhook.hook(path)
        if hook is None or not space or version != b"HTTP/1.1":
            return None
        length = given = None
        forwarded = []
        for field in fields:
            name, colon, value = field.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            if name == b"content-length" and length is None and value.isdigit() and len(value) < 10:
                length = int(value)
            elif name == SECRET and given is None:
                given = value
            elif name == b"x-forwarded-for":
                forwarded.append(value.decode("latin-1"))
            elif name in STRANGE or not colon or _NAME.fullmatch(name) is None or _ends(name, value):
                return None
        right = given is not None and hmac.compare_digest(given, hook.secret)
        if length is None or not right or not self._webhook.fits(length) or not self._is_sender(forwarded):
            return None
        return hook, length

    def _is_sender(self, forwarded: list[str]) -> bool:
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return self._webhook.is_sender(peer[0] if isinstance(peer, tuple) else None, forwarded)

    def _store(self, hook: Hook, body: bytes, whole: int) -> None:
        stored = self._begin(hook, body)
        if stored is None:
            self._hand_over()
            return
        self._storing = True
        self._edge.enter()
        began = perf_counter()
        stored.add_done_callback(lambda done: self._stored(done, hook, whole, began))

    def _begin(self, hook: Hook, body: bytes) -> "asyncio.Future[Any] | None":
        updates = self._webhook.updates
        if updates is None:
            return None
        try:
            return updates.begin(hook.app, body)
        except (BadUpdate, BrokerUnavailable):
            return None

    def _stored(self, done: "asyncio.Future[Any]", hook: Hook, whole: int, began: float) -> None:
        self._storing = False
        self._edge.leave()
        if done.cancelled() or done.exception() is not None or int(done.result()) < 0:
            self._hand_over()  # aiohttp tries again, and explains; what was stored after all is a duplicate then
            return
        verdict = self._webhook.note(hook.app, taken=bool(done.result()))
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(OK)
        seconds = perf_counter() - began
        metrics.webhook_answers.inc()
        metrics.webhook_seconds.observe(seconds)
        access.debug("request", method="POST", path=f"/webhook/{hook.app}", status=200, verdict=verdict)
        del self._waiting[:whole]
        self._began = self._loop.time()
        transport.resume_reading()
        self._next()

    def _hand_over(self) -> None:
        """Give the connection and what is left of it to aiohttp."""
        transport = self._transport
        self._leave()
        if transport is None or transport.is_closing():
            return
        self._edge.heads.expect(transport)
        protocol = self._others()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        protocol.data_received(bytes(self._waiting))

    def _look(self) -> None:
        """Close what is idle; let aiohttp refuse a request that does not come to its end, be it silent or slow."""
        now = self._loop.time()
        if not self._storing and self._waiting and now - self._began >= PATIENCE_SECONDS:
            self._hand_over()
        elif not self._storing and not self._waiting and now - self._heard >= IDLE_SECONDS:
            self.close()
        else:
            self._timer = self._loop.call_later(PATIENCE_SECONDS, self._look)

    def _leave(self) -> None:
        self._open.discard(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()


def _ends(name: bytes, value: bytes) -> bool:
    """Tell whether a header asks for the end of the connection, or for something else we do not do here."""
    return name == b"connection" and value.lower() != b"keep-alive"
