"""A whole deployment as a user starts it, `mini-apps dev`, and the pages of its counter in a real browser."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from playwright.async_api import BrowserContext, Page, expect

from mini_apps.testing import sign_init_data
from sandbox.themes import THEMES
from support import TOKEN

ROOT = Path(__file__).parents[2]
START_SECONDS = 300.0
STOP_SECONDS = 90.0
PATIENCE_MS = 90_000
NODES = ("ws-1", "ws-2")


class Deployment:
    """`mini-apps dev` with the counter, running."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mini_apps", "dev", "examples.counter.app:Counter", "--port", "0"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.url = self._wait_for(r"open +(http://\S+)/")
            self.sandbox = self._wait_for(r"sandbox +(http://\S+)")
        except BaseException:
            self.stop()
            raise

    def _wait_for(self, pattern: str) -> str:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            if found := re.search(pattern, self._log.read_text()):
                return found[1]
            threading.Event().wait(0.05)
        raise AssertionError(f"the deployment did not start:\n{self._log.read_text()}")

    def stop(self) -> int:
        """Stop it as Ctrl-C does; whatever is left after that is killed, and is a failure."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise

    def is_ready(self, name: str) -> bool:
        """Tell whether a node serves."""
        address = self._wait_for(rf"{name} +ws://(\S+)/ws")
        try:
            with urlopen(f"http://{address}/readyz") as response:
                return bool(response.status == HTTPStatus.OK)
        except OSError:  # refused, or 503
            return False

    def kill_node(self, name: str) -> bool:
        """End a node as a crash does; false when it is not running just now."""
        pids = [pid for pid in _descendants(self._process.pid) if b"--node-id\0" + name.encode() in _command(pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return bool(pids)

    def counter(self, user: int, name: str = "", *, theme: str = "light", **fields: Any) -> str:
        """Return the address Telegram would open the counter with."""
        person = {"id": user, "first_name": name or f"User {user}"}
        data = sign_init_data(TOKEN, user=person, **fields)
        theme_params = quote(json.dumps(THEMES[theme]), safe="")
        return f"{self.url}/apps/counter/#tgWebAppData={quote(data, safe='')}&tgWebAppThemeParams={theme_params}"


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = list(parents.get(pid, ()))
    for child in found:
        found.extend(parents.get(child, ()))
    return found


class CounterPage:
    """The counter as a person sees it; also inside a phone of the sandbox."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.press = page.locator("#press")

    async def is_live(self) -> None:
        """Wait until it says so."""
        await expect(self.page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
        await expect(self.page.locator("#count")).to_have_text(re.compile(r"\d"), timeout=PATIENCE_MS)

    async def shows(self, count: int) -> None:
        """Wait until it shows the count."""
        await expect(self.page.locator("#count")).to_have_text(f"{count:,}", timeout=PATIENCE_MS)

    async def count(self) -> int:
        """Read the count."""
        return int((await self.page.locator("#count").inner_text()).replace(",", ""))

    async def node(self) -> str:
        """Read the name of the node."""
        return (await self.page.locator("#node").inner_text()).removeprefix("node ")


async def open_counter(context: BrowserContext, address: str) -> CounterPage:
    """Open the counter in a window of its own and wait until it is live."""
    counter = CounterPage(await context.new_page())
    await counter.page.goto(address)
    await counter.is_live()
    return counter


async def one_on_each_node(context: BrowserContext, deployment: Deployment) -> tuple[CounterPage, CounterPage]:
    """Open windows until both nodes have one."""
    found: dict[str, CounterPage] = {}
    for user in range(2001, 2031):
        counter = await open_counter(context, deployment.counter(user))
        if await counter.node() in found:
            await counter.page.close()
            continue
        found[await counter.node()] = counter
        if len(found) == len(NODES):
            return found["ws-1"], found["ws-2"]
    raise AssertionError(f"thirty windows, and all on {set(found)}")


def watch_errors(page: Page) -> list[str]:
    """Collect what a page throws and logs as an error."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors
