"""How `App.notify` reaches a user: by the sockets where somebody is there, else by one message of the bot.

1. The message goes to the user's clients with an `ack`, of which every node that hears the user has its clients
   confirm, and tells the asking process: somebody has it, or nobody is here.
2. Without a confirmation in time the bot writes, unless the audience says that it may not. The call's id follows from
   that of the notice, so a repeat under the same id finds the call made.
3. What became of a notice with an id of its own is kept for a day, so that a repeat does nothing.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter

from mini_apps.audience import cannot_be_written_to
from mini_apps.bound import reaching
from mini_apps.telegram_bot import bot_of
from shared.broker import BrokerUnavailable
from shared.bus_frames import Message, pack
from shared.call_id import call_as
from shared.codec import encode_json
from shared.messages import check_app_message

if TYPE_CHECKING:
    from mini_apps.app import App

__all__ = ["CONFIRMED", "NOBODY", "Notice", "Way", "notify"]

CONFIRMED: Final = b"confirmed"  # what nodes answer
NOBODY: Final = b"nobody"
WAIT_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 86_400
LONGEST_ID: Final = 128
MAX_TEXT: Final = 4096  # Telegram's


notices = Counter(
    "mini_apps_notices", "Notices of `notify`, by the way each went: socket, bot, unreachable", ["app", "way"]
)


class Way(StrEnum):
    """Which way a notice went.

    Attributes:
        SOCKET: a client of the user confirmed it.
        BOT: the bot wrote to the user.
        UNREACHABLE: the bot may not write to the user, and no client confirmed it.
    """

    SOCKET = "socket"
    BOT = "bot"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Notice:
    """How a user is notified.

    Attributes:
        id: of this notice, one line: repeated under the same id within a day, it is not sent again.
        button: text of a button below the bot's message that opens the mini app.
        reply_markup: what is below the bot's message instead; aiogram's or a dict of the Bot API.
        silent: whether the bot's message makes no sound.
        wait: seconds for a client to confirm, at most 60; 0 goes to the bot at once.
    """

    id: str = ""
    button: str = ""
    reply_markup: Any = None
    silent: bool = False
    wait: float = WAIT_SECONDS

    def __post_init__(self) -> None:
        """Refuse what could not be carried out."""
        if len(self.id) > LONGEST_ID or "\n" in self.id:
            raise ValueError(f"Notice(id=…) is one line of at most {LONGEST_ID} characters")
        if self.button and self.reply_markup is not None:
            raise ValueError("Notice: a `button` or a `reply_markup`, not both")
        if not 0 <= self.wait <= 60:
            raise ValueError(f"Notice(wait={self.wait!r}): 0 to 60 seconds")


class Tally:
    """Counts what nodes answer to one message.

    Attributes:
        done: set when nothing better can come.
        confirmed: whether a client has the message.
    """

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.confirmed = False
        self._nobody = 0
        self._nodes: int | None = None

    def take(self, answer: bytes | None) -> None:
        """Take an answer; None is a gap, after which none need come."""
        self.confirmed = self.confirmed or answer == CONFIRMED
        self._nobody += answer == NOBODY
        if answer is None or self.confirmed:
            self.done.set()
        self._compare()

    def asked(self, nodes: int) -> None:
        """Learn how many nodes were asked."""
        self._nodes = nodes
        self._compare()

    def _compare(self) -> None:
        if self._nodes is not None and self._nobody >= self._nodes:
            self.done.set()


async def notify(app: "App", telegram_id: int, text: str, message: Mapping[str, Any], how: Notice) -> Way:
    """Carry out `App.notify`.

    Raises:
        ValueError: the message cannot be sent, or the text is empty or too long.
        BrokerUnavailable: Redis did not confirm it.
        aiogram.exceptions.TelegramAPIError: Telegram refused the bot's message, for another reason than that the bot
            may not write to the user.
    """
    content = {"type": "notify", "text": text, **message}
    check_app_message(content)
    if not 1 <= len(text) <= MAX_TEXT:
        raise ValueError(f"the text of a notice has 1 to {MAX_TEXT} characters, not {len(text)}")
    before = await _before(app, how.id)
    if isinstance(before, Way):
        return before
    if await _by_socket(app, telegram_id, content, how.wait):
        way = Way.SOCKET
    else:
        way = await _by_bot(app, telegram_id, text, how, before)
    notices.labels(app.name, way.value).inc()
    await _keep(app, how.id, way)
    return way


async def _by_socket(app: "App", telegram_id: int, content: Mapping[str, Any], wait: float) -> bool:
    mesh, tally, ack = app.mesh, Tally(), secrets.token_urlsafe(12)
    if not wait:
        return False
    frame = pack(Message(encode_json({**content, "ack": ack}), ack=ack, asker=mesh.node_id))
    async with mesh.inbox.hear(ack, tally.take):
        tally.asked(await mesh.bus.publish(app.keys.user(telegram_id), frame))
        await app.clock.wait(tally.done, wait)
    return tally.confirmed


async def _by_bot(app: "App", telegram_id: int, text: str, how: Notice, refused: int) -> Way:
    """Let the bot write; `refused` calls of this notice were certainly not made, so the next one has another id."""
    audience = app.mesh.audience
    if await audience.may_write(app.name, telegram_id) is False:
        return Way.UNREACHABLE
    bot = await bot_of(app)
    from aiogram.exceptions import TelegramAPIError  # noqa: PLC0415 - 146 MB only then

    try:
        with call_as(f"notice-{how.id}-{refused}" if how.id else ""):
            await bot.send_message(telegram_id, text, reply_markup=_markup(app, how), disable_notification=how.silent)
    except TelegramAPIError as error:
        await _keep(app, how.id, refused + 1)
        if not _for_good(error):
            raise
        await audience.block(app.name, telegram_id)
        return Way.UNREACHABLE
    return Way.BOT


def _for_good(error: Exception) -> bool:
    from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError  # noqa: PLC0415 - loaded by now

    if isinstance(error, TelegramForbiddenError):
        return cannot_be_written_to(403, error.message)
    return isinstance(error, TelegramBadRequest) and cannot_be_written_to(400, error.message)


def _markup(app: "App", how: Notice) -> Any:
    from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, WebAppInfo  # noqa: PLC0415 - loaded by now

    if how.button:
        if not app.settings.url:
            raise ValueError(f"Notice(button=…) opens the mini app, and apps.{app.name}.url is not set")
        button = InlineKeyboardButton(text=how.button, web_app=WebAppInfo(url=app.settings.url))
        return InlineKeyboardMarkup(inline_keyboard=[[button]])
    if isinstance(how.reply_markup, Mapping):
        return InlineKeyboardMarkup.model_validate(how.reply_markup)
    return how.reply_markup


async def _before(app: "App", id: str) -> Way | int:
    """Return which way a notice went before, or how many of its calls were certainly not made."""
    if not id:
        return 0
    with reaching():
        found: Any = await app.redis.get(app.keys.notice(id))
    text = found.decode() if found else "0"
    return int(text) if text.isdecimal() else Way(text)


async def _keep(app: "App", id: str, what: Way | int) -> None:
    """Remember what became of a notice; one that reached nobody may be tried again."""
    if not id or what is Way.UNREACHABLE:
        return
    try:
        with reaching():
            await app.redis.set(app.keys.notice(id), str(what), ex=KEPT_SECONDS)
    except BrokerUnavailable:  # the call's own id stands for it
        app.log.warning("what became of a notice was not kept for its repeats", became=str(what))
