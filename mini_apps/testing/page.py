"""An open page of the mini app: a real socket to a node, and what came over it."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson

from mini_apps.errors import AppError
from mini_apps.testing.messages import TROUBLE, listed

if TYPE_CHECKING:
    from types import TracebackType

    from mini_apps.testing.harness import MiniAppTest

PATIENCE: Final = 5.0
NORMAL: Final = 1000
LOST: Final = 1006  # what a browser says where no close frame came
OWN_CONVERSATION: Final = frozenset({"ping", "pong"})

Message = dict[str, Any]


class NotReceived(AssertionError):
    """A message did not come; the text says which, and what came."""


class Closed(AssertionError):
    """The page's connection is closed, and something was wanted of it."""


class Page:
    """One open page, logged in as a user.

    Args:
        test: the deployment it is a page of.
        user: shown in errors.
        init_data: what Telegram opened the page with.
        acks: whether messages that ask for it are confirmed, as a page does that shows them.

    Attributes:
        user: the user's name.
        init_data: as given.
        messages: what came and was not received yet, oldest first.
        welcome: the answer to the login; empty before.
        session: the newest session token.
        channels: for each channel it is in the position and the grant to come back with.
        node: name of the node it is connected to.
        close_code: how the connection ended; None while it lives.
        close_reason: the node's words about that.
    """

    def __init__(self, test: "MiniAppTest", user: str, init_data: str, *, acks: bool = True) -> None:
        self.user = user
        self.init_data = init_data
        self.messages: list[Message] = []
        self.welcome: Message = {}
        self.session = ""
        self.channels: dict[str, Message] = {}
        self.node = ""
        self.close_code: int | None = None
        self.close_reason = ""
        self._test = test
        self._acks = acks
        self._ids = itertools.count(1)
        self._news = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Name its user and say whether it is connected."""
        return f"<page of {self.user}, {'open' if self.is_open else f'closed with {self.close_code}'}>"

    async def __aenter__(self) -> Self:
        """Give the page, to be closed after the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        """Close it."""
        await self.close()

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._reader is not None and self.close_code is None

    # Connecting.

    async def connect(self, node: int | None = None) -> None:
        """Open the socket and hear the node's greeting; nobody is logged in yet.

        Args:
            node: number of the node in `MiniAppTest.nodes`; else one that runs.
        """
        self.close_code, self.close_reason = None, ""
        self._http = aiohttp.ClientSession()  # its own, so that it can be lost
        self._socket = await self._http.ws_connect(self._test.node_url(node), max_msg_size=0)
        self._reader = asyncio.create_task(self._read(self._socket), name=f"page of {self.user}")
        self.node = (await self.receive("connect"))["node"]

    async def login(self, **fields: Any) -> Message:
        """Log in, with init data unless the fields say otherwise, and return the welcome.

        Raises:
            NotReceived: there was none; the text tells what the node said instead.
        """
        credentials = {} if "session" in fields else {"data": self.init_data}
        await self.send(**{"type": "login", "app": self._test.app.name, **credentials, **fields})
        self.welcome = await self.receive("welcome")
        return self.welcome

    async def reconnect(self, node: int | None = None) -> Message:
        """Come back as the browser client does: with the session token, and to each channel with its position.

        Args:
            node: number of the node in `MiniAppTest.nodes`; else one that runs.

        Raises:
            NotReceived: the node did not let it in; the text tells what it said.
        """
        await self._end()
        await self.connect(node)
        await self.login(session=self.session, channels=self.channels)
        entered: dict[str, Message] = self.welcome["channels"]
        self.channels = {name: self.channels.get(name, {}) | _position(entry) for name, entry in entered.items()}
        return self.welcome

    # Talking.

    async def send(self, **message: Any) -> None:
        """Send a message.

        Raises:
            Closed: the connection is.
        """
        if self._socket is None or not self.is_open:
            raise Closed(f"{self.user} cannot send {message.get('type')!r}: {self._ended()}")
        await self._socket.send_str(orjson.dumps(message).decode())

    async def receive(self, type: str, /, *, timeout: float | None = None, **fields: Any) -> Message:  # noqa: ASYNC109 - a bound of the test's own, told of by an error of ours
        """Wait for a message and take it out of those that came.

        Args:
            type: of the message.
            timeout: seconds to wait for one that a timer brings; None waits until the deployment is at rest.
            **fields: values it must have; others do not matter.

        Raises:
            NotReceived: it did not come; the text lists what did.
        """

        def wanted(message: Message) -> bool:
            return message["type"] == type and all(
                name in message and message[name] == value for name, value in fields.items()
            )

        return await self._take(wanted, f"{type!r}{_with(fields)}", timeout)

    async def request(self, *, timeout: float | None = None, **message: Any) -> Any:  # noqa: ASYNC109 - as above
        """Send a message and return what the app's `handle_message` returned for it.

        Args:
            timeout: seconds; None waits until the deployment is at rest.
            **message: its fields; an `id` is added.

        Raises:
            AppError: the app answered with an error; it has the error's text and code.
            NotReceived: there was no answer.
        """
        number = message.setdefault("id", f"t{next(self._ids)}")
        await self.send(**message)

        def wanted(answer: Message) -> bool:
            return answer["type"] in ("reply", "error") and answer.get("id") == number

        answer = await self._take(wanted, f"the reply to {message.get('type')!r}", timeout)
        if answer["type"] == "error":
            raise AppError(answer["msg"], code=answer.get("code", "error"))
        return answer["data"]

    async def nothing_received(self, *types: str) -> None:
        """Wait until the deployment is at rest, and see that nothing came that was not received before.

        Args:
            *types: of messages that must not have come; none for all.

        Raises:
            AssertionError: something came; the text lists it.
        """
        await self._test.settled()
        came = [message for message in self.messages if not types or message["type"] in types]
        if came:
            raise AssertionError(f"{self.user} should have received nothing{_of(types)}, and got\n{listed(came, '')}")

    # The end.

    async def close(self) -> None:
        """Close the page, as its user does."""
        if self._socket is not None and self.is_open:
            self.close_code = NORMAL
            await self._socket.close()
        await self._end()

    async def lose(self) -> None:
        """Lose the connection without a word, as in a tunnel."""
        await self._end()

    async def closed(self, timeout: float = PATIENCE) -> int:  # noqa: ASYNC109 - as above
        """Wait until the node closes the connection, and return its close code.

        Args:
            timeout: seconds.

        Raises:
            AssertionError: it stays open; the text lists what came.
        """
        if self._reader is not None:
            await asyncio.wait((self._reader,), timeout=timeout)
        if self.close_code is None:
            raise AssertionError(
                f"the page of {self.user} is still open after {timeout:g} s; it got\n{listed(self.messages, 'nothing')}"
            )
        return self.close_code

    # What comes in.

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for frame in socket:
                message = orjson.loads(frame.data)
                if message["type"] in OWN_CONVERSATION:
                    continue
                self._remember(message)
                if self._acks and "ack" in message:
                    await self.send(type="ack", ack=message["ack"])
                self.messages.append(message)
                self._news.set()
        finally:
            if self.close_code is None:
                self.close_code = socket.close_code or LOST
            self._news.set()

    def _remember(self, message: Message) -> None:
        """Keep what is needed to come back."""
        match message:
            case {"type": "welcome", "session": session}:
                self.session = session
            case {"type": "disconnect" | "reconnect", "reason": reason}:
                self.close_reason = reason
            case {"type": "joined", "channel": channel}:
                self.channels[channel] = _position(message)
            case {"type": "left", "channel": channel}:
                self.channels.pop(channel, None)
            case {"channel": channel, "offset": offset} if channel in self.channels:
                self.channels[channel]["offset"] = offset

    async def _take(self, wanted: Callable[[Message], bool], what: str, timeout: float | None) -> Message:  # noqa: ASYNC109 - as above
        until = None if timeout is None else time.monotonic() + timeout
        rest = False
        while True:
            self._news.clear()
            for number, message in enumerate(self.messages):
                if wanted(message):
                    return self.messages.pop(number)
            if rest or not self.is_open:
                raise NotReceived(self._missing(what, timeout))
            rest = await self._news_or_rest(until)

    async def _news_or_rest(self, until: float | None) -> bool:
        if until is None:
            return await self._test.settling.news_or_rest(self._news)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._news.wait()
        return not self._news.is_set()

    def _missing(self, what: str, seconds: float | None) -> str:
        why = self._ended() if not self.is_open else "all is at rest" if seconds is None else f"within {seconds:g} s"
        lines = [f"{self.user} did not receive {what} ({why}); what came and was not received before:"]
        lines.append(listed(self.messages, "nothing"))
        if trouble := self._test.trouble():
            lines += [TROUBLE, listed(trouble, "")]
        return "\n".join(lines)

    def _ended(self) -> str:
        if self._reader is None:
            return "the page was never connected"
        reason = f" ({self.close_reason})" if self.close_reason else ""
        return f"the connection is closed, code {self.close_code}{reason}"

    async def _end(self) -> None:
        if self._http is not None:
            await self._http.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)


def _position(message: Message) -> Message:
    return {name: message[name] for name in ("offset", "grant") if name in message}


def _with(fields: Mapping[str, Any]) -> str:
    return f" with {', '.join(f'{name}={value!r}' for name, value in fields.items())}" if fields else ""


def _of(types: tuple[str, ...]) -> str:
    return f" of {', '.join(types)}" if types else ""
