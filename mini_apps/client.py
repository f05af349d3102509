"""One connected client, as an app sees it."""

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mini_apps import web_app
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
        marked_admin: whether at login a mark made the user an admin, which `App.set_admin` may have taken back since;
            None once this client has heard of a change.
        token_issued: when the session token it logged in with was made, unix seconds; None for a login by init data.
    """

    __slots__ = ("__weakref__", "_link", "app", "id", "marked_admin", "peer", "token_issued", "user")

    def __init__(self, id: str, app: "App", link: ClientLink, peer: Peer | None = None) -> None:
        self.id = id
        self.app = app
        self.peer = peer
        self.user: Any = None
        self.marked_admin: bool | None = False
        self.token_issued: float | None = None
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

    async def answer_query(self, result: Any, /) -> str | None:
        """Send a message in the user's name, where they opened the mini app; Telegram then closes it.

        Source: https://core.telegram.org/bots/api#answerwebappquery

        Args:
            result: a text, a dict of the Bot API or aiogram's `InlineQueryResult…`.

        Returns:
            The id of the message for later edits, where it has an inline keyboard.

        Raises:
            ValueError: the mini app was not opened by a menu button or an inline button.
            aiogram.exceptions.TelegramAPIError: Telegram refused, as when it was answered before.
        """
        return await web_app.answer_query(self, result)

    async def prepare_message(
        self, result: Any, /, *, users: bool = True, bots: bool = False, groups: bool = True, channels: bool = True
    ) -> str:
        """Prepare a message that the user can share from the page: `Telegram.WebApp.shareMessage(id)`.

        Source: https://core.telegram.org/bots/api#savepreparedinlinemessage

        Args:
            result: a text, a dict of the Bot API or aiogram's `InlineQueryResult…`.
            users: whether it may go to chats with people.
            bots: to chats with bots.
            groups: to groups.
            channels: to channels.

        Returns:
            The id, good for one sharing within a while.

        Raises:
            ValueError: it may go nowhere.
            aiogram.exceptions.TelegramAPIError: Telegram refused.
        """
        kinds = {"user": users, "bot": bots, "group": groups, "channel": channels}
        return await web_app.prepare_message(self, result, kinds)

    async def set_menu_button(self, text: str | None, /, url: str = "") -> None:
        """Change the button beside the text box of the user's chat with the bot.

        Source: https://core.telegram.org/bots/api#setchatmenubutton

        Args:
            text: of the button; None gives back the bot's own.
            url: what it opens; the app's own when empty.

        Raises:
            ValueError: there is nothing to open.
            aiogram.exceptions.TelegramAPIError: Telegram refused.
        """
        await web_app.set_menu_button(self, text, url)

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection; nothing happens when it is closed already.

        Args:
            code: from 4500 on the client stays away, otherwise it comes back by itself.
            reason: short, for the client.

        Raises:
            ValueError: the code cannot be sent.
        """
        self._link.close(check_code(code), reason)
