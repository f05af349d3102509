"""The pixel board as its users have it: a bot, two nodes, a real Redis, and pages that speak the protocol."""

import asyncio
import base64
import random
from collections.abc import Callable
from typing import Any

import pytest

from examples.pixel_board.app import BOARD, PixelBoard
from examples.pixel_board.canvas import Canvas, Pixel
from examples.pixel_board.picture import PICTURE_SIDE
from examples.pixel_board.places import PLACES, SIDE
from mini_apps import AppError
from mini_apps.testing import MiniAppTest, Page
from support import eventually

RED, BLUE = 6, 12
PAGES, EACH = 20, 15

Make = Callable[..., MiniAppTest]


class Shown:
    """What a page shows, by the rule that the page of the example follows too."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.colours = unpack(base64.b64decode(answer["pixels"]))
        self.versions = [answer["version"]] * PLACES
        self.batches = 0

    def take(self, batch: dict[str, Any]) -> None:
        self.batches += 1
        for pixel in batch["pixels"]:
            place, colour = divmod(pixel, 16)
            if batch["version"] >= self.versions[place]:
                self.colours[place], self.versions[place] = colour, batch["version"]


def unpack(board: bytes) -> list[int]:
    return [half for byte in board for half in divmod(byte, 16)]


@pytest.fixture
def deploy(mini_app_test: Make) -> Callable[..., MiniAppTest]:
    """Start the board; what is told now and then is told at once."""

    def make(nodes: int = 1, **app: Any) -> MiniAppTest:
        return mini_app_test(PixelBoard, nodes=nodes, settings={"app": {"news-seconds": 0.05, **app}})

    return make


def canvas_of(t: MiniAppTest) -> Canvas:
    assert isinstance(t.app, PixelBoard)
    return t.app.canvas


async def enter(page: Page) -> Shown:
    """Do what the page does when it opens."""
    await page.send(type="subscribe", channel=BOARD)
    await page.receive("joined")
    return Shown(await page.request(type="board"))


async def paint(page: Page, place: int, colour: int = RED) -> dict[str, Any]:
    answer: dict[str, Any] = await page.request(type="paint", place=place, colour=colour)
    return answer


async def test_a_pixel_shows_on_the_other_node_and_to_who_comes_later(deploy: Make) -> None:
    async with deploy(nodes=2) as t:
        ada, ben = await t.open("ada"), await t.open("ben")
        assert ada.node != ben.node
        await enter(ada)
        shown = await enter(ben)
        answer = await paint(ada, place=3, colour=RED)
        assert (answer["painted"], answer["version"]) == (True, 1)
        shown.take(await ben.receive("pixels", version=1))
        assert shown.colours[3] == RED
        assert (await enter(await t.open("cid"))).colours == shown.colours


async def test_many_paint_at_once_and_every_page_ends_at_the_board_of_redis(deploy: Make) -> None:
    async with deploy(nodes=2, ink=0) as t:
        pages = [await t.open(f"user{number}") for number in range(PAGES)]
        boards = [await enter(page) for page in pages]

        async def scribble(page: Page, dice: random.Random) -> None:
            for _ in range(EACH):  # so close together that nodes paint over each other
                assert (await paint(page, dice.randrange(40), dice.randrange(16)))["painted"]

        await asyncio.gather(*(scribble(page, random.Random(seed)) for seed, page in enumerate(pages)))
        pixels, version = await canvas_of(t).look()
        for page, board in zip(pages, boards, strict=True):
            for _ in range(version):
                board.take(await page.receive("pixels"))
            assert board.colours == unpack(pixels)
        assert version < PAGES * EACH / 2  # several went together
        assert (await pages[0].request(type="news"))["total"] == PAGES * EACH


async def test_ink_runs_out_for_a_user_on_all_nodes_and_tabs(deploy: Make) -> None:
    async with deploy(nodes=2, ink=2, ink_seconds=600) as t:
        one, two = await t.open("ada", node=0), await t.open("ada", node=1)
        assert (await one.request(type="news"))["ink"] == {"drops": 2, "each": 600_000, "full": 0}
        assert (await paint(one, 0))["full"] == 600_000
        assert (await paint(two, 1))["painted"]
        refused = await paint(one, 2)
        assert not refused["painted"]
        assert 0 < refused["wait"] <= 600_000
        assert 1_100_000 < (await two.request(type="news"))["ink"]["full"] <= 1_200_000
        assert (await paint(await t.open("ben"), 2, BLUE))["painted"]
        assert unpack((await canvas_of(t).look())[0])[:4] == [RED, RED, BLUE, 0]


async def test_who_was_away_misses_no_pixel_and_loads_nothing(deploy: Make) -> None:
    async with deploy(nodes=2) as t:
        ada, ben = await t.open("ada", node=0), await t.open("ben", node=0)
        await enter(ada)
        shown = await enter(ben)
        await ben.lose()
        for place in range(3):
            await paint(ada, place)
        welcome = await ben.reconnect(node=1)
        assert welcome["channels"][BOARD]["recovered"]
        for version in (1, 2, 3):
            shown.take(await ben.receive("pixels", version=version))
        assert shown.colours[:4] == [RED, RED, RED, 0]


async def test_who_was_away_too_long_is_told_to_load_the_board(deploy: Make) -> None:
    async with deploy() as t:
        ada, ben = await t.open("ada"), await t.open("ben")
        await enter(ada)
        await enter(ben)
        await ben.lose()
        await paint(ada, 5)
        await t.redis.delete(t.app.keys.channel_stream(BOARD))  # as its time does
        assert not (await ben.reconnect())["channels"][BOARD]["recovered"]
        assert (await enter(ben)).colours[5] == RED


async def test_pixels_that_a_node_painted_and_died_are_told_by_another(deploy: Make) -> None:
    async with deploy() as t:
        ada = await t.open("ada")
        shown = await enter(ada)
        batch, _ = await canvas_of(t).paint([Pixel(7, BLUE, 1, "Ghost")])
        assert batch is not None
        key = t.app.key("{board}:untold")
        await t.redis.hset(key, "1", f"[1,{batch.pixels[0]}]")  # as if it were long ago
        shown.take(await ada.receive("pixels", timeout=10))
        assert shown.colours[7] == BLUE
        await t.settled()
        assert await t.redis.hlen(key) == 0
        await ada.nothing_received("pixels")


async def test_nobody_may_paint_while_the_pages_do_not_learn_of_it(deploy: Make, monkeypatch: Any) -> None:
    monkeypatch.setattr("examples.pixel_board.canvas.MOST_UNTOLD", 1)
    async with deploy() as t:
        ada = await t.open("ada")
        await canvas_of(t).paint([Pixel(7, BLUE, 1, "Ghost")])
        with pytest.raises(AppError, match="too busy") as refused:
            await paint(ada, 1)
        assert refused.value.code == "busy"


async def test_news_count_people_not_tabs(deploy: Make) -> None:
    async with deploy() as t:
        one, two, ben = await t.open("ada"), await t.open("ada"), await t.open("ben")
        for page in (one, two, ben):
            await enter(page)
        assert (await ben.request(type="news"))["here"] == 2
        await ben.receive("news", timeout=10, here=2)
        await paint(one, 0)
        news = await ben.receive("news", timeout=10, total=1)
        assert sum(news["minutes"]) == 1
        assert len(news["minutes"]) == 60
        await one.nothing_received("presence")


async def test_a_link_opens_the_board_at_its_place(deploy: Make) -> None:
    async with deploy() as t:
        ada = await t.open("ada", start_param="12_40")
        assert (await ada.request(type="board"))["place"] == 40 * SIDE + 12

        async def link() -> str | None:  # none before the bot was at Telegram
            found: str | None = (await ada.request(type="board"))["link"]
            return found

        me = await eventually(t.app.learn_telegram_me, what="the bot's name")
        assert await eventually(link, what="a link") == f"https://t.me/{me.username}/pixelboard?startapp="
        assert (await (await t.open("ben", start_param="300_1")).request(type="board"))["place"] is None


async def test_everybody_can_ask_who_painted(deploy: Make) -> None:
    async with deploy() as t:
        t.user("eve", first_name="<img src=x>" * 30)
        ada, eve = await t.open("ada"), await t.open("eve")
        assert await ada.request(type="who", place=9) is None
        await paint(eve, 9)
        found = await ada.request(type="who", place=9)
        assert found["name"] == ("<img src=x>" * 30)[:64]  # for the page to show as text
        assert 0 <= found["ago"] < 60


@pytest.mark.parametrize(
    "message",
    [
        {"type": "paint"},
        {"type": "paint", "place": 0, "colour": 16},
        {"type": "paint", "place": PLACES, "colour": 1},
        {"type": "paint", "place": -1, "colour": 1},
        {"type": "paint", "place": True, "colour": 1},
        {"type": "paint", "place": "1", "colour": 1},
        {"type": "paint", "place": 1.5, "colour": 1},
        {"type": "who", "place": None},
        {"type": "clear"},
    ],
)
async def test_what_makes_no_sense_is_refused_and_paints_nothing(message: dict[str, Any]) -> None:
    app = PixelBoard({"bot-token": "42:test"})
    with pytest.raises(AppError) as refused:
        await app.handle_message(None, message["type"], message)  # type: ignore[arg-type]  # nobody is asked who it is
    assert refused.value.code in ("bad", "unknown")


async def test_the_bot_opens_the_board_where_it_is_asked_to(deploy: Make) -> None:
    async with deploy() as t:
        await t.user("ada").sends("/start 12_40")
        (button,) = (await t.bot.sent("ada", "Hello Ada")).buttons
        assert button["web_app"]["url"] == f"{t.app.settings.url}?place=12_40"
        await t.user("ada").sends("/start <b>")
        (button,) = (await t.bot.sent("ada", "Hello Ada")).buttons
        assert button["web_app"]["url"] == t.app.settings.url


async def test_the_bot_sends_a_picture_of_the_board(deploy: Make) -> None:
    async with deploy() as t:
        await paint(await t.open("ben"), 0)
        await t.user("ada").sends("/board")
        message = await t.bot.sent("ada", "1 pixel was painted so far. 0 people are here now.")
        photo = message.raw["photo"][-1]
        assert (photo["width"], photo["height"]) == (PICTURE_SIDE, PICTURE_SIDE)
        assert message.buttons[0]["text"] == "Paint"
