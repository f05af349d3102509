"""The page with phones in a real Chromium: chat, buttons, the mini app in its frame, and hostile names."""

import os
import shutil

import pytest
from aiohttp import web
from playwright.async_api import async_playwright, expect

from sandbox.config import DEFAULT_USERS, BotConfig, SandboxConfig
from sandbox.model import User
from sandbox_desk import ADA, TOKEN, desk
from shared.init_data import validate, webapp_key

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"
APP = """<!doctype html><p id=got></p><button id=grow>grow</button><button id=shut>shut</button><script>
const post = (eventType, eventData) => parent.postMessage(JSON.stringify({ eventType, eventData }), "*");
const data = new URLSearchParams(location.hash.slice(1)).get("tgWebAppData");
window.initData = data;
addEventListener("message", (event) => {
  const { eventType, eventData } = JSON.parse(event.data);
  if (eventType === "main_button_pressed") got.textContent += " pressed";
  if (eventType === "theme_changed") got.textContent += ` ${eventData.theme_params.bg_color}`;
  if (eventType === "viewport_changed" && eventData.is_expanded) got.textContent += " expanded";
});
grow.onclick = () => post("web_app_expand");
shut.onclick = () => post("web_app_close");
post("web_app_ready");
post("web_app_setup_main_button", { is_visible: true, text: "Press <b>me</b>", is_active: true });
post("web_app_request_theme");
</script>"""


@pytest.fixture
async def browser():
    """Chromium of this system."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium here: apt-get install chromium")
        pytest.skip("no Chromium here: apt-get install chromium")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@pytest.fixture
async def table():
    """A sandbox with a hostile third user, its mini app, and a bot to drive."""

    async def mini_app(_request):
        return web.Response(text=APP, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", mini_app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    config = SandboxConfig(bots=(BotConfig("counter", TOKEN, url),), users=(*DEFAULT_USERS, User(1003, HOSTILE)))
    async with desk(config) as running, running.bot() as bot:
        yield running, bot
    await runner.cleanup()


async def test_two_people_at_the_desk(table, browser):
    running, bot = table
    page = await browser.new_page(color_scheme="light")
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(running.base)
    ada, ben = page.get_by_role("article", name="Ada"), page.get_by_role("article", name="Ben")

    for phone, user in ((ada, ADA), (ben, 1002)):
        frame = phone.frame_locator("iframe")
        await expect(frame.locator("#got")).to_contain_text("#ffffff")
        data = await frame.locator("#got").evaluate("() => window.initData")
        assert validate(data, webapp_key(TOKEN)).telegram_id == user

    await ada.get_by_role("button", name="START").click()
    (update,) = await bot.get_updates(timeout=10)
    assert (update.message.from_user.id, update.message.text) == (ADA, "/start")
    markup = {"inline_keyboard": [[{"text": "Go", "callback_data": "go"}]]}
    await bot.send_message(ADA, "<b>Hello</b> &lt;i&gt;you", parse_mode="HTML", reply_markup=markup)
    await expect(ada.locator(".bubble strong")).to_have_text("Hello")
    await expect(ada.locator(".bubble").last).to_contain_text("<i>you")
    await expect(ben.locator(".bubble")).to_have_count(0)

    await ada.get_by_role("button", name="Go").click()
    (update,) = await bot.get_updates(offset=update.update_id + 1, timeout=10)
    await bot.answer_callback_query(update.callback_query.id, text="A <u>toast</u>")
    await expect(ada.locator(".toast")).to_have_text("A <u>toast</u>")

    frame = ada.frame_locator("iframe")
    await ada.get_by_role("button", name="Press <b>me</b>").click()
    await expect(frame.locator("#got")).to_contain_text("pressed")
    await frame.get_by_text("grow").click()
    await expect(frame.locator("#got")).to_contain_text("expanded")
    await page.get_by_role("button", name="Switch to dark").click()
    await expect(frame.locator("#got")).to_contain_text("#1c242e")
    await frame.get_by_text("shut").click()
    await expect(ada.locator("iframe")).to_have_count(0)
    await ada.get_by_role("button", name="open the mini app").click()
    await expect(ada.locator("iframe")).to_have_count(1)
    assert errors == []


async def test_html_in_a_name_stays_text(table, browser):
    running, bot = table
    page = await browser.new_page()
    await page.goto(running.base)
    await page.get_by_role("button", name="+ phone").click()
    phone = page.locator(".phone").nth(2)
    await expect(phone.locator("h2")).to_have_text(HOSTILE)
    await running.act(1003, "messages", text=HOSTILE)
    await expect(phone.locator(".bubble .text")).to_have_text(HOSTILE)
    message = (await bot.get_updates())[-1].message
    await bot.send_message(1003, HOSTILE, reply_to_message_id=message.message_id)
    await expect(phone.locator(".quote")).to_contain_text(HOSTILE)
    assert await page.locator(".phones img").count() == 0
    assert await page.title() == "Counter: Sandbox"


async def test_the_keyboard_is_enough(table, browser):
    running, bot = table
    page = await browser.new_page()
    await page.goto(running.base)
    box = page.get_by_role("textbox", name="Message of Ada")
    await box.focus()
    await page.keyboard.type("/start x")
    await page.keyboard.press("Enter")
    (update,) = await bot.get_updates(timeout=10)
    assert update.message.text == "/start x"
    await expect(box).to_have_value("")
    await expect(box).to_be_focused()


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_sticks_out(table, browser, width):
    running, _ = table
    page = await browser.new_page(viewport={"width": width, "height": 740})
    await page.goto(running.base)
    await expect(page.locator("iframe")).to_have_count(2)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_page_comes_back_after_the_stream_broke(table, browser):
    running, _ = table
    page = await browser.new_page()
    await page.goto(running.base)
    await expect(page.locator(".phone")).to_have_count(2)
    await page.context.set_offline(True)  # new connections fail, so what is sent now is missed
    for feed in list(running.runtime._feeds):
        feed.put(None)
    await expect(page.get_by_role("alert")).to_be_visible()
    await running.act(ADA, "messages", text="meanwhile")
    await page.context.set_offline(False)
    await expect(page.get_by_role("article", name="Ada").locator(".text")).to_have_text("meanwhile")
    await expect(page.get_by_role("alert")).to_be_hidden()
