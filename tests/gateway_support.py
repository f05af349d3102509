"""A gateway inside the test process, and one as a real process."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp

from gateway.server import serve
from shared.lifecycle import Process
from shared.settings import Settings, load
from support import TOKEN, eventually

SETTINGS = f"""
[apps.counter]
bot-token = "{TOKEN}"
pages = "pages"
[apps.bare]
"""


def settings_of(folder: Path, redis_url: str, prefix: str, *, text: str = SETTINGS, **gateway: object) -> Settings:
    """Write a settings file (once) and read it, with port 0 and overrides of `[gateway]`."""
    path = folder / "mini-apps.toml"
    path.write_text(text)
    environ = {"MINI_APPS__REDIS__URL": redis_url, "MINI_APPS__REDIS__PREFIX": prefix}
    environ["MINI_APPS__GATEWAY__PORT"] = "0"
    environ |= {f"MINI_APPS__GATEWAY__{name.upper()}": str(value) for name, value in gateway.items()}
    return load(path, environ)


class Gateway:
    """A running gateway and a client session that talks to it."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession, process: Process) -> None:
        self.settings = settings
        self.session = session
        self.process = process

    @property
    def port(self) -> int:
        """Where it listens; 0 until it does."""
        return self.process.port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str, **headers: str) -> tuple[int, bytes, "aiohttp.typedefs.LooseHeaders"]:
        """GET `path` (as it is: nothing is normalised) and return status, body, headers."""
        from yarl import URL

        url = URL(self.url + path, encoded=True)
        async with self.session.get(url, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.read(), answer.headers

    async def status(self, path: str) -> int:
        """GET `path`; 0 where nobody listens."""
        try:
            return (await self.get(path))[0]
        except aiohttp.ClientConnectionError:
            return 0


@contextlib.asynccontextmanager
async def running(settings: Settings, *, wait_for: str = "/readyz") -> AsyncIterator[Gateway]:
    """Run a gateway in this process until the block ends."""
    process = Process("gateway", drain_seconds=10)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        gateway = Gateway(settings, session, process)
        task = asyncio.create_task(serve(process, settings))
        try:
            async with asyncio.timeout(30):
                while await gateway.status(wait_for) != 200:
                    if task.done():
                        task.result()
                    await asyncio.sleep(0.02)
            yield gateway
        finally:
            process.stopping.set()
            if wait_for != "/readyz":
                task.cancel()  # it may still wait for Redis, which `shared.lifecycle` interrupts likewise
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.contextmanager
def started(folder: Path, redis_url: str, prefix: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start `python -m gateway` with the settings file in `folder`; its output goes to `folder/log`."""
    environ = {**os.environ, "MINI_APPS__REDIS__URL": redis_url, "MINI_APPS__REDIS__PREFIX": prefix}
    command = [sys.executable, "-m", "gateway", "--settings", str(folder / "mini-apps.toml"), *arguments]
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(command, env=environ, stdout=log, stderr=log, text=True, cwd=Path(__file__).parents[1])
        try:
            yield child
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            child.wait()


async def answers(url: str, status: int = 200) -> None:
    """Wait until `url` answers with `status`."""

    async def asked() -> bool:
        try:
            async with session.get(url) as answer:
                return answer.status == status
        except aiohttp.ClientConnectionError:
            return False

    async with aiohttp.ClientSession() as session:
        await eventually(asked, seconds=300, what=f"{url} answering {status}")
