"""The page over a real deployment: one id from the update to the frame, faults, groups, keyboard, phone width."""

import os
import re
from pathlib import Path

import pytest
from deployment import PATIENCE_MS, ROOT, Deployment, watch_errors
from playwright.async_api import BrowserContext, Locator, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]


def rows(page: Page, text: str) -> Locator:
    return page.locator(".traffic-list li:visible").filter(has_text=text)


async def send(phone: Locator, text: str) -> None:
    await phone.locator("textarea").fill(text)
    await phone.locator("textarea").press("Enter")


async def test_panels_groups_and_keyboard(context: BrowserContext, deployment: Deployment, tmp_path: Path) -> None:
    page = await context.new_page()
    await page.set_viewport_size({"width": 1360, "height": 860})
    errors = watch_errors(page)
    await page.goto(deployment.sandbox)
    ada, ben = page.locator(".phone").nth(0), page.locator(".phone").nth(1)
    for phone in (ada, ben):
        await expect(phone.frame_locator("iframe").locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
    await one_id(page, ada, ben, tmp_path)
    await faults(page)
    await groups(page, ada, ben)
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.locator("#theme").click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out at phone width"
    await ada.get_by_role("button", name="Close the mini app").click()
    await picture(page, tmp_path, "sandbox-phone.jpg")
    assert errors == []
    await page.close()


async def one_id(page: Page, ada: Locator, ben: Locator, folder: Path) -> None:
    """See an update lead to a call, and a click to a frame for everybody."""
    await page.get_by_role("button", name="Traffic").click()
    await send(ada, "/start")
    call = rows(page, "sendMessage").last
    await expect(call).to_contain_text("200", timeout=PATIENCE_MS)
    trace = await call.locator(".trace").inner_text()
    assert re.fullmatch(r"update-\d+", trace)
    await ben.frame_locator("iframe").locator("#press").click()
    clicked = rows(page, "click").filter(has_text="page of 1002 →").last
    await expect(clicked).to_be_visible(timeout=PATIENCE_MS)
    click = await clicked.locator(".trace").inner_text()
    await expect(rows(page, click).filter(has_text="→ everybody")).to_be_visible(timeout=PATIENCE_MS)
    await picture(page, folder, "sandbox.jpg")
    await call.locator(".trace").click()
    await expect(page.locator(".traffic-list li:visible")).to_have_count(2)  # the update, and the call it led to
    await page.get_by_label("Filter the traffic").fill(click)
    frame = rows(page, "→ everybody")
    await expect(frame).to_contain_text("clicks-updated", timeout=PATIENCE_MS)
    await frame.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(frame.locator("pre")).to_contain_text('"clicks"')


async def faults(page: Page) -> None:
    """Let something go wrong, and take it away."""
    await page.get_by_role("button", name="Trouble").click()
    await page.get_by_role("button", name="The next message meets a flood wait").click()
    await expect(page.locator(".faults")).to_contain_text("flood, 5 s")
    await page.get_by_role("button", name="Take all of them away").click()
    await expect(page.locator(".faults")).to_contain_text("Nothing")
    await page.keyboard.press("Escape")
    await expect(page.locator("#side")).to_be_hidden()


async def groups(page: Page, ada: Locator, ben: Locator) -> None:
    """Make a group, write to the bot in it, and open the mini app from its link there."""
    await ada.get_by_role("button", name="Close the mini app").click()
    await ada.get_by_role("button", name="More", exact=True).click()
    await ada.get_by_role("button", name="New group with the bot").click()
    await ada.get_by_label("Title of the group").fill("Pressers")
    await page.keyboard.press("Enter")
    await ben.get_by_role("tab", name="Pressers").click(timeout=PATIENCE_MS)
    await ben.get_by_role("button", name="Close the mini app").click()
    await send(ben, "/start@counter_bot")
    await expect(ada.get_by_role("tab", name="Pressers")).to_be_visible(timeout=PATIENCE_MS)
    await ada.get_by_role("tab").first.focus()
    if await ada.get_by_role("tab", name="Pressers").get_attribute("aria-selected") == "false":
        await page.keyboard.press("ArrowRight")
    await ada.get_by_role("button", name="Open the counter").last.click(timeout=PATIENCE_MS)
    await expect(ada.locator(".app-title")).to_contain_text("from Pressers", timeout=PATIENCE_MS)
    await expect(ada.frame_locator("iframe").locator("#state")).to_have_text("live", timeout=PATIENCE_MS)


async def picture(page: Page, folder: Path, name: str) -> None:
    """Take the picture that the docs show."""
    place = (ROOT / "docs" / "images" if os.environ.get("UPDATE_SCREENSHOTS") else folder) / name
    await page.screenshot(path=place, type="jpeg", quality=82)
    assert 5_000 < place.stat().st_size < 400_000
