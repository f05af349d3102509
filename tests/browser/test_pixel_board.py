"""The pixel board in a real browser: fingers and keys, what others paint meanwhile, and what goes wrong."""

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from deployment import PATIENCE_MS, ROOT, watch_errors
from pixel_art import painted
from playwright.async_api import Browser, BrowserContext, Page, expect
from stage import Stage, staged

from examples.pixel_board.app import PixelBoard
from examples.pixel_board.batches import MOST
from examples.pixel_board.canvas import Pixel
from examples.pixel_board.places import SIDE
from mini_apps.embedded import EmbeddedValkey
from sandbox.themes import THEMES
from ws_server.node import Node

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]

APP = "pixel_board"
HOSTILE = "<img src=x onerror=document.title='owned'><b>Eve"
RULE = """
async () => {
  const { Board } = await import("./board.js");
  const board = new Board();
  const [red, blue, lime] = [6, 12, 9];
  board.apply(3, [16 + red]);                   // came before the board that was asked for
  board.load(new Uint8Array(32768).fill(0xc9), 2);
  const loaded = [0, 1, 2].map((place) => board.shown(place));
  board.apply(5, [red, red + 16, blue + 16]);   // the last of a batch stays
  const older = board.apply(4, [lime, lime + 16, lime + 32]);
  const drop = board.hope(2, blue);
  const hoped = board.shown(2);
  drop();
  return [loaded, older, hoped, [0, 1, 2].map((place) => board.shown(place))];
}
"""
MIDDLE = f"{SIDE // 2}, {SIDE // 2}"


@pytest_asyncio.fixture(loop_scope="session")
async def stage(context: BrowserContext, valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    pages = ROOT / "examples" / APP / "pages"
    how = {"app": APP, "class_": "examples.pixel_board.app:PixelBoard"}
    async with staged(tmp_path, valkey.url, prefix, context, pages=pages, **how) as stage:
        yield stage


async def opened(stage: Stage, *args: Any, **fields: Any) -> Page:
    page = await stage.page(stage.address(*args, **fields))
    await expect(page.locator("#play")).to_have_class("ready", timeout=PATIENCE_MS)
    return page


async def shows(page: Page, text: str) -> None:
    await expect(page.locator("#where")).to_have_text(text, timeout=PATIENCE_MS)


async def drawn(page: Page) -> None:
    """Wait until what was asked for is on the screen; without motion that is the next frame but one."""
    await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


async def press(page: Page, *keys: str) -> None:
    await page.locator("#board").focus()
    for key in keys:
        await page.keyboard.press(key)


async def test_keys_paint_and_another_page_sees_it_and_who_it_was(stage: Stage) -> None:
    await stage.node()
    eve = await opened(stage, 1, HOSTILE)
    ada = await opened(stage, 2, start_param=f"{SIDE // 2 + 1}_{SIDE // 2 - 8}")
    errors = watch_errors(eve) + watch_errors(ada)
    await shows(ada, "129, 120 · paper")
    await press(eve, "ArrowRight", "Shift+ArrowUp", "]", "Enter")
    await shows(eve, "129, 120 · orange")
    await shows(ada, "129, 120 · orange")
    await expect(eve.locator("#name")).to_have_text(HOSTILE)
    await press(ada, "w")
    await expect(ada.locator("#toast")).to_contain_text(f"Painted by {HOSTILE}")
    assert await ada.locator("img, b b").count() == 0
    await ada.get_by_role("radio", name="blue").check()
    await press(ada, "Enter")
    await shows(eve, "129, 120 · blue")
    assert errors == []


async def test_a_tap_comes_closer_and_the_next_one_paints(browser: Browser, stage: Stage) -> None:
    await stage.node()
    stage.context = await browser.new_context(viewport={"width": 390, "height": 700}, reduced_motion="reduce")
    page = await opened(stage)
    await page.locator("#board").click(position={"x": 120, "y": 200})
    await drawn(page)
    where = (await page.locator("#where").inner_text()).removesuffix(" · paper")
    assert where != MIDDLE
    await page.locator("#board").click()
    await shows(page, f"{where} · red")
    await page.locator("#all").click()
    await page.locator("#board").hover()
    await page.mouse.wheel(0, -2000)
    await page.mouse.down()
    await page.mouse.move(10, 300, steps=4)  # moves the board, paints nothing
    await page.mouse.up()
    await shows(page, f"{where} · red")
    await expect(page.locator("#ink")).to_have_attribute("aria-valuenow", "10", timeout=PATIENCE_MS)
    red, blue, lime = 6, 12, 9
    loaded, older, hoped, shown = await page.evaluate(RULE)
    assert loaded == [blue, red, blue]
    assert older == [2]
    assert (hoped, shown) == (blue, [red, blue, lime])


async def test_two_fingers_zoom(browser: Browser, stage: Stage) -> None:
    await stage.node()
    stage.context = await browser.new_context(viewport={"width": 390, "height": 700}, has_touch=True)
    page = await opened(stage)
    fingers = await stage.context.new_cdp_session(page)

    async def touch(kind: str, apart: int | None = None) -> None:
        points = [] if apart is None else [{"x": 195 + side * apart, "y": 290, "id": side + 1} for side in (-1, 1)]
        await fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    await touch("touchStart", 20)
    for apart in range(25, 160, 15):
        await touch("touchMove", apart)
    await touch("touchEnd")
    await page.touchscreen.tap(195, 290)  # paints at once: it is close
    await expect(page.locator("#where")).to_contain_text("red", timeout=PATIENCE_MS)


async def test_ink_runs_out_and_says_when_it_comes_back(stage: Stage) -> None:
    await stage.node(APPS__PIXEL_BOARD__INK="1", APPS__PIXEL_BOARD__INK_SECONDS="600")
    page = await opened(stage)
    await press(page, "Enter", "ArrowLeft", "Enter")
    await expect(page.locator("#toast")).to_contain_text("Out of ink: the next drop comes in")
    await shows(page, "127, 128 · paper")
    await expect(page.locator("#ink")).to_have_attribute("aria-valuetext", "0 of 1")


async def test_the_page_of_a_killed_node_misses_no_pixel_and_paints_on(stage: Stage) -> None:
    async with stage.mortal_node("ws-1") as process:
        page = await opened(stage)
        await press(page, "Enter")
        await shows(page, f"{MIDDLE} · red")  # which the page hopes for at first
        await press(page, "w")
        await expect(page.locator("#toast")).to_contain_text("Painted by", timeout=PATIENCE_MS)
        process.kill()
        await expect(page.locator("#state")).to_have_text("reconnecting…", timeout=PATIENCE_MS)
        await press(page, "ArrowUp", "]", "Enter")
        await expect(page.locator("#toast")).to_have_text("1 pixel waits for the connection")
    await stage.node("ws-2")
    await expect(page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
    await expect(page.locator("#toast")).to_have_text("")
    other = await opened(stage, 2, start_param=f"{SIDE // 2}_{SIDE // 2 - 1}")
    await shows(other, "128, 127 · orange")
    await press(other, "ArrowDown")
    await shows(other, f"{MIDDLE} · red")


async def test_expired_and_banned_people_are_told_in_plain_words(stage: Stage) -> None:
    await stage.node(APPS__PIXEL_BOARD__BANNED="[66]")
    page = await stage.page(stage.address(auth_date=int(time.time()) - 90_000))
    await expect(page.get_by_role("heading")).to_have_text("Please open me again", timeout=PATIENCE_MS)
    await expect(page.locator("#board")).to_be_hidden()
    page = await stage.page(stage.address(66))
    await expect(page.get_by_role("heading")).to_have_text("You cannot paint here", timeout=PATIENCE_MS)


@pytest.mark.parametrize(("theme", "name"), [("light", "pixel-board.png"), ("dark", "pixel-board-dark.png")])
async def test_the_page_looks_as_in_the_docs(
    browser: Browser, stage: Stage, nodes: list[Node], tmp_path: Path, theme: str, name: str
) -> None:
    await stage.node(APPS__PIXEL_BOARD__INK="0")
    app = nodes[0].apps[APP]
    assert isinstance(app, PixelBoard)
    pixels = [Pixel(place, colour, 1, "Ada") for place, colour in painted()]
    for start in range(0, len(pixels), MOST):
        await app.canvas.paint(pixels[start : start + MOST])
    minutes = {str(int(time.time()) // 60 - ago): (ago * 37) % 90 + 400 // (ago + 3) for ago in range(60)}
    await app.redis.hset(app.key("{board}:minutes"), mapping=minutes)
    how: Any = {"color_scheme": theme, "reduced_motion": "reduce"}
    stage.context = await browser.new_context(viewport={"width": 390, "height": 640}, **how)
    colours = f"&tgWebAppThemeParams={quote(json.dumps(THEMES[theme]), safe='')}"
    page = await stage.page(stage.address(1001, "Ada", start_param="157_211") + colours)
    await expect(page.locator("#rate")).to_contain_text("this minute", timeout=PATIENCE_MS)
    await expect(page.locator("html")).to_have_css("color-scheme", theme)
    await page.get_by_role("button", name="Show the whole board").click()
    await drawn(page)
    folder = ROOT / "docs" / "images" if os.environ.get("UPDATE_SCREENSHOTS") else tmp_path
    await page.screenshot(path=folder / name)
    assert 5_000 < (folder / name).stat().st_size < 150_000
