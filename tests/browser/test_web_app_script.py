"""Telegram's own script, as a package ships it, in a mini app on a phone of the sandbox."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiogram.types import InlineQueryResultArticle, InputTextMessageContent, LabeledPrice
from aiohttp import web
from deployment import PATIENCE_MS, watch_errors
from playwright.async_api import BrowserContext, FrameLocator, Locator, Page, expect

from sandbox.config import BotConfig, SandboxConfig
from sandbox_desk import ADA, BEN, TOKEN, Desk, desk
from shared.init_data import validate, webapp_key
from support import eventually

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-client")]

HTML = """<!doctype html><meta charset=utf-8><title>Script</title><link rel=icon href=data:,>
<script src="telegram-web-app.js"></script>
<script>
const app = Telegram.WebApp, told = (window.told = []);
for (const name of ["mainButtonClicked", "secondaryButtonClicked", "backButtonClicked", "settingsButtonClicked",
    "themeChanged", "invoiceClosed", "fullscreenChanged", "shareMessageSent"]) app.onEvent(name, () => told.push(name));
app.ready();
</script><p id=who></p><script>who.textContent = app.initDataUnsafe.user?.first_name</script>"""


class Stage:
    """A phone with the script's mini app open.

    Args:
        running: the sandbox.
        page: the browser's, with the phones.
    """

    def __init__(self, running: Desk, page: Page) -> None:
        self.running, self.page = running, page
        self.phone: Locator = page.locator(".phone").first
        self.app: FrameLocator = self.phone.frame_locator("iframe")

    async def run(self, script: str) -> Any:
        """Run something in the mini app; `app` is `Telegram.WebApp`."""
        return await self.app.locator("body").evaluate(f"() => {script}")

    async def asks(self, script: str, button: str) -> Any:
        """Call a method of the script that asks the user, press a button, and give what its callback got."""
        await self.run(f"void (window.got = new Promise(resolve => {script}))")
        await self.phone.get_by_role("alertdialog").get_by_role("button", name=button, exact=True).click()
        return await self.run("window.got")

    async def told(self, name: str) -> None:
        """Wait until the script told the page of an event."""

        async def there() -> bool:
            return name in await self.run("told")

        await eventually(there, what=f"the event {name}")


@asynccontextmanager
async def served(script: Path) -> AsyncIterator[str]:
    """Serve the mini app on an origin of its own."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=HTML, content_type="text/html")

    async def source(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(script)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/telegram-web-app.js", source)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_telegrams_own_script_runs_unchanged(context: BrowserContext, package: Path) -> None:
    script = package / "node_modules" / "@twa-dev" / "sdk" / "src" / "telegram-web-apps.js"
    assert script.exists(), "the package has its script elsewhere now"
    async with (
        served(script) as url,
        desk(SandboxConfig(bots=(BotConfig("counter", TOKEN, url, "counter"),))) as running,
    ):
        page = await context.new_page()
        await page.set_viewport_size({"width": 1200, "height": 900})
        errors = watch_errors(page)
        await page.goto(running.base)
        stage = Stage(running, page)
        await expect(stage.app.locator("#who")).to_have_text("Ada", timeout=PATIENCE_MS)
        await buttons_and_looks(stage)
        await questions(stage)
        await chat_and_payment(stage)
        await from_a_group(stage)
        assert errors == []
        await page.close()


def _config(url: str) -> SandboxConfig:
    return SandboxConfig(bots=(BotConfig("counter", TOKEN, url, "counter"),))


async def buttons_and_looks(stage: Stage) -> None:
    phone, run = stage.phone, stage.run
    assert await run("app.colorScheme") == "light"
    assert await run("app.version") == "8.0"
    for name, button in (("MainButton", "Pay"), ("SecondaryButton", "Later")):
        await run(f"void app.{name}.setText('{button}').show()")
        await phone.get_by_role("button", name=button, exact=True).click()
    await run("void (app.BackButton.show(), app.SettingsButton.show())")
    await phone.get_by_role("button", name="Back in the mini app").click()
    await phone.get_by_role("button", name="Settings of the mini app").click()
    for name in ("mainButton", "secondaryButton", "backButton", "settingsButton"):
        await stage.told(f"{name}Clicked")
    await run(
        "void (app.setHeaderColor('#224466'), app.setBackgroundColor('#eeffee'), app.setBottomBarColor('#ddeedd'))"
    )
    await expect(phone.locator(".mini-app")).to_have_class("mini-app dark-bar")
    await run("void app.HapticFeedback.notificationOccurred('success')")
    await run("void app.requestFullscreen()")
    await stage.told("fullscreenChanged")
    await expect(phone.locator(".mini-app")).to_have_class("mini-app dark-bar expanded fullscreen")
    assert await run("app.isFullscreen")
    await run("void app.exitFullscreen()")
    await stage.page.locator("#theme").click()
    await stage.told("themeChanged")
    assert await run("app.colorScheme") == "dark"
    await stage.page.locator("#theme").click()


async def questions(stage: Stage) -> None:
    run, asks = stage.run, stage.asks
    assert (
        await asks(
            "app.showPopup({message: 'Sure?', buttons: [{id: 'y', text: 'Yes'}, {id: 'n', text: 'No'}]}, resolve)",
            "Yes",
        )
        == "y"
    )
    assert await asks("app.showConfirm('Really?', resolve)", "OK") is True
    assert await asks("app.requestWriteAccess(resolve)", "Allow") is True
    assert (
        await asks("app.downloadFile({url: 'https://a.example/a.txt', file_name: 'a.txt'}, resolve)", "Cancel") is False
    )
    contact = await asks("app.requestContact((sent, answer) => resolve(answer.responseUnsafe.contact))", "Allow")
    assert contact["user_id"] == ADA
    stored = "app.CloudStorage.setItem('a', '1', () => app.CloudStorage.getItem('a', (_, value) => resolve(value)))"
    assert await run(f"new Promise(resolve => {stored})") == "1"
    assert await run("new Promise(resolve => app.CloudStorage.getKeys((_, keys) => resolve(keys)))") == ["a"]
    await run("void (window.scanned = new Promise(resolve => app.showScanQrPopup({}, text => (resolve(text), true))))")
    await stage.phone.get_by_label("Text of the code").fill("ticket 7")
    await stage.phone.get_by_label("Text of the code").press("Enter")
    assert await run("window.scanned") == "ticket 7"
    await run("void app.enableClosingConfirmation()")
    await stage.phone.get_by_role("button", name="Close the mini app").click()
    await expect(stage.phone.get_by_role("alertdialog")).to_contain_text("may not be saved")
    await stage.phone.get_by_role("button", name="Cancel").click()
    await run("void app.disableClosingConfirmation()")


async def chat_and_payment(stage: Stage) -> None:
    phone, run, running = stage.phone, stage.run, stage.running
    async with running.bot() as bot:
        link = await bot.create_invoice_link("A hat", "For you", "hat", "XTR", [LabeledPrice(label="Hat", amount=5)])
        await run(f"void app.openInvoice({json.dumps(link)}, status => (window.paid = status))")
        await phone.get_by_role("button", name="Pay ★ 5").click()
        query = await eventually(lambda: _checkout(bot))
        await bot.answer_pre_checkout_query(query, ok=True)
        await stage.told("invoiceClosed")
        assert await run("window.paid") == "paid"
        content = InputTextMessageContent(message_text="I won!")
        article = InlineQueryResultArticle(id="1", title="One", input_message_content=content)
        prepared = await bot.save_prepared_inline_message(user_id=ADA, result=article, allow_group_chats=True)
        assert await stage.asks(f"app.shareMessage('{prepared.id}', resolve)", "Share it here") is True
        await stage.told("shareMessageSent")
    await expect(phone.get_by_role("log")).to_contain_text("I won!", timeout=PATIENCE_MS)
    await run("void app.switchInlineQuery('cats')")
    await expect(phone.locator("textarea")).to_have_value("@counter_bot cats")


async def _checkout(bot: Any) -> str | None:
    for update in await bot.get_updates():
        if update.pre_checkout_query:
            return str(update.pre_checkout_query.id)
    return None


async def from_a_group(stage: Stage) -> None:
    """Tap a link in a group: the mini app opens with that group's launch parameters."""
    group = await stage.running.act(ADA, "groups", title="Chess club", members=[BEN])
    await stage.phone.get_by_role("tab", name="Chess club").click(timeout=PATIENCE_MS)
    await stage.running.act(
        BEN, "messages", chat_id=group["id"], text="Play https://t.me/counter_bot/counter?startapp=r7"
    )
    await stage.phone.get_by_role("link").click(timeout=PATIENCE_MS)
    await expect(stage.app.locator("#who")).to_have_text("Ada", timeout=PATIENCE_MS)
    launch = await stage.run("app.initDataUnsafe")
    assert (launch["chat_type"], launch["start_param"]) == ("supergroup", "r7")
    assert validate(await stage.run("app.initData"), webapp_key(TOKEN)).chat_instance == launch["chat_instance"]
    await stage.run("void app.openTelegramLink('https://t.me/counter_bot?startapp=again')")

    async def opened_again() -> bool:
        return str(await stage.run("app.initDataUnsafe.start_param")) == "again"

    await eventually(opened_again, what="the main mini app by its link")
