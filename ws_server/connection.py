"""One socket: bytes in, frames out, around the sans-I/O protocol of the websockets library.

This shell owns the transport and nothing else: what a message means is `session.decide`, what a client hears is the
hub's, who it is the login's. Every failure ends in `close` with a code of `shared.close_codes`.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from websockets.exceptions import InvalidMessage, InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from shared import messages
from shared.close_codes import CloseCode
from shared.codec import encode_json
from ws_server import handshake
from ws_server.limits import TokenBucket
from ws_server.pacing import Pace, tell_when_behind
from ws_server.protocol import DEFLATE, Protocol, short_reason
from ws_server.reading import WrongFrame, read
from ws_server.session import Answer, Enqueue, Nothing, Stage, StartLogin, decide

if TYPE_CHECKING:
    from mini_apps.client import Peer
    from ws_server.inbox import Inbox
    from ws_server.node import Node

CLOSE_SECONDS = 5.0  # how long the client may take to answer our close frame
MAX_FRAGMENTS = 1024  # of one message
IN_NONE: frozenset[str] = frozenset()  # most sockets are in no channel


class Connection(asyncio.Protocol):
    """One client's socket; also the `Member` of the hub and the `ClientLink` of its `Client`.

    Args:
        node: the node it belongs to.
    """

    __slots__ = (
        "_bucket", "_fragments", "_out", "_text", "_ws", "app", "channels", "client_id", "heard", "held", "inbox",
        "node", "pace", "packed", "peer", "pinged", "slot", "spoke", "stage", "transport", "user_group",
    )  # fmt: skip

    def __init__(self, node: "Node") -> None:
        self.node = node
        self._ws = Protocol(
            max_size=node.max_message_bytes or None,
            extensions=[DEFLATE] if node.settings.compression else None,
            subprotocols=handshake.SUBPROTOCOLS,
            select_subprotocol=handshake.select_subprotocol,
            logger=handshake.QUIET,
        )
        self.stage = Stage.HANDSHAKE
        self.transport: asyncio.Transport | None = None
        self.peer: Peer | None = None
        self.packed = False
        self.client_id = secrets.token_hex(8)
        self.app: str | None = None
        self.user_group: str | None = None
        self.channels: AbstractSet[str] = IN_NONE
        self.inbox: Inbox | None = None
        self.heard = self.spoke = 0.0
        self.pinged = False
        self.slot = 0
        self.pace: Pace | None = None
        self._bucket: TokenBucket | None = None
        self._fragments: list[bytes] = []
        self._out: list[bytes] = []
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
        ws = self._ws
        ws.receive_data(data)
        for event in ws.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            elif isinstance(event, Request):
                self._request(event)
        if isinstance(ws.handshake_exc, InvalidMessage) and self.transport is not None:
            self.transport.write(handshake.NO_REQUEST)
        if ws.close_sent is not None and self.stage is not Stage.CLOSED:  # the protocol failed it
            self._count_close(ws.close_sent.code)
            self._closing()
        self._write_protocol()

    def eof_received(self) -> None:
        """Take the end of the stream (asyncio's callback); the transport closes by itself, once all is written."""
        self._ws.receive_eof()
        if self.stage is not Stage.CLOSED:
            self._closing()  # a client that does not read could put that off for ever

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The socket is gone (asyncio's callback)."""
        self.stage = Stage.CLOSED
        if self.pace is not None:
            self.pace.caught_up()
        self.node.lost(self)

    def pause_writing(self) -> None:
        """Take note that the client is behind (asyncio's callback)."""
        self.pace = Pace(self.transport, self.node.settings.send_buffer_bytes)
        self._cut_if_slow()

    def resume_writing(self) -> None:
        """Go on with what waited until the client had read (asyncio's callback)."""
        pace, self.pace = self.pace, None
        if pace is not None:
            pace.caught_up()
        if self.stage is not Stage.CLOSED:
            self.node.hub.caught_up(self)

    def _cut_if_slow(self) -> None:
        """Cut a slow client off: more than `send-buffer-bytes` wait for it."""
        if self.stage is not Stage.CLOSED and self.pace is not None and self.pace.too_much():
            self._count_close(CloseCode.SLOW_CONSUMER)
            self.stage = Stage.CLOSED
            self.overdue()

    @property
    def behind(self) -> bool:
        """Whether much waits for the client to read."""
        return self.pace is not None

    # What comes in.

    def _request(self, request: Request) -> None:
        answer = handshake.respond(self.node, self._ws, handshake.address(self.transport), request)
        self.peer = answer.peer
        self._ws.send_response(answer.response)
        request.headers.clear()  # the library keeps the request as long as the socket lives, nearly 2 KB of headers
        if self._ws.state is not State.OPEN:
            return
        self.stage = Stage.OPEN
        self.packed = self._ws.subprotocol == messages.SUBPROTOCOL_MSGPACK
        self._later(b"".join(self._ws.data_to_send()))  # leaves with what is said first
        if answer.refused is not None:
            self.close(answer.refused, answer.refused.reason)
            return
        settings = self.node.settings
        self.send_message(messages.connect(self.node.id, settings.ping_interval, settings.ping_timeout))
        if early := self._ws.early():
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

    def _message(self, data: bytes) -> None:
        counts = self.node.counts
        counts.messages_in += 1
        counts.bytes_in += len(data)
        if not self._within_rate():
            self.close(CloseCode.TOO_MANY_MESSAGES, CloseCode.TOO_MANY_MESSAGES.reason)
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
            case Nothing():
                pass

    def _within_rate(self) -> bool:
        now = self.heard
        if self._bucket is None:
            self._bucket = TokenBucket(self.node.settings.messages_per_second, now)
        return self._bucket.take(now)

    def limit_to(self, max_message_bytes: int, messages_per_second: float) -> None:
        """Hold this client to the limits of its app from now on."""
        self._ws.max_message_size = max_message_bytes or None
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

    # What goes out.

    def write(self, data: bytes) -> None:
        """Write whole frames, behind what was sent in this loop turn."""
        if self.stage is Stage.CLOSED or self.transport is None:
            return
        if self._out:
            self._out.append(data)
            return
        self.transport.write(data)
        if self.pace is not None:
            self._cut_if_slow()

    def send(self, body: bytes) -> None:
        """Send finished JSON to this client; what is sent in one loop turn leaves in one write."""
        if self.stage is Stage.CLOSED:
            return
        frame = self._ws.frame(body)
        counts = self.node.counts
        counts.messages_out += 1
        counts.bytes_out += len(frame)
        self._later(frame)

    def _later(self, data: bytes) -> None:
        if not self._out:
            self.node.flush_later(self)
        self._out.append(data)

    def flush(self) -> None:
        """Write what was sent in this loop turn."""
        if self._out and self.transport is not None and not self.transport.is_closing():
            out, self._out = self._out, []
            self.transport.write(b"".join(out))
            if self.pace is not None:
                self._cut_if_slow()

    def send_message(self, message: dict[str, Any]) -> None:
        """Send a message of the protocol to this client.

        Raises:
            TypeError: a value in it has no JSON form (a handler's result, say).
        """
        self.send(encode_json(message))

    def send_all(self, bodies: Iterable[bytes]) -> None:
        """Send several finished messages in one write, now."""
        self.flush()
        self.write(b"".join([self._ws.frame(body) for body in bodies]))

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
            self._ws.send_ping(b"")
        self._write_protocol()

    def close(self, code: int, reason: str, retry_after: float | None = None) -> None:
        """Say goodbye and close, once: for good from code 4500 on, else to come back in `retry_after` seconds."""
        if self.stage is Stage.CLOSED:
            return  # its last words may still be on their way
        if self.stage is Stage.HANDSHAKE:
            self.stage = Stage.CLOSED
            self.overdue()
            return
        if code >= CloseCode.LOGIN_REFUSED:
            self.send_message(messages.disconnect(code, reason))
        elif code >= CloseCode.LOGIN_TIMEOUT:
            wait = self.node.spread_retry() if retry_after is None else retry_after
            self.send_message(messages.reconnect(code, reason, wait))
        self._count_close(code)
        self._closing()
        with contextlib.suppress(InvalidState):  # the client closes at the same moment
            self._ws.send_close(code, short_reason(reason))
        self._write_protocol()

    def _closing(self) -> None:
        """From now on nothing is taken or sent, and the client has a while to close its side."""
        self.stage = Stage.CLOSED
        self._fragments = []
        if self.held:
            self._read_on()  # or we would not hear it close its side
        self.node.look_again(self, CLOSE_SECONDS)

    def overdue(self) -> None:
        """End the socket at once: the client is too late, or too slow."""
        if self.transport is not None:
            self.transport.abort()

    def _count_close(self, code: int) -> None:
        self.node.counts.closes[str(int(code))] += 1

    def _write_protocol(self) -> None:
        """Write what the protocol itself has to say: handshake, pongs, close frames."""
        transport, written = self.transport, self._ws.data_to_send()
        if transport is None or not written:
            return
        self.flush()  # a close frame comes after the message that says why
        for data in written:
            if data:
                transport.write(data)
            else:
                transport.close()  # flushes first; a half-closed socket would keep the client waiting
