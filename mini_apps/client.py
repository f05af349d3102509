"""One connected client, as an app sees it."""

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from shared.close_codes import CloseCode, check_code
from shared.codec import encode_json
from shared.messages import check_app_message, check_channel

if TYPE_CHECKING:
    from mini_apps.app import App

__all__ = ["Client", "ClientLink", "Peer"]

ALLOWED_TYPES = frozenset({"error"})  # the original's apps answer mistakes this way


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a client connects from.

    Attributes:
        address: of the other end, the right-most untrusted hop where proxies are trusted.
        forwarded: whether the request carried any forwarding header.
        origin: the page's `Origin` header, if any.
        user_agent: the `User-Agent` header, if any.
    """

    address: str
    forwarded: bool = False
    origin: str | None = None
    user_agent: str | None = None

    @property
    def local(self) -> bool:
        """Whether it is certainly on this machine: a loopback address and no proxy in between."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback and not self.forwarded


class ClientLink(Protocol):
    """What a `Client` needs of its socket."""

    def send(self, body: bytes) -> None:
        """Send finished JSON; never blocks, a client that does not keep up is closed with 4002."""

    async def join(self, channel: str) -> None:
        """Enter a channel; returns once nothing published there is missed."""

    async def leave(self, channel: str) -> None:
        """Leave a channel."""

    def close(self, code: int, reason: str) -> None:
        """Say goodbye and close; nothing happens when it is closed already."""


class Client:
    """A client of an app: one open page, not one user, who may have several.

    Args:
        id: random, unique in the deployment.
        app: the app it logs in to.
        link: its socket.
        peer: where it connects from.

    Attributes:
        user: who it is; None until the login is through.
    """

    __slots__ = ("__weakref__", "_link", "app", "id", "peer", "user")

    def __init__(self, id: str, app: "App", link: ClientLink, peer: Peer | None = None) -> None:
        self.id = id
        self.app = app
        self.peer = peer
        self.user: Any = None
        self._link = link

    def __repr__(self) -> str:
        """Name the client and its user."""
        return f"<Client {self.id} of {getattr(self.user, 'telegram_id', None)} at {self.app.name}>"

    async def send(self, /, **message: Any) -> None:
        """Send a message to this client only.

        Args:
            **message: `type` and whatever the app's page expects with it.

        Raises:
            ValueError: `type` is missing or reserved (`error` is allowed), or a reserved field is used.
            TypeError: a value has no JSON form.
        """
        check_app_message(message, allow=ALLOWED_TYPES)
        self._link.send(encode_json(message))

    async def join(self, channel: str, /) -> None:
        """Enter a channel of the app; once this returns, nothing published there is missed.

        Raises:
            ValueError: the name cannot be one, or the client is in too many channels.
            BrokerUnavailable: Redis did not confirm.
        """
        await self._link.join(check_channel(channel))

    async def leave(self, channel: str, /) -> None:
        """Leave a channel of the app; nothing happens to a client that is not in it."""
        await self._link.leave(channel)

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection; nothing happens when it is closed already.

        Args:
            code: from 4500 on the client stays away, otherwise it comes back by itself.
            reason: short, for the client.

        Raises:
            ValueError: the code cannot be sent.
        """
        self._link.close(check_code(code), reason)
