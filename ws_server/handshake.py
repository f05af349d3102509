"""The HTTP side of a socket: health answers, the upgrade, and who the peer is."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from websockets.http11 import Request, Response

from mini_apps.client import Peer
from shared import health
from shared.addresses import client_address
from shared.close_codes import CloseCode
from ws_server.upgrade import Upgrade

if TYPE_CHECKING:
    from ws_server.node import Node
    from ws_server.wire import Wire

SOCKET_PATHS = frozenset({"/", "/ws"})
FORWARDING = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


def _answer(status: HTTPStatus, text: str) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
    )
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


# Where there is no request, or not a whole one, that the library could answer.
NO_REQUEST = _answer(HTTPStatus.BAD_REQUEST, "This is no HTTP request; the WebSocket is at /ws.\n")
TOO_LONG = _answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long.\n")
TOO_LATE = _answer(HTTPStatus.REQUEST_TIMEOUT, "The request took too long.\n")
STOPPING = _answer(HTTPStatus.SERVICE_UNAVAILABLE, "This node is stopping.\n")


class Fields(Protocol):
    """The header fields of a request."""

    def get_all(self, name: str) -> list[str]:
        """Return the values of a field."""
        ...


@dataclass(frozen=True, slots=True)
class Handshake:
    """Who sent the request, and whether to close right after it was granted."""

    peer: Peer | None = None
    refused: CloseCode | None = None


def address(transport: asyncio.BaseTransport | None) -> str:
    """Return the address at the other end of a socket, empty where it has none."""
    name = transport.get_extra_info("peername") if transport is not None else None
    return str(name[0]) if isinstance(name, tuple) else ""


def respond(node: "Node", wire: "Wire", peer_address: str, request: Request | Upgrade) -> Handshake:
    """Answer the first request on a socket.

    Args:
        node: the node that was asked.
        wire: of this socket; takes the answer.
        peer_address: the other end of the socket.
        request: what was asked.
    """
    fields: Fields
    if isinstance(request, Upgrade):
        fields = request
        wire.grant(request)
    else:
        fields = request.headers
        path = request.path.partition("?")[0]
        if path not in SOCKET_PATHS:
            wire.answer(_page(node, wire, path))
            return Handshake()
        wire.answer(wire.accept(request))
    peer = _peer(node, peer_address, fields)
    return Handshake(peer, _refusal(node, peer, fields))


def _page(node: "Node", wire: "Wire", path: str) -> Response:
    found = health.answer(node.process, path)
    if found is None:
        return wire.reject(HTTPStatus.NOT_FOUND, "The WebSocket is at /ws.\n")
    response = wire.reject(HTTPStatus(found.status), found.body.decode())
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = found.content_type
    return response


def _refusal(node: "Node", peer: Peer, fields: Fields) -> CloseCode | None:
    """Say why this socket is closed right after it opened: a client can read a close code, but not an HTTP status."""
    full = node.admission.full(peer.address, len(node.connections))  # first, because it counts the address in
    allowed = node.settings.allowed_origins
    origins = fields.get_all("Origin")
    if allowed and origins and (len(origins) > 1 or origins[0] not in allowed):
        return CloseCode.ORIGIN_REFUSED
    if full:
        return CloseCode.NODE_FULL
    if node.draining:
        return CloseCode.DRAINING
    return CloseCode.NODE_FULL if node.admission.too_fast(peer.address, node.now()) else None


def _peer(node: "Node", peer_address: str, fields: Fields) -> Peer:
    forwarded = any(fields.get_all(name) for name in FORWARDING)
    return Peer(
        address=client_address(peer_address, fields.get_all("X-Forwarded-For"), node.trusted_proxies),
        forwarded=forwarded,
        origin=_single(fields, "Origin"),
        user_agent=_single(fields, "User-Agent"),
    )


def _single(fields: Fields, name: str) -> str | None:
    values = fields.get_all(name)
    return values[0][:512] if values else None
