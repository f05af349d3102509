"""The HTTP side of a socket: health answers, the upgrade, and who the peer is."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.datastructures import Headers
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from mini_apps.client import Peer
from shared import health
from shared.addresses import client_address
from shared.close_codes import CloseCode
from shared.messages import SUBPROTOCOL_MSGPACK

if TYPE_CHECKING:
    from ws_server.node import Node

SUBPROTOCOLS = [Subprotocol(SUBPROTOCOL_MSGPACK)]
SOCKET_PATHS = frozenset({"/", "/ws"})
FORWARDING = ("X-Forwarded-For", "Forwarded", "X-Real-IP")

NOT_HTTP = b"This is no HTTP request; the WebSocket is at /ws.\n"
NO_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
NO_REQUEST += b"Content-Length: %d\r\n\r\n%b" % (len(NOT_HTTP), NOT_HTTP)

QUIET = logging.getLogger("websockets.server")
QUIET.setLevel(logging.WARNING)  # it tells of each connection at info


@dataclass(frozen=True, slots=True)
class Handshake:
    """What to answer to the request, who sent it, and whether to close right after."""

    response: Response
    peer: Peer | None = None
    refused: CloseCode | None = None


def address(transport: asyncio.BaseTransport | None) -> str:
    """Return the address at the other end of a socket, empty where it has none."""
    name = transport.get_extra_info("peername") if transport is not None else None
    return str(name[0]) if isinstance(name, tuple) else ""


def respond(node: "Node", ws: ServerProtocol, peer_address: str, request: Request) -> Handshake:
    """Answer the first request on a socket.

    Args:
        node: the node that was asked.
        ws: the protocol of this socket.
        peer_address: the other end of the socket.
        request: what was asked.
    """
    path = request.path.partition("?")[0]
    if (found := health.answer(node.process, path)) is not None:
        return Handshake(_plain(ws, found.status, found.content_type, found.body))
    if path not in SOCKET_PATHS:
        return Handshake(ws.reject(HTTPStatus.NOT_FOUND, "The WebSocket is at /ws.\n"))
    peer = _peer(node, peer_address, request.headers)
    return Handshake(ws.accept(request), peer, _refusal(node, peer, request.headers))


def select_subprotocol(_ws: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose msgpack where the client offers it, JSON where it offers nothing.

    Raises:
        NegotiationError: the client insists on something else; it gets HTTP 400.
    """
    if not offered:
        return None
    if SUBPROTOCOLS[0] in offered:
        return SUBPROTOCOLS[0]
    raise NegotiationError(f"the subprotocol is {SUBPROTOCOL_MSGPACK}, or none for JSON")


def _refusal(node: "Node", peer: Peer, headers: Headers) -> CloseCode | None:
    """Say why this socket is closed right after it opened: a client can read a close code, but not an HTTP status."""
    full = node.admission.full(peer.address, len(node.connections))  # first, because it counts the address in
    allowed = node.settings.allowed_origins
    origins = headers.get_all("Origin")
    if allowed and origins and (len(origins) > 1 or origins[0] not in allowed):
        return CloseCode.ORIGIN_REFUSED
    if full:
        return CloseCode.NODE_FULL
    if node.draining:
        return CloseCode.DRAINING
    return CloseCode.NODE_FULL if node.admission.too_fast(peer.address, node.now()) else None


def _peer(node: "Node", peer_address: str, headers: Headers) -> Peer:
    forwarded = any(name in headers for name in FORWARDING)
    return Peer(
        address=client_address(peer_address, headers.get_all("X-Forwarded-For"), node.trusted_proxies),
        forwarded=forwarded,
        origin=_single(headers, "Origin"),
        user_agent=_single(headers, "User-Agent"),
    )


def _single(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    return values[0][:512] if values else None


def _plain(ws: ServerProtocol, status: int, content_type: str, body: bytes) -> Response:
    response = ws.reject(HTTPStatus(status), body.decode())
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = content_type
    return response
