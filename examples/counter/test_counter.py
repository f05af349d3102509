"""The counter with a real Redis, two real nodes, and clients that speak the protocol."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiogram.types import Chat, InlineKeyboardMarkup, Message, User

from examples.counter.app import Counter
from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, Page, RunningNode
from support import TOKEN, eventually

CLICKS = 1_000
PAGES = 20


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture
async def nodes(redis_url: str, tmp_path: Path) -> AsyncIterator[list[RunningNode]]:
    settings = {"APPS__COUNTER__CLASS": "examples.counter.app:Counter", "APPS__COUNTER__BOT_TOKEN": TOKEN}
    cluster = Cluster(tmp_path, redis_url, tmp_path.name, **settings)
    try:
        yield [await cluster.node("ws-1"), await cluster.node("ws-2")]
    finally:
        await cluster.aclose()


def shown(page: Page) -> int:
    """Return what the page shows: the largest count it was told."""
    return max(int(message["clicks"]) for message in page.messages if message["type"] == "clicks-updated")


async def test_a_click_on_one_node_shows_on_the_other_and_to_who_comes_later(nodes: list[RunningNode]) -> None:
    async with nodes[0].user(1, app="counter") as ada, nodes[1].user(2, app="counter") as ben:
        await ada.receive("clicks-updated", clicks=0)
        await ben.receive("clicks-updated", clicks=0)
        await ada.send(type="click")
        await ada.receive("clicks-updated", clicks=1)
        await ben.receive("clicks-updated", clicks=1)
        await ben.send(type="clicks", id="now")
        assert (await ben.receive("reply", id="now"))["data"] == 1
    async with nodes[1].user(3, app="counter") as eve:
        await eve.receive("clicks-updated", clicks=1)


async def test_a_thousand_clicks_at_once_on_two_nodes_end_with_every_page_at_a_thousand(
    nodes: list[RunningNode],
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        pages = [
            await stack.enter_async_context(nodes[number % 2].user(number, app="counter"))
            for number in range(1, PAGES + 1)
        ]

        async def press(page: Page) -> None:
            for _ in range(CLICKS // PAGES):
                await page.send(type="click")

        await asyncio.gather(*map(press, pages))
        for page in pages:
            await eventually(lambda page=page: shown(page) == CLICKS, seconds=30, what="the last click on every page")


async def test_what_is_no_click_counts_nothing(nodes: list[RunningNode]) -> None:
    async with nodes[0].user(1, app="counter") as ada:
        await ada.send(type="clack", id=1)
        assert (await ada.receive("reply", id=1))["data"] is None
        await ada.send(type="clicks", id=2)
        assert (await ada.receive("reply", id=2))["data"] == 0


async def test_start_greets_by_name_as_plain_text_and_opens_the_page() -> None:
    app = Counter({"url": "https://example.com/apps/counter/", "parse-mode": "HTML"})
    sender = User(id=1, is_bot=False, first_name="<Ada>")
    chat = Chat(id=1, type="private")
    event = Message(message_id=1, date=datetime.now(UTC), chat=chat, from_user=sender, text="/start")
    answer = await app.on_telegram_command("start", "", event)
    assert answer.chat_id == 1
    assert answer.text.startswith("Hello <Ada>!")
    assert answer.parse_mode is None
    assert isinstance(answer.reply_markup, InlineKeyboardMarkup)
    button = answer.reply_markup.inline_keyboard[0][0]
    assert button.web_app is not None
    assert button.web_app.url == "https://example.com/apps/counter/"
