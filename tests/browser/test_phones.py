"""The page that `mini-apps dev` says to open: two phones, their chats with the bot, and the counter inside."""

import re

import pytest
from deployment import PATIENCE_MS, CounterPage, Deployment, watch_errors
from playwright.async_api import BrowserContext, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]


async def open_phones(context: BrowserContext, deployment: Deployment) -> Page:
    page = await context.new_page()
    await page.set_viewport_size({"width": 1100, "height": 900})
    await page.goto(deployment.url)
    await expect(page.locator(".phone")).to_have_count(2, timeout=PATIENCE_MS)
    return page


def counter_of(page: Page, phone: int) -> CounterPage:
    return CounterPage(page.locator(".phone").nth(phone).frame_locator("iframe"))


async def test_both_phones_are_logged_in_and_count_together(context: BrowserContext, deployment: Deployment) -> None:
    page = await open_phones(context, deployment)
    errors = watch_errors(page)
    ada, ben = counter_of(page, 0), counter_of(page, 1)
    await ada.is_live()
    await ben.is_live()
    await expect(ada.page.locator("#name")).to_have_text("Ada Lovelace")
    await expect(ben.page.locator("#name")).to_have_text("Ben")
    before = await ada.count()
    await ben.press.click()
    await ada.shows(before + 1)
    await ben.shows(before + 1)
    assert errors == []


async def test_start_is_answered_with_a_button_that_opens_the_counter(
    context: BrowserContext, deployment: Deployment
) -> None:
    page = await open_phones(context, deployment)
    phone = page.locator(".phone").first
    await counter_of(page, 0).is_live()
    await phone.get_by_role("button", name="Close the mini app").click()
    await phone.locator("textarea").fill("/start")
    await phone.locator("textarea").press("Enter")
    await expect(phone.get_by_role("log")).to_contain_text("Hello Ada!", timeout=PATIENCE_MS)
    await phone.get_by_role("log").get_by_role("button", name="Open the counter").last.click()
    await counter_of(page, 0).is_live()


async def test_the_counter_takes_the_phones_colours(context: BrowserContext, deployment: Deployment) -> None:
    page = await open_phones(context, deployment)
    frame = counter_of(page, 0)
    await frame.is_live()
    root = frame.page.locator("html")
    await expect(root).to_have_css("color-scheme", "light")
    await page.locator("#theme").click()
    await expect(root).to_have_css("color-scheme", "dark", timeout=PATIENCE_MS)
    await expect(root).to_have_attribute("style", re.compile("--tg-theme-button-color: #"))
