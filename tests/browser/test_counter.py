"""The counter in real windows against real nodes."""

import asyncio
import os
import re
import time
from pathlib import Path

import pytest
from deployment import PATIENCE_MS, ROOT, Deployment, one_on_each_node, open_counter, watch_errors
from playwright.async_api import Browser, BrowserContext, Route, expect

from support import eventually

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]

PRESS = "button => { for (let i = 0; i < 40; i++) button.click(); }"  # below the burst a node takes from one client


async def test_windows_on_different_nodes_count_together(context: BrowserContext, deployment: Deployment) -> None:
    one, two = await one_on_each_node(context, deployment)
    errors = watch_errors(one.page) + watch_errors(two.page)
    before = await one.count()
    await one.press.click()
    await one.shows(before + 1)
    await two.shows(before + 1)
    await two.press.click()
    await one.shows(before + 2)
    await two.shows(before + 2)
    assert errors == []


async def test_clicks_on_both_nodes_at_once_leave_no_older_number_standing(
    context: BrowserContext, deployment: Deployment
) -> None:
    one, two = await one_on_each_node(context, deployment)
    before = await one.count()
    await asyncio.gather(one.press.evaluate(PRESS), two.press.evaluate(PRESS))
    await one.shows(before + 80)
    await two.shows(before + 80)


async def test_it_is_pressed_by_keyboard_and_a_held_key_is_one_press(
    context: BrowserContext, deployment: Deployment
) -> None:
    counter = await open_counter(context, deployment.counter(3001))
    before = await counter.count()
    await counter.page.keyboard.press("Tab")
    await expect(counter.press).to_be_focused()
    for _ in range(5):
        await counter.page.keyboard.down("Enter")
    await counter.page.keyboard.up("Enter")
    await counter.page.keyboard.press("Space")
    await counter.shows(before + 2)


async def test_a_name_with_markup_is_only_text(context: BrowserContext, deployment: Deployment) -> None:
    name = "<img src=x onerror=document.title='owned'><b>Bobby"
    counter = await open_counter(context, deployment.counter(3002, name))
    await expect(counter.page.locator("#name")).to_have_text(name)
    assert await counter.page.locator("img, b").count() == 0
    assert await counter.page.title() == "Counter"


async def test_expired_init_data_asks_kindly_to_open_it_again(context: BrowserContext, deployment: Deployment) -> None:
    page = await context.new_page()
    await page.goto(deployment.counter(3003, auth_date=int(time.time()) - 90_000))
    await expect(page.get_by_role("heading")).to_have_text("Please open me again", timeout=PATIENCE_MS)
    await expect(page.locator("#ended-text")).to_contain_text("from Telegram")
    await expect(page.locator("#press")).to_be_hidden()
    await expect(page.locator("#state")).to_have_text("not connected")


async def test_without_telegram_it_says_where_to_open_it(context: BrowserContext, deployment: Deployment) -> None:
    page = await context.new_page()
    await page.goto(f"{deployment.url}/apps/counter/")
    await expect(page.get_by_role("heading")).to_have_text("Open me in Telegram", timeout=PATIENCE_MS)


async def test_a_router_and_a_reload_do_not_lose_who_this_is(context: BrowserContext, deployment: Deployment) -> None:
    counter = await open_counter(context, deployment.counter(3004, "Grace"))
    await counter.page.evaluate("history.replaceState(null, '', '#/somewhere')")
    await counter.page.reload()
    await counter.is_live()
    await expect(counter.page.locator("#name")).to_have_text("Grace")


async def test_a_server_that_is_down_when_it_opens_is_waited_for(
    context: BrowserContext, deployment: Deployment
) -> None:
    async def down(route: Route) -> None:
        await route.fulfill(status=502, body="Bad gateway")

    page = await context.new_page()
    await page.route("**/settings.json", down)
    await page.goto(deployment.counter(3005))
    await expect(page.locator("#state")).to_have_text(re.compile("reconnecting"), timeout=PATIENCE_MS)
    await page.locator("#press").click()
    await expect(page.locator("#queued")).to_have_text("1 click waits for the connection")
    await page.unroute("**/settings.json")
    await expect(page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
    await expect(page.locator("#queued")).to_have_text("")


async def test_the_page_of_a_killed_node_goes_on_at_the_other(context: BrowserContext, deployment: Deployment) -> None:
    one, two = await one_on_each_node(context, deployment)
    before = await two.count()
    assert deployment.kill_node("ws-1")

    async def moved() -> bool:
        deployment.kill_node("ws-1")  # the runner starts it again, but this node is to stay dead
        return await one.node() == "ws-2" and await one.page.locator("#state").inner_text() == "live"

    try:
        await eventually(moved, seconds=300, what="the page of the dead node on the other one")
        await one.press.click()
        await one.shows(before + 1)
        await two.shows(before + 1)
    finally:
        await eventually(lambda: deployment.is_ready("ws-1"), seconds=300, what="ws-1 after its death")


@pytest.mark.parametrize(("theme", "name"), [("light", "counter.png"), ("dark", "counter-dark.png")])
async def test_the_page_looks_as_in_the_docs(
    browser: Browser, deployment: Deployment, tmp_path: Path, theme: str, name: str
) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 640})
    counter = await open_counter(context, deployment.counter(1001, "Ada", theme=theme))
    await expect(counter.page.locator("html")).to_have_css("color-scheme", theme)
    await expect(counter.press).to_be_in_viewport(ratio=1)
    before = await counter.count()
    await counter.press.evaluate(PRESS)
    await counter.shows(before + 40)
    folder = ROOT / "docs" / "images" if os.environ.get("UPDATE_SCREENSHOTS") else tmp_path
    await counter.page.screenshot(path=folder / name)
    assert 5_000 < (folder / name).stat().st_size < 150_000
