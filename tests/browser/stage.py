"""A small deployment inside the test process, gateway and nodes, and pages that use the client there."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deployment import ROOT
from playwright.async_api import BrowserContext, Page

from gateway_support import Gateway, running, settings_of
from mini_apps.testing import sign_init_data
from nodes import Cluster, RunningNode
from support import TOKEN, eventually

PAGE = "<!doctype html><title>Chat</title><link rel=icon href=data:,><p id=name></p>"

# What a page remembers for the test: every state, and every message in order.
OPEN = """
async (options) => {
  const { connect } = await import("/client/mini-apps.js");
  if (options.packed) options.codec = (await import("/client/msgpack.js")).msgpack;
  window.mesh = await connect(options);
  window.states = [];
  window.heard = [];
  mesh.onState((state, { code, reason }) => states.push([state, code, reason]));
  mesh.on("*", (message) => heard.push(message));
}
"""


class Stage:
    """A gateway and a cluster of nodes on one Redis, and a browser.

    Args:
        app: the app's name.
        gateway: the gateway.
        cluster: where nodes are started.
        context: of the browser.
    """

    def __init__(self, app: str, gateway: Gateway, cluster: Cluster, context: BrowserContext) -> None:
        self.app = app
        self.gateway = gateway
        self.context = context
        self._cluster = cluster

    async def node(self, name: str = "ws-1", **settings: str) -> RunningNode:
        """Start a node in this process and wait until the gateway sends clients there."""
        node = await self._cluster.node(name, **settings)
        await eventually(lambda: self._sends_to(name), seconds=300, what=f"clients sent to {name}")
        return node

    @contextlib.asynccontextmanager
    async def mortal_node(self, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start a node as a process of its own, to be killed."""
        named = {**self._cluster.settings, "WS__NODE_ID": name}
        process = await self._python("ws_server", **named)
        try:
            # Long, because an app that calls Telegram loads aiogram first, which takes a busy machine a while.
            await eventually(lambda: self._sends_to(name), seconds=180, what=f"clients sent to {name}")
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # the test has killed it
                process.kill()
            await process.wait()

    async def mini_apps(self, *arguments: str) -> None:
        """Run a command of `mini-apps` on this deployment."""
        process = await self._python("mini_apps", *arguments, **self._cluster.settings)
        assert await process.wait() == 0

    async def _python(self, module: str, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
        environ = {**os.environ, **{f"MINI_APPS__{key}": value for key, value in settings.items()}}
        environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "browser")))
        return await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, cwd=ROOT, env=environ)

    async def _sends_to(self, name: str) -> bool:
        status, body, _ = await self.gateway.get(f"/negotiate?app={self.app}")
        return status == 200 and json.loads(body)["node"] == name

    def address(self, user: int = 1001, name: str = "Ada", **fields: Any) -> str:
        """Return the address Telegram would open the page with."""
        data = sign_init_data(TOKEN, user={"id": user, "first_name": name}, **fields)
        return f"{self.gateway.url}/apps/{self.app}/#tgWebAppData={quote(data, safe='')}&tgWebAppVersion=8.0"

    async def page(self, address: str = "") -> Page:
        """Open the page, which does nothing yet."""
        page = await self.context.new_page()
        page.set_default_timeout(90_000)
        await page.goto(address or self.address())
        return page

    async def connected(self, address: str = "", **options: Any) -> Page:
        """Open the page and wait until it is logged in."""
        page = await self.page(address)
        await page.evaluate(OPEN, options)
        await state(page, "open")
        return page


async def state(page: Page, wanted: str) -> None:
    """Wait until the page's connection is in a state."""
    await page.wait_for_function("wanted => mesh.state === wanted", arg=wanted)


async def hears(page: Page, type_: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait until the page has heard so many messages of a type, and return them."""
    heard = "type => heard.filter((message) => message.type === type)"
    await page.wait_for_function(f"([type, count]) => ({heard})(type).length >= count", arg=[type_, count])
    found: list[dict[str, Any]] = await page.evaluate(heard, type_)
    return found


@contextlib.asynccontextmanager
async def staged(
    folder: Path, redis_url: str, prefix: str, context: BrowserContext,
    *, app: str = "chat", class_: str = "chat_app:Chat", html: str = PAGE, pages: Path | None = None, more: str = "",
) -> AsyncIterator[Stage]:  # fmt: skip
    """Run a gateway for one app (`more`: further settings) and its page, or folder of pages; no node yet."""
    if pages is None:
        pages = folder / "pages"
        pages.mkdir()
        (pages / "index.html").write_text(html)
    text = f'[apps.{app}]\nbot-token = "{TOKEN}"\npages = "{pages}"\n{more}\n'
    classes = {f"APPS__{app.upper()}__CLASS": class_, f"APPS__{app.upper()}__BOT_TOKEN": TOKEN}
    cluster = Cluster(folder, redis_url, prefix, WS__MESSAGES_PER_SECOND="0", **classes)
    try:
        async with running(settings_of(folder, redis_url, prefix, text=text, negotiate_per_minute=0)) as gateway:
            yield Stage(app, gateway, cluster, context)
    finally:
        await cluster.aclose()
