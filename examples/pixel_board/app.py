"""A board of pixels that everybody with the mini app open paints on together."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from examples.pixel_board import picture
from examples.pixel_board.batches import Batches
from examples.pixel_board.canvas import Answer, Batch, Canvas, Pixel
from examples.pixel_board.places import PALETTE, PLACES, SIDE, name_of, number, parse_place
from mini_apps import App, AppError, Channel, Client, Send
from shared.broker import BrokerUnavailable

if TYPE_CHECKING:
    from aiogram.types import InlineKeyboardMarkup, Message

BOARD = "board"
WINDOW = 0.1  # seconds from one frame of a node to its next
NEWS_SECONDS = 2.0
DROPS, DROP_SECONDS = 10, 1.5  # of ink
LONGEST_NAME = 64


class PixelBoard(App):
    """Keeps the board in Redis, where the nodes paint in batches; each batch is one message to everybody.

    Settings of its own: `ink` (drops a user has, 0 for no end of it), `ink-seconds` (until a used drop is back) and
    `news-seconds` (from one look at how many are here to the next).
    """

    # At 20 frames a second, as two nodes under load make, half a minute of history; who was away longer loads the
    # board, which by then is the smaller download.
    channels: ClassVar = {BOARD: Channel(history=600, ttl=600, presence=True, announce=False)}

    def __init__(self, settings: Any, name: str | None = None) -> None:
        super().__init__(settings, name)
        drop_seconds = float(self.settings.get("ink_seconds", DROP_SECONDS))
        self.canvas = Canvas(self, int(self.settings.get("ink", DROPS)), round(1000 * drop_seconds))
        self.batches: Batches[Pixel, Answer] = Batches(self._paint_all, WINDOW)

    # In each WebSocket node.

    async def on_subscribe(self, client: Client, channel: str) -> bool:
        """Let everybody see the board."""
        return channel == BOARD

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        """Answer `board` (the pixels), `news` (counts and ink), `paint` (a pixel) and `who` (painted it)."""
        match type:
            case "board":
                return await self._board(client)
            case "news":
                full = await self.canvas.ink(client.user.telegram_id)
                ink = {"drops": self.canvas.drops, "each": self.canvas.drop_ms, "full": full}
                return {**await self._news(), "ink": ink}
            case "paint":
                return await self._paint(client, data)
            case "who":
                return await self._who(number(data, "place", PLACES))
        raise AppError("This board knows board, news, paint and who", code="unknown")

    async def _board(self, client: Client) -> dict[str, Any]:
        """Return the board to a page that is in the channel, and so hears what comes after `version`."""
        pixels, version = await self.canvas.look()
        launch = client.user.telegram_data or {}
        return {
            "palette": PALETTE,
            "pixels": base64.b64encode(pixels).decode(),
            "version": version,
            "place": parse_place(str(launch.get("start_param", ""))),
            "link": await self._link_to_board(),
        }

    async def _paint(self, client: Client, data: dict[str, Any]) -> dict[str, Any]:
        """Paint with the other pixels of the moment."""
        place, colour = number(data, "place", PLACES), number(data, "colour", len(PALETTE))
        name = client.user.name[:LONGEST_NAME]
        answer = await self.batches.one(Pixel(place, colour, client.user.telegram_id, name))
        if answer.painted:
            return {"painted": True, "version": answer.version, "full": answer.milliseconds}
        return {"painted": False, "wait": answer.milliseconds}

    async def _paint_all(self, pixels: list[Pixel]) -> Sequence[Answer]:
        batch, answers = await self.canvas.paint(pixels)
        if batch is not None:
            try:
                await self._tell(batch)
            except BrokerUnavailable as error:
                self.log.warning("the pages hear of a batch later", version=batch.version, error=str(error))
        return answers

    async def _tell(self, batch: Batch) -> None:
        """Tell the pages, once: a repeat carries the same id."""
        once = Send(id=f"{batch.at}-{batch.version}")
        await self.publish(BOARD, options_=once, type="pixels", version=batch.version, pixels=batch.pixels)
        await self.canvas.told(batch)

    async def _who(self, place: int) -> dict[str, Any] | None:
        found = await self.canvas.who(place)
        return found and {"name": found[1], "ago": max(0, round(time.time() - found[0] / 1000))}

    async def _link_to_board(self) -> str | None:
        """Return a link that opens the board; a place is put at its end."""
        if self.wonders_who_it_is():
            await self.learn_telegram_me()
        me = self.telegram_me
        return None if me is None else f"https://t.me/{me.username}/{self.settings.short_name or self.name}?startapp="

    # In one bot worker at a time.

    def server_tasks(self) -> Sequence[Callable[[], Awaitable[Any]]]:
        """Tell the news in one place only."""
        return [self.tell_news]

    async def tell_news(self) -> None:
        """Tell how many are here and how much is painted, when that changed; and what a node that died left untold."""
        last: dict[str, Any] = {}
        while True:
            for batch in await self.canvas.untold():
                await self._tell(batch)
            news = await self._news()
            if news != last:
                await self.broadcast(options_=Send(policy="latest"), type="news", **news)
                last = news
            await asyncio.sleep(float(self.settings.get("news_seconds", NEWS_SECONDS)))

    async def _news(self) -> dict[str, Any]:
        tally, here = await asyncio.gather(self.canvas.tally(), self.presence_count(BOARD))
        return {"here": here, "total": tally.total, "minutes": tally.minutes}

    # In the bot workers.

    @App.bot_command
    async def start(self, args: str, event: "Message") -> Any:
        """Open the board."""
        name = event.from_user.first_name if event.from_user else "stranger"
        text = f"Hello {name}! One board, {SIDE} × {SIDE} pixels, and everybody paints."
        return event.answer(text, reply_markup=self._button(parse_place(args)), parse_mode=None)

    @App.bot_command
    async def board(self, args: str, event: "Message") -> Any:
        """See a picture of the board."""
        from aiogram.types import BufferedInputFile  # only bot workers pay for it

        place = parse_place(args.replace(" ", "_").replace(",", "_"))
        (pixels, _), news = await asyncio.gather(self.canvas.look(), self._news())
        caption = f"{_counted(news['total'], 'pixel was', 'pixels were')} painted so far. "
        caption += f"{_counted(news['here'], 'person is', 'people are')} here now."
        photo = BufferedInputFile(picture.draw(pixels, place), "board.png")
        return event.answer_photo(photo, caption=caption, reply_markup=self._button(place), parse_mode=None)

    def _button(self, place: int | None) -> "InlineKeyboardMarkup":
        from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, WebAppInfo

        url = self.settings.url if place is None else f"{self.settings.url}?place={name_of(place)}"
        button = InlineKeyboardButton(text="Paint", web_app=WebAppInfo(url=url))
        return InlineKeyboardMarkup(inline_keyboard=[[button]])


def _counted(number: int, one: str, more: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {more}"
