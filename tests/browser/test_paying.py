"""A mini app on a phone sells something and shares a message: page, node, bot worker and local Telegram together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from deployment import PATIENCE_MS, watch_errors
from playwright.async_api import BrowserContext, FrameLocator, Locator, expect

from mini_apps.embedded import EmbeddedValkey
from reach_rig import Rig, reach
from shared.broker import Broker

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]

PAGE = """<!doctype html><title>Shop</title>
<p id="state"></p><p id="status"></p><p id="payment"></p>
<button id="buy">Buy a hat</button><button id="share">Share</button><button id="allow">Allow</button>
<script type="module">
const show = (id, text) => (document.getElementById(id).textContent = text);
const post = (eventType, eventData = {}) => parent.postMessage(JSON.stringify({ eventType, eventData }), "*");
const data = new URLSearchParams(location.hash.slice(1)).get("tgWebAppData");
const socket = new WebSocket(await (await fetch("node")).text());
const say = (message) => socket.send(JSON.stringify(message));
socket.onmessage = (event) => {
  const message = JSON.parse(event.data);
  if (message.type === "connect") say({ type: "login", app: "chat", data });
  if (message.type === "welcome") show("state", "live");
  if (message.type === "reply" && message.id === 1) post("web_app_open_invoice", { slug: message.data.split("$")[1] });
  if (message.type === "reply" && message.id === 2) post("web_app_send_prepared_message", { id: message.data });
  if (message.type === "payment") show("payment", `${message.payload}: ${message.amount} ${message.currency}`);
  if (message.type === "error") show("status", message.msg);
};
addEventListener("message", (event) => {
  const { eventType, eventData } = JSON.parse(event.data);
  if (eventType === "invoice_closed") show("status", eventData.status);
  if (eventType === "prepared_message_sent") show("status", "shared");
  if (eventType === "write_access_requested") show("status", eventData.status);
});
document.getElementById("buy").onclick = () => say({ type: "sell", payload: "hat-7", id: 1 });
document.getElementById("share").onclick = () => say({ type: "prepare", result: "I won!", id: 2 });
document.getElementById("allow").onclick = () => post("web_app_request_write_access");
</script>"""


@asynccontextmanager
async def _pages() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Serve the mini app on an origin of its own; the node's address is filled in later."""
    told: dict[str, str] = {}

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def node(_request: web.Request) -> web.Response:
        return web.Response(text=told["node"])

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/node", node)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", told
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _phone(context: BrowserContext, rig: Rig) -> AsyncIterator[tuple[Locator, FrameLocator, list[str]]]:
    page = await context.new_page()
    await page.set_viewport_size({"width": 1100, "height": 900})
    errors = watch_errors(page)
    await page.goto(rig.telegram.base)
    phone = page.locator(".phone").first
    app = phone.frame_locator("iframe")
    await expect(app.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
    yield phone, app, errors
    await page.close()


async def test_ada_buys_a_hat_and_shares_a_message(
    context: BrowserContext, valkey: EmbeddedValkey, broker: Broker, tmp_path: Path
) -> None:
    async with _pages() as (url, told), reach(valkey, broker, tmp_path, url) as rig:
        told["node"] = (await rig.cluster.node()).url
        async with _phone(context, rig) as (phone, app, errors):
            status, log = app.locator("#status"), phone.get_by_role("log")
            await app.locator("#buy").click()
            dialog = phone.get_by_role("alertdialog", name="A hat")
            await expect(dialog).to_contain_text("For your player", timeout=PATIENCE_MS)
            await dialog.get_by_role("button", name="Cancel").click()
            await expect(status).to_have_text("cancelled", timeout=PATIENCE_MS)
            await app.locator("#buy").click()
            await phone.get_by_role("button", name="Pay ★ 50").click(timeout=PATIENCE_MS)
            await expect(status).to_have_text("paid", timeout=PATIENCE_MS)
            await expect(app.locator("#payment")).to_have_text("hat-7: 50 XTR", timeout=PATIENCE_MS)
            await expect(log).to_contain_text("You paid ★ 50.", timeout=PATIENCE_MS)
            await app.locator("#share").click()
            await phone.get_by_role("button", name="Share it here").click(timeout=PATIENCE_MS)
            await expect(status).to_have_text("shared", timeout=PATIENCE_MS)
            await expect(log).to_contain_text("I won!", timeout=PATIENCE_MS)
            await app.locator("#allow").click()
            await phone.get_by_role("button", name="Allow").last.click(timeout=PATIENCE_MS)
            await expect(status).to_have_text("allowed", timeout=PATIENCE_MS)
            await expect(log).to_contain_text("You allowed this bot to message you.", timeout=PATIENCE_MS)
            assert errors == []
