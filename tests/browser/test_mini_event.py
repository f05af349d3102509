"""The events in real windows against real nodes: the whole story of two people, and what the page says in trouble."""

import base64
import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from deployment import PATIENCE_MS, ROOT, watch_errors
from playwright.async_api import Browser, BrowserContext, Page, Route, expect
from stage import Stage, staged

from mini_apps.embedded import EmbeddedValkey
from sandbox.themes import THEMES

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]

HOSTILE = "<img src=x onerror=document.title='owned'><b>Tea</b>"
# A photo, more or less: lights at night.
PHOTO = """async ([from, to]) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 800, height: 450 });
    const on = canvas.getContext("2d");
    const sky = on.createLinearGradient(0, 0, 800, 450);
    sky.addColorStop(0, `hsl(${from} 75% 55%)`);
    sky.addColorStop(1, `hsl(${to} 70% 25%)`);
    on.fillStyle = sky;
    on.fillRect(0, 0, 800, 450);
    for (let light = 0; light < 28; light++) {
        on.fillStyle = `hsl(${from + light * 3} 95% 72% / 0.22)`;
        on.beginPath();
        on.arc((light * 211) % 800, (light * 137) % 450, 12 + (light * 29) % 60, 0, 7);
        on.fill();
    }
    return canvas.toDataURL("image/jpeg").split(",")[1];
}"""

# Seven in the evening so many days from now, in the form that the page's field takes.
EVENING = """(days) => {
    const start = new Date(Date.now() + days * 864e5);
    start.setHours(19, 0, 0, 0);
    return new Date(start - start.getTimezoneOffset() * 6e4).toISOString().slice(0, 16);
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def stage(context: BrowserContext, valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    pages = ROOT / "examples" / "mini_event" / "pages"
    how = {"app": "mini_event", "class_": "examples.mini_event.app:MiniEvent", "more": "admins = [1001]"}
    async with staged(tmp_path, valkey.url, prefix, context, pages=pages, **how) as stage:
        yield stage


async def node(stage: Stage, name: str = "ws-1", **settings: str) -> Any:
    return await stage.node(name, APPS__MINI_EVENT__ADMINS="1001", **settings)


async def opened(
    stage: Stage, user: int, name: str, *, theme: str = "light", context: Any = None, **fields: Any
) -> Page:
    """Open the events and wait until they are live and complete."""
    page = await (context or stage.context).new_page()
    await page.goto(
        f"{stage.address(user, name, **fields)}&tgWebAppThemeParams={quote(json.dumps(THEMES[theme]), safe='')}"
    )
    await expect(page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
    await expect(page.locator("#list")).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)
    return page


def card(page: Page, title: str) -> Any:
    return page.locator("article").filter(has=page.get_by_role("heading", name=title, exact=True))


async def create(page: Page, title: str, text: str, days: int, colours: tuple[int, int] | None = None) -> None:
    """Fill the form in as an admin does, by keyboard."""
    await page.locator("#add").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.type(title)
    await page.keyboard.press("Tab")
    await page.keyboard.type(text)
    day = (
        "days => new Date(new Date().setHours(19, 0, 0, 0) + (days * 24 - new Date().getTimezoneOffset() / 60) * 36e5)"
    )
    await page.fill("[name=start]", (await page.evaluate(f"days => ({day})(days).toISOString()", days))[:16])
    if colours:
        photo = base64.b64decode(await page.evaluate(PHOTO, list(colours)))
        await page.set_input_files("[name=image]", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo})
        await expect(page.locator("#preview")).to_be_visible()
    await page.locator("[name=duration]").press("Enter")
    await expect(page.locator("#new-event")).to_be_hidden(timeout=PATIENCE_MS)
    await expect(card(page, title)).to_be_visible(timeout=PATIENCE_MS)


async def goes(page: Page, title: str, text: str) -> None:
    await expect(card(page, title).locator(".count")).to_have_text(text, timeout=PATIENCE_MS)


async def test_the_whole_story_of_two_people_on_two_nodes(stage: Stage, browser: Browser, tmp_path: Path) -> None:
    await node(stage)
    ada = await opened(stage, 1001, "Ada")
    await opened(stage, 1004, "Grace")  # now the first node has so many that the gateway sends Ben to the second
    two = await node(stage, "ws-2")
    ben = await opened(stage, 1002, "Ben")
    errors = watch_errors(ada) + watch_errors(ben)
    assert [await page.locator("#state").get_attribute("title") for page in (ada, ben)] == ["node ws-1", "node ws-2"]
    await expect(ben.locator("#add")).to_be_hidden()
    await expect(ben.locator("#empty")).to_be_visible()

    await create(ada, "Open air cinema", "Bring a blanket. A silent film with live piano, and popcorn.", 1, (18, 330))
    await create(ada, "Board games and tea", "Chess, Go, and whatever you bring.", 3, (195, 255))
    await create(ada, HOSTILE, "A title is only text.", 5)
    await expect(card(ben, "Open air cinema").locator("img")).to_have_js_property("naturalWidth", 800)
    assert await ben.locator("h2 img, h2 b").count() == 0
    assert await ben.title() == "Events"
    titles = await ben.locator("article h2").all_inner_texts()
    assert titles == ["Open air cinema", "Board games and tea", HOSTILE]

    await card(ben, "Open air cinema").locator(".attend").click()
    await goes(ada, "Open air cinema", "1 person goes")
    await expect(card(ben, "Open air cinema").locator(".attend")).to_have_attribute("aria-pressed", "true")
    await card(ada, "Open air cinema").locator(".attend").click()
    await goes(ben, "Open air cinema", "2 people go")

    await two.stop()  # Ben's page goes on at the other node
    await expect(ben.locator("#state")).to_have_attribute("title", "node ws-1", timeout=PATIENCE_MS)
    await card(ben, "Board games and tea").locator(".attend").click()
    await goes(ada, "Board games and tea", "1 person goes")

    await card(ada, HOSTILE).locator(".delete").click()
    await ada.get_by_role("button", name="Keep it").click()
    await card(ada, HOSTILE).locator(".delete").click()
    await ada.get_by_role("button", name="Delete", exact=True).click()
    await expect(card(ben, HOSTILE)).to_have_count(0, timeout=PATIENCE_MS)
    assert errors == []
    await take_pictures(stage, browser, tmp_path)


async def take_pictures(stage: Stage, browser: Browser, tmp_path: Path) -> None:
    """Open a shared event as a third person, in both themes, as the docs show it."""
    for theme, name in (("light", "mini_event.png"), ("dark", "mini_event-dark.png")):
        context = await browser.new_context(viewport={"width": 390, "height": 720}, locale="en-GB")
        eve = await opened(stage, 1003, "Eve", theme=theme, context=context, start_param="2")
        await expect(eve.locator("html")).to_have_css("color-scheme", theme)
        await expect(card(eve, "Board games and tea")).to_have_class(re.compile("chosen"))
        await expect(card(eve, "Board games and tea")).to_be_in_viewport()
        await eve.evaluate("document.querySelector('.chosen').classList.remove('chosen')")
        await eve.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        await eve.wait_for_function("[...document.images].every((image) => image.complete)")
        folder = ROOT / "docs" / "images" if os.environ.get("UPDATE_SCREENSHOTS") else tmp_path
        await eve.screenshot(path=folder / name, animations="disabled")
        assert 20_000 < (folder / name).stat().st_size < 350_000
        await context.close()


async def test_what_people_are_told_in_trouble(stage: Stage) -> None:
    await node(stage)
    ada, ben = await opened(stage, 1001, "Ada"), await opened(stage, 1002, "Ben", start_param="77")
    await expect(ben.locator(".toast")).to_have_text("The event you came for is over or was deleted.")
    await ada.click("#add")
    await ada.click("#create")
    await expect(ada.locator("#form-error")).to_have_text("Give it a title.")
    await expect(ada.locator("[name=title]")).to_be_focused()
    await ada.fill("[name=title]", "Tea")
    await ada.set_input_files("[name=image]", {"name": "a.png", "mimeType": "image/png", "buffer": b"<svg/>"})
    await expect(ada.locator("#form-error")).to_have_text("This file is no picture that can be shown.")
    await ada.keyboard.press("Escape")
    await expect(ada.locator("#new-event")).to_be_hidden()
    await create(ada, "Tea", "", 1)

    await expect(card(ben, "Tea")).to_be_visible(timeout=PATIENCE_MS)
    await ben.evaluate("window.dispatchEvent(new Event('offline'))")
    await stage.mini_apps("users", "ban", "1002", "--app", stage.app)
    await expect(ben.get_by_role("heading", name="You cannot join in")).to_be_visible(timeout=PATIENCE_MS)
    await expect(ben.locator("#page")).to_be_hidden()

    old = await stage.page(stage.address(1003, auth_date=int(time.time()) - 90_000))
    await expect(old.get_by_role("heading", name="Please open me again")).to_be_visible(timeout=PATIENCE_MS)
    await expect(old.locator("#ended-text")).to_contain_text("from Telegram")


async def test_a_server_that_is_down_at_first_and_a_press_that_waits(stage: Stage) -> None:
    async def down(route: Route) -> None:
        await route.fulfill(status=502, body="Bad gateway")

    await node(stage, WS__MAX_CONNECTIONS_PER_USER="1")
    ada = await opened(stage, 1001, "Ada")
    await create(ada, "Tea", "", 1)
    page = await stage.context.new_page()
    await page.clock.install()
    await page.route("**/settings.json", down)
    await page.goto(stage.address(1002, "Ben"))
    await expect(page.locator("#state")).to_have_text(re.compile("reconnecting"), timeout=PATIENCE_MS)
    await page.clock.run_for(7_000)
    await expect(page.locator("#slow")).to_be_visible()
    await page.unroute("**/settings.json")
    await page.clock.run_for(40_000)
    await expect(card(page, "Tea")).to_be_visible(timeout=PATIENCE_MS)
    await expect(page.locator("#slow")).to_be_hidden()

    await stage.context.set_offline(True)
    await page.clock.run_for(60_000)  # so the page finds out
    await expect(page.locator("#state")).to_have_text("you are offline", timeout=PATIENCE_MS)
    await card(page, "Tea").locator(".attend").click()
    await expect(card(page, "Tea").locator(".attend")).to_be_disabled()
    await stage.context.set_offline(False)
    await goes(page, "Tea", "1 person goes")

    second = await stage.context.new_page()  # one tab too many
    await second.goto(stage.address(1002, "Ben"))
    await expect(page.get_by_role("heading", name="Open somewhere else")).to_be_visible(timeout=PATIENCE_MS)
    await expect(page.locator("#again")).to_be_visible()
