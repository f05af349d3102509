"""In development: tells the sandbox what pages and this node say to each other, which never crosses the bus.

Nobody pays for it elsewhere: a node takes these classes for its sockets and inboxes only where a sandbox is named.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from shared import trace
from shared.broker import UNREACHABLE
from shared.codec import decode_json, encode_json
from shared.messages import AppMessage, Subscribe, Unsubscribe
from ws_server.connection import Connection
from ws_server.inbox import Inbox, Item

if TYPE_CHECKING:
    from mini_apps.app import App
    from mini_apps.client import Client
    from ws_server.node import Node

QUIET = frozenset({"connect", "ping", "pong"})
SECRET = frozenset({"session", "grant"})
MAX_WAITING = 1000  # then what comes is not told


class Tap:
    """Publishes, one after the other, in a task of the node.

    Args:
        node: whose sockets these are.
    """

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self._task: asyncio.Task[None] | None = None

    def tell(self, connection: Connection, title: str, detail: Any, *, to_page: bool) -> None:
        """Tell of a message between a page and this node.

        Args:
            connection: of the page.
            title: its type.
            detail: JSON values.
            to_page: whether the node sent it.
        """
        if self._waiting.full():
            return
        page = f"page of {connection.user_id}" if connection.user_id else "page"
        ends = (self._node.id, page) if to_page else (page, self._node.id)
        told = {"app": connection.app or "", "trace": trace.current(), "title": title, "detail": _public(detail)}
        self._waiting.put_nowait(encode_json({**told, "from": ends[0], "to": ends[1]}))
        if self._task is None or self._task.done():
            self._task = self._node.spawn(self._publish())

    async def _publish(self) -> None:
        broker = self._node.broker
        while not self._waiting.empty():
            try:
                await broker.client.publish(broker.keys.tap, self._waiting.get_nowait())
            except (RedisError, *UNREACHABLE):  # what is for looking at only may be lost
                continue


class TappedInbox(Inbox):
    """Tells of each message before it is handled."""

    __slots__ = ()

    async def _guarded(self, item: Item) -> None:
        match item:
            case AppMessage():
                self._tell_of(item.type, item.data)
            case Subscribe() | Unsubscribe():
                self._tell_of(type(item).__name__.lower(), {"channel": item.channel})
        await super()._guarded(item)

    def _tell_of(self, title: str, detail: Any) -> None:
        node = self._connection.node
        if node.tap is not None:
            node.tap.tell(self._connection, title, detail, to_page=False)


class TappedConnection(Connection):
    """Tells of what the node says to this page alone; what many hear comes over the bus."""

    __slots__ = ()

    def send(self, body: bytes) -> None:
        """Send finished JSON to this client, and tell of it."""
        super().send(body)
        message = decode_json(body)
        if self.node.tap is not None and message.get("type") not in QUIET:
            self.node.tap.tell(self, str(message.get("type", "message")), message, to_page=True)


def connection_of(node: "Node") -> Connection:
    """Make what takes a new socket of a node."""
    return Connection(node) if node.tap is None else TappedConnection(node)


def inbox_of(node: "Node", connection: Connection, app: "App", client: "Client") -> Inbox:
    """Make the queue of a client that logs in to a node."""
    return (Inbox if node.tap is None else TappedInbox)(connection, app, client)


def _public(detail: Any) -> Any:
    """Return a message without what lets somebody in: session tokens and grants."""
    if isinstance(detail, dict):
        return {name: "…" if name in SECRET else _public(value) for name, value in detail.items()}
    return detail
