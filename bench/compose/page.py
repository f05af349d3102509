"""One page of the compose run: a socket through nginx that logs in, says something and waits for an answer."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from bench.compose.stack import NAME, Stack
from mini_apps.testing import sign_init_data

PATIENCE = 10.0


class Refused(Exception):
    """The other side said no, or closed the connection."""


class Page:
    """What the other end of one socket says.

    Attributes:
        node: where the socket ended.
        session: the session token of its login.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.node = ""
        self.session = ""

    async def log_in(self, init_data: str) -> Self:
        """Log in with init data.

        Raises:
            Refused: the login is refused.
        """
        self.node = (await self.receive("connect"))["node"]
        await self.send(type="login", app="rooms", data=init_data)
        self.session = (await self.receive("welcome"))["session"]
        return self

    async def send(self, **message: Any) -> None:
        """Send a message."""
        await self._socket.send(json.dumps(message))

    async def ask(self, **message: Any) -> Any:
        """Send a message and return what its handler returns.

        Raises:
            Refused: an error came.
        """
        number = next(self._ids)
        await self.send(**message, id=number)
        return (await self.receive("reply", id=number))["data"]

    async def receive(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Wait for a message of this type and with these fields; others are passed over.

        Raises:
            Refused: an error or a goodbye came first.
        """
        async with asyncio.timeout(PATIENCE):
            while True:
                message: dict[str, Any] = json.loads(await self._socket.recv())
                if message["type"] == kind and all(message.get(name) == value for name, value in fields.items()):
                    return message
                if message["type"] in ("error", "disconnect", "reconnect"):
                    raise Refused(str(message))


def init_data(stack: Stack, user: int) -> str:
    """Sign init data as Telegram would for a user."""
    return sign_init_data(stack.token, user={"id": user, "first_name": f"User <b>{user}</b>"})


@contextlib.asynccontextmanager
async def opened(stack: Stack, *, tls: bool = False, **options: Any) -> AsyncIterator[Page]:
    """Open a socket through nginx.

    Args:
        stack: where.
        tls: over the port with the certificate.
        options: of the library's `connect`.
    """
    if tls:
        options |= {"ssl": stack.tls(), "host": "127.0.0.1", "port": stack.tls_port, "server_hostname": NAME}
    url = f"wss://{NAME}:8443/ws" if tls else f"ws://127.0.0.1:{stack.port}/ws"
    async with connect(url, open_timeout=PATIENCE, **options) as socket:
        yield Page(socket)
