"""Tic-tac-toe in real windows: two people, two nodes, and what goes wrong between them."""

import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from deployment import PATIENCE_MS, ROOT, watch_errors
from playwright.async_api import Browser, BrowserContext, Page, Route, expect
from stage import Stage, staged

from mini_apps.embedded import EmbeddedValkey
from mini_apps.telegram_bot import load_bot
from sandbox.themes import THEMES

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]

ADA, BEN, EVE = 1001, 1002, 1003

# What Telegram's own app puts around a page; the test is the one who answers.
TELEGRAM = "window.told = []; window.TelegramWebviewProxy = { postEvent: (type) => told.push(type) };"


@pytest_asyncio.fixture(loop_scope="session")
async def stage(context: BrowserContext, valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    await load_bot()  # as every node of this app does; once, and not while a test waits for one
    pages = ROOT / "examples" / "tic_tac_toe" / "pages"
    how = {"app": "tic_tac_toe", "class_": "examples.tic_tac_toe.app:TicTacToe"}
    async with staged(tmp_path, valkey.url, prefix, context, pages=pages, **how) as stage:
        yield stage


class Player:
    """Somebody with the page open."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.cells = page.locator(".cell")
        self.errors = watch_errors(page)

    async def says(self, text: str | re.Pattern[str]) -> None:
        """Wait until the page says how the game stands."""
        await expect(self.page.locator("#status")).to_have_text(text, timeout=PATIENCE_MS)

    async def shows(self, board: str) -> None:
        """Wait until the page shows this board, nine of X, O and a dot, and nothing on its way."""
        marks = (
            "Array.from(document.querySelectorAll('.cell:not(.pending)'), cell => cell.dataset.mark || '.').join('')"
        )
        await self.page.wait_for_function(f"board => {marks} === board", arg=board, timeout=PATIENCE_MS)

    async def plays(self, cell: int) -> None:
        await self.says("Your turn")
        await self.cells.nth(cell).click()

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click(timeout=PATIENCE_MS)

    async def is_live(self) -> None:
        await expect(self.page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)

    async def game(self) -> str:
        """Read from the address which game this is."""
        await self.page.wait_for_url("**/?game=g*")
        return re.search(r"game=([\w-]+)", self.page.url)[1]

    async def node(self) -> str:
        return (await self.page.locator("#node").inner_text()).removeprefix("node ")


async def opened(
    stage: Stage, user: int, name: str, game: str = "", theme: str = "light", context: BrowserContext | None = None
) -> Player:
    """Open the page, by the link to a game if one is given."""
    player = Player(await (context or stage.context).new_page())
    start = {"start_param": game} if game else {}
    theme_params = quote(json.dumps(THEMES[theme]), safe="")
    await player.page.goto(f"{stage.address(user, name, **start)}&tgWebAppThemeParams={theme_params}")
    await player.is_live()
    return player


async def begun(stage: Stage, **how: str) -> tuple[Player, Player]:
    """Open two pages, whose users play with each other; Ada begins."""
    ada = await opened(stage, ADA, "Ada")
    await ada.press("New game")
    ben = await opened(stage, BEN, "Ben", await ada.game())
    await let_in(ada, ben)
    return ada, ben


async def let_in(ada: Player, ben: Player) -> None:
    await ben.press("Play with Ada")
    await ben.says("Asked Ada. Wait for them to let you in.")
    await ada.press("Play with Ben")
    await ada.says("Your turn")
    await ben.says("Ada is thinking…")


async def test_a_game_on_two_nodes_outlives_the_one_that_is_killed(
    stage: Stage, browser: Browser, tmp_path: Path
) -> None:
    night = await browser.new_context(viewport={"width": 390, "height": 700}, locale="en-GB")
    async with stage.mortal_node("ws-1") as victim:
        ada = await opened(stage, ADA, "Ada")
        await ada.press("New game")
        await stage.node("ws-2")
        ben = await opened(stage, BEN, "Ben", await ada.game(), "dark", night)
        assert [await ada.node(), await ben.node()] == ["ws-1", "ws-2"]
        await let_in(ada, ben)
        await ada.plays(4)
        await ben.plays(0)
        await ada.says("Your turn")
        victim.kill()
        await ada.cells.nth(2).click()  # into the dead connection, or while there is none
        await ben.shows("O.X.X....")
        await ada.shows("O.X.X....")
        assert await ada.node() == "ws-2"
        await ben.plays(1)
        await ada.plays(6)
        await ada.says("You win!")
        await ben.says("Ada wins.")
        folder = ROOT / "docs" / "images" if os.environ.get("UPDATE_SCREENSHOTS") else tmp_path
        for player, name in ((ada, "tic_tac_toe.png"), (ben, "tic_tac_toe-dark.png")):
            await player.page.evaluate("Promise.all(document.getAnimations().map(({ finished }) => finished))")
            await player.page.screenshot(path=folder / name)
            assert 5_000 < (folder / name).stat().st_size < 150_000
        assert ben.errors == []


async def test_it_is_played_by_keyboard_to_a_draw_with_somebody_watching_and_once_more(stage: Stage) -> None:
    await stage.node()
    ada, ben = await begun(stage)
    eve = await opened(stage, EVE, "Eve", await ada.game())
    await eve.says("Ada is to move.")
    await expect(ada.page.locator("#watching")).to_have_text("1 watches")
    await ada.cells.nth(4).focus()
    walks: list[tuple[str, ...]] = [
        (),
        ("Up", "Right"),
        ("Down", "Left", "Left"),
        ("Down", "Right", "Right"),
        ("Left",),
    ]
    for answer, steps in zip((0, 6, 5, 1, None), walks, strict=True):
        await ada.says("Your turn")
        for step in steps:
            await ada.page.keyboard.press(f"Arrow{step}")
        await ada.page.keyboard.press("Enter")
        if answer is not None:
            await ben.plays(answer)
    await eve.shows("OOXXXOOXX")
    await eve.says("A draw!")
    await expect(ada.cells.nth(7)).to_have_attribute("aria-label", "Row 3, column 2: X")
    await ada.page.keyboard.press("Tab")
    await expect(ada.page.get_by_role("button", name="Rematch")).to_be_focused()
    await ada.page.keyboard.press("Enter")
    await ada.says("Asked Ben for a rematch…")
    await ben.says("A draw! Ada wants a rematch!")
    await ben.press("Rematch")
    await ben.says("Your turn")  # who did not begin begins now
    await eve.shows(".........")
    assert (ada.errors, ben.errors, eve.errors) == ([], [], [])


async def test_what_is_pressed_twice_or_in_two_tabs_counts_once(stage: Stage) -> None:
    await stage.node()
    ada, ben = await begun(stage)
    tab = await opened(stage, ADA, "Ada", await ada.game())
    await tab.says("Your turn")
    await ada.cells.nth(4).dblclick()
    await tab.shows("....X....")
    await ben.plays(0)
    await tab.plays(8)
    await ada.shows("O...X...X")
    await ada.says("Ben is thinking…")
    assert (ada.errors, tab.errors, ben.errors) == ([], [], [])


async def test_a_move_made_offline_is_made_when_the_phone_is_back(stage: Stage) -> None:
    await stage.node()
    ada, ben = await begun(stage)
    await ada.page.clock.install()
    await ada.page.reload()
    await ada.says("Your turn")
    await stage.context.set_offline(True)
    await ada.page.clock.run_for(60_000)  # so the page finds out
    await expect(ada.page.locator("#state")).to_have_text("you are offline", timeout=PATIENCE_MS)
    await ada.cells.nth(4).click()
    await ada.says("Your move is on its way…")
    await stage.context.set_offline(False)
    await ada.shows("....X....")
    await ben.shows("....X....")
    await ben.says("Your turn")


async def test_the_host_may_say_no_and_either_may_leave_whatever_their_names(stage: Stage) -> None:
    await stage.node()
    name = "<img src=x onerror=document.title='owned'><b>Bobby"
    await stage.context.add_init_script(TELEGRAM)
    ada = await opened(stage, ADA, "Ada")
    await ada.press("New game")
    game = await ada.game()
    await ada.press("Tell me when somebody comes")
    assert await ada.page.evaluate("told.includes('web_app_request_write_access')")
    await ada.page.evaluate("Telegram.WebView.receiveEvent('write_access_requested', { status: 'allowed' })")
    await expect(ada.page.locator("#tell-me")).to_be_hidden()
    eve, bobby = await opened(stage, EVE, "Eve", game), await opened(stage, BEN, name, game)
    await eve.press("Play with Ada")
    await ada.press("Not now: Eve")
    await eve.says("Ada would rather not play with you now. You can watch.")
    await bobby.press("Play with Ada")
    await expect(ada.page.locator(".request span")).to_have_text(name)
    await ada.press(f"Play with {name}")
    await expect(ada.page.locator("#two .who")).to_have_text(name)
    await ada.plays(4)
    await ada.says(f"{name} is thinking…")
    await ada.press("Give up")
    await expect(ada.page.get_by_role("heading", name="Tic-tac-toe")).to_be_visible()
    await bobby.says("Ada has left. Invite somebody to play with.")
    await bobby.page.reload()  # comes back to the game
    await bobby.says("Ada has left. Invite somebody to play with.")
    await eve.says(f"Ada has left. {name} is looking for somebody to play with.")
    await eve.press(f"Play with {name}")
    await bobby.press("Play with Eve")
    await bobby.says("Eve is thinking…")
    await eve.page.locator("#back").click()
    await expect(eve.page.locator("#games-list")).to_contain_text(f"With {name}")
    for page in (ada.page, eve.page, bobby.page):
        assert await page.locator("img, b").count() == 0
        assert await page.title() == "Tic-tac-toe"


async def test_what_stands_in_the_way_is_told_kindly(stage: Stage) -> None:
    await stage.node(APPS__TIC_TAC_TOE__BANNED=f"[{BEN}]")
    page = await stage.context.new_page()
    for address, title in (
        (stage.address(auth_date=int(time.time()) - 90_000), "Please open me again"),
        (stage.address(BEN, "Ben"), "You cannot join in"),
    ):
        await page.goto("about:blank")
        await page.goto(address)
        await expect(page.get_by_role("heading")).to_have_text(title, timeout=PATIENCE_MS)
        await expect(page.locator("#new")).to_be_hidden()

    async def down(route: Route) -> None:
        await route.fulfill(status=502, body="Bad gateway")

    await page.route("**/settings.json", down)
    await page.goto("about:blank")
    await page.goto(stage.address(start_param="gAAAAAAAAAAAA"))
    await expect(page.locator("#state")).to_have_text("reconnecting…", timeout=PATIENCE_MS)
    await page.unroute("**/settings.json")
    await expect(page.locator("#toast")).to_have_text("This game is over. Start a new one!", timeout=PATIENCE_MS)
    await expect(page.locator("#new")).to_be_visible()
