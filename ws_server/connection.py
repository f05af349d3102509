"""One socket: bytes in, frames out, around the sans-I/O protocol of the websockets library.

This shell owns the transport and nothing else: what a message means is `session.decide`, what a client hears is the
hub's, who it is the login's. Every failure ends in `close` with a code of `shared.close_codes`.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from shared import messages
from shared.close_codes import CloseCode
from ws_server import handshake
from ws_server.limits import TokenBucket
from ws_server.outgoing import Outgoing
from ws_server.pacing import tell_when_behind
from ws_server.reading import WrongFrame, read
from ws_server.session import Answer, Confirm, Enqueue, Nothing, Stage, StartLogin, decide
from ws_server.upgrade import Upgrade
from ws_server.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from mini_apps.client import Peer
    from ws_server.inbox import Inbox
    from ws_server.node import Node

CLOSE_SECONDS = 5.0  # how long the client may take to answer our close frame
MAX_FRAGMENTS = 1024  # of one message
IN_NONE: frozenset[str] = frozenset()  # most sockets are in no channel


class Connection(Outgoing):
    """One client's socket; also the `ClientLink` of its `Client`.

    Args:
        node: the node it belongs to.
    """

    __slots__ = (
        "_bucket", "_fragments", "_text", "app", "channels", "heard", "held", "inbox", "peer", "pinged", "slot",
        "spoke", "user_group",
    )  # fmt: skip

    def __init__(self, node: "Node") -> None:
        super().__init__(node, Wire(node.max_message_bytes or None, compression=node.settings.compression))
        self.peer: Peer | None = None
        self.app: str | None = None
        self.user_group: str | None = None
        self.channels: AbstractSet[str] = IN_NONE
        self.inbox: Inbox | None = None
        self.heard = self.spoke = 0.0
        self.pinged = False
        self.slot = 0
        self._bucket: TokenBucket | None = None
        self._fragments: list[bytes] = []
        self.held = False
        self._text = True

    @property
    def user_id(self) -> int:
        """Telegram id of the user who is logged in, 0 before."""
        user = self.inbox.client.user if self.inbox is not None else None
        return user.telegram_id if user is not None else 0

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket (asyncio's callback)."""
        self.transport = transport  # type: ignore[assignment]  # TCP servers give a Transport
        self.heard = self.node.now()
        tell_when_behind(transport, self.node.settings.send_buffer_bytes)
        self.node.accepted(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes (asyncio's callback)."""
        self.heard = self.node.now()
        self.pinged = False
        wire = self._wire
        for event in wire.receive(data):
            if isinstance(event, Frame):
                self._frame(event)
            else:
                self._request(event)
        if wire.no_request and self.transport is not None:
            self.transport.write(handshake.NO_REQUEST)
        elif wire.too_long:
            self._turn_away(handshake.TOO_LONG)
        if (close := wire.close_sent) is not None and self.stage is not Stage.CLOSED:  # the protocol failed it
            self._count_close(close.code)
            self._closing()
        self._write_protocol()

    def eof_received(self) -> None:
        """Take the end of the stream (asyncio's callback); the transport closes by itself, once all is written."""
        self._wire.end()
        if self.stage is not Stage.CLOSED:
            self._closing()  # a client that does not read could put that off for ever

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The socket is gone (asyncio's callback)."""
        self.stage = Stage.CLOSED
        if self.pace is not None:
            self.pace.caught_up()
        self.node.lost(self)

    # What comes in.

    def _request(self, request: Request | Upgrade) -> None:
        answer = handshake.respond(self.node, self._wire, handshake.address(self.transport), request)
        self.peer = answer.peer
        if isinstance(request, Request):
            request.headers.clear()  # the library keeps the request as long as the socket lives, 2 KB of headers
        if not self._wire.is_open:
            return
        self.stage = Stage.OPEN
        self.packed = self._wire.packed
        self._later(b"".join(self._wire.written()))  # leaves with what is said first
        if answer.refused is not None:
            self.close(answer.refused, answer.refused.reason)
            return
        self.send(self.node.greeting)
        if early := self._wire.early():
            self.data_received(early)

    def _frame(self, frame: Frame) -> None:
        if self.stage is Stage.CLOSED:
            return
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                self._text = frame.opcode is Opcode.TEXT
                if frame.fin:
                    self._message(bytes(frame.data))
                else:
                    self._fragments = [bytes(frame.data)]
            case Opcode.CONT:
                self._fragments.append(bytes(frame.data))
                if len(self._fragments) > MAX_FRAGMENTS:
                    self.close(CloseCode.PROTOCOL_ERROR, f"a message of more than {MAX_FRAGMENTS} fragments")
                elif frame.fin:
                    whole, self._fragments = b"".join(self._fragments), []
                    self._message(whole)
            case Opcode.CLOSE:
                self._closing()
            case _:  # a ping, which is answered by now, or a pong
                self._within_rate()

    def _message(self, data: bytes) -> None:
        counts = self.node.counts
        counts.messages_in += 1
        counts.bytes_in += len(data)
        if not self._within_rate():
            return
        try:
            parsed = read(data, text=self._text, packed=self.packed)
        except WrongFrame as error:
            self.close(CloseCode.PROTOCOL_ERROR, str(error))
            return
        if isinstance(parsed, dict):
            self.send_message(parsed)
            return
        match decide(self.stage, self.app, parsed):
            case Answer(message=reply):
                self.send_message(reply)
            case StartLogin(login=login):
                self.spoke = self.heard
                self.stage = Stage.LOGGING_IN
                self.app = login.app
                self.node.start_login(self, login)
            case Enqueue(message=queued):
                self.spoke = self.heard
                self.node.enqueue(self, queued)
            case Confirm(ack=ack):
                self.node.confirmations.confirmed(self, ack)
            case Nothing():
                pass

    def _within_rate(self) -> bool:
        """Count a message, ping or pong; false, and the end, for a client that sends too many."""
        now = self.heard
        if self._bucket is None:
            self._bucket = TokenBucket(self.node.settings.messages_per_second, now)
        if self._bucket.take(now):
            return True
        self.close(CloseCode.TOO_MANY_MESSAGES, CloseCode.TOO_MANY_MESSAGES.reason)
        return False

    def limit_to(self, max_message_bytes: int, messages_per_second: float) -> None:
        """Hold this client to the limits of its app from now on."""
        self._wire.limit(max_message_bytes or None)
        self._bucket = TokenBucket(messages_per_second, self.heard)

    def stop_reading(self) -> None:
        """Leave further messages in the socket until the handler catches up."""
        if self.transport is not None and self.stage is not Stage.CLOSED:
            self.held = True
            self.transport.pause_reading()

    def inbox_moved(self, waiting: int) -> None:
        """Read on once the queue is half empty."""
        if self.held and waiting * 2 <= self.node.settings.client_queue:
            self._read_on()

    def _read_on(self) -> None:
        self.held = False
        self.heard = self.spoke = self.node.now()  # it was us who did not listen
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # What the app does.

    async def join(self, channel: str) -> None:
        """Enter a channel; once this returns, nothing published there is missed.

        Raises:
            ValueError: the name cannot be one, or the client is in too many.
            BrokerUnavailable: Redis did not confirm.
        """
        await self.node.channels.enter(self, messages.check_channel(channel))

    async def leave(self, channel: str, reason: str = "left") -> None:
        """Leave a channel; nothing happens to a client that is not in it."""
        if self.node.channels.exit(self, channel):
            self.send_message(messages.left(channel, reason))

    def ping(self) -> None:
        """Ask whether the client is still there."""
        self.pinged = True
        with contextlib.suppress(InvalidState):  # the client is closing
            self._wire.ping()
        self._write_protocol()

    def close(self, code: int, reason: str, retry_after: float | None = None) -> None:
        """Say goodbye and close, once: for good from code 4500 on, else to come back in `retry_after` seconds."""
        if self.stage is Stage.CLOSED:
            return  # its last words may still be on their way
        if self.stage is Stage.HANDSHAKE:
            self._turn_away(handshake.TOO_LATE if code == CloseCode.LOGIN_TIMEOUT else handshake.STOPPING)
            return
        if code >= CloseCode.LOGIN_REFUSED:
            self.send_message(messages.disconnect(code, reason))
        elif code >= CloseCode.LOGIN_TIMEOUT:
            wait = self.node.spread_retry() if retry_after is None else retry_after
            self.send_message(messages.reconnect(code, reason, wait))
        self._count_close(code)
        self._closing()
        with contextlib.suppress(InvalidState):  # the client closes at the same moment
            self._wire.close(code, reason)
        self._write_protocol()

    def _turn_away(self, answer: bytes) -> None:
        """Answer a request that never came to its end, and close."""
        self._closing()
        if self.transport is not None:
            self.transport.write(answer)
            self.transport.close()

    def _closing(self) -> None:
        """From now on nothing is taken or sent, and the client has a while to close its side."""
        self.stage = Stage.CLOSED
        self._fragments = []
        if self.held:
            self._read_on()  # or we would not hear it close its side
        self.node.look_again(self, CLOSE_SECONDS)
