"""What the counter's page says when something is wrong, in words for people."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from deployment import PATIENCE_MS, ROOT, CounterPage, open_counter
from playwright.async_api import BrowserContext, expect
from stage import Stage, staged

from mini_apps.embedded import EmbeddedValkey

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]


@pytest_asyncio.fixture(loop_scope="session")
async def stage(context: BrowserContext, valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    pages = ROOT / "examples" / "counter" / "pages"
    how = {"app": "counter", "class_": "examples.counter.app:Counter"}
    async with staged(tmp_path, valkey.url, prefix, context, pages=pages, **how) as stage:
        yield stage


async def ends(counter: CounterPage, title: str) -> None:
    await expect(counter.page.get_by_role("heading")).to_have_text(title, timeout=PATIENCE_MS)
    await expect(counter.press).to_be_hidden()


async def test_a_banned_user_is_told_at_once_and_again_when_they_come_back(stage: Stage) -> None:
    await stage.node()
    counter = await open_counter(stage.context, stage.address(66))
    await stage.mini_apps("users", "ban", "66", "--app", stage.app)
    await ends(counter, "You cannot join in")
    await expect(counter.page.locator("#again")).to_be_hidden()
    await counter.page.reload()
    await ends(counter, "You cannot join in")


async def test_one_tab_too_many_says_so_and_can_be_taken_back(stage: Stage) -> None:
    await stage.node(WS__MAX_CONNECTIONS_PER_USER="1")
    one = await open_counter(stage.context, stage.address())
    two = await open_counter(stage.context, stage.address())
    await ends(one, "Open somewhere else")
    await one.page.locator("#again").click()
    await one.is_live()
    await ends(two, "Open somewhere else")


async def test_offline_clicks_are_counted_later(stage: Stage) -> None:
    await stage.node()
    counter = await open_counter(stage.context, stage.address())
    await counter.page.clock.install()
    await counter.page.reload()
    await counter.is_live()
    await stage.context.set_offline(True)
    await counter.page.clock.run_for(60_000)  # so the page finds out
    await expect(counter.page.locator("#state")).to_have_text("you are offline", timeout=PATIENCE_MS)
    await counter.press.click()
    await expect(counter.page.locator("#queued")).to_have_text("1 click waits for the connection")
    await stage.context.set_offline(False)
    await counter.is_live()
    await counter.shows(1)
