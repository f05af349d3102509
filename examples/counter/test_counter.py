"""The counter in a whole deployment with two nodes, and the local Telegram."""

import asyncio
from collections.abc import Callable

from examples.counter.app import Counter
from mini_apps.testing import MiniAppTest, Page

CLICKS = 1_000
PAGES = 20

Make = Callable[..., MiniAppTest]


def shown(page: Page) -> int:
    """Return what the page shows: the largest count it was told."""
    return max(int(message["clicks"]) for message in page.messages if message["type"] == "clicks-updated")


async def test_a_click_on_one_node_shows_on_the_other_and_to_who_comes_later(mini_app_test: Make) -> None:
    async with mini_app_test(Counter, nodes=2) as t:
        ada, ben = await t.open("ada"), await t.open("ben")
        assert ada.node != ben.node
        await ada.receive("clicks-updated", clicks=0)
        await ben.receive("clicks-updated", clicks=0)
        await ada.send(type="click")
        await ada.receive("clicks-updated", clicks=1)
        await ben.receive("clicks-updated", clicks=1)
        assert await ben.request(type="clicks") == 1
        eve = await t.open("eve")
        await eve.receive("clicks-updated", clicks=1)


async def test_a_thousand_clicks_at_once_on_two_nodes_end_with_every_page_at_a_thousand(mini_app_test: Make) -> None:
    async with mini_app_test(Counter, nodes=2) as t:
        pages = await asyncio.gather(*(t.open(f"user{number}") for number in range(PAGES)))

        async def press(page: Page) -> None:
            for _ in range(CLICKS // PAGES):
                await page.send(type="click")

        await asyncio.gather(*map(press, pages))
        await t.settled()
        assert [shown(page) for page in pages] == [CLICKS] * PAGES


async def test_what_is_no_click_counts_nothing(mini_app_test: Make) -> None:
    async with mini_app_test(Counter) as t:
        ada = await t.open("ada")
        assert await ada.request(type="clack") is None
        assert await ada.request(type="clicks") == 0


async def test_start_greets_by_name_as_plain_text_and_opens_the_page(mini_app_test: Make) -> None:
    async with mini_app_test(Counter, settings={"app": {"parse-mode": "HTML"}}) as t:
        await t.user("eve", first_name="<Eve>").sends("/start")
        message = await t.bot.sent("eve", "Hello <Eve>!")
        (button,) = message.buttons
        assert button["web_app"]["url"] == t.app.settings.url
        async with t.http.get(f"/apps/{t.app.name}/") as page:
            assert "counter.js" in await page.text()
