"""What users try all the time while something is broken: open the page, log in, write to the bot."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from websockets.exceptions import WebSocketException

from bench.compose.page import Refused, init_data, opened
from bench.compose.stack import PEOPLE, Stack

PAUSE_SECONDS = 0.2
SLOW_SECONDS = 2.0  # an answer that takes longer, and longer than any before the faults, counts as none until it comes
PATIENCE = 30.0  # then the bot's answer is given up: it makes none twice, so what its worker died with never comes
SETTLED = 3  # good answers in a row, after which it works again
FIRST_NEW_USER = 1_000_000

_numbers = itertools.count(FIRST_NEW_USER)
_texts = itertools.count(1)


class Probe:
    """One thing that is tried again and again.

    Args:
        what: in words.
        once: does it, and raises where it does not work.
    """

    def __init__(self, what: str, once: Callable[[], Awaitable[Any]]) -> None:
        self.what = what
        self.tries = 0
        self._once = once
        self._slow = SLOW_SECONDS
        self._longest = 0.0
        self._bad_until = 0.0
        self._good = 0
        self._since = time.monotonic()

    async def run(self) -> None:
        """Try for ever."""
        while True:
            await self._try()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _try(self) -> None:
        began = time.monotonic()
        self.tries += 1
        try:
            await self._once()
        except (OSError, TimeoutError, Refused, WebSocketException, aiohttp.ClientError):
            worked = False
        else:
            worked = True
        now = time.monotonic()
        self._longest = max(self._longest, now - began)
        if not worked or now - began > self._slow:
            self._bad_until = now
        self._good = self._good + 1 if worked and began >= self._since else 0

    def measure(self) -> float:
        """Take what it took at most so far for usual, and return that, seconds."""
        self._slow = max(SLOW_SECONDS, 1.5 * self._longest)
        return self._longest

    def begin(self) -> None:
        """Count from now on."""
        self._since, self._good, self._bad_until = time.monotonic(), 0, 0.0

    @property
    def settled(self) -> bool:
        """Whether it works, seen several times in a row since `begin`."""
        return self._good >= SETTLED

    @property
    def away(self) -> float:
        """Seconds from `begin` to the end of the last try that did not work; 0 when all did."""
        return max(0.0, self._bad_until - self._since)


async def new_login(stack: Stack) -> str:
    """Log somebody in who was never here, which needs nginx, a node, Redis and the database; return the node."""
    user = next(_numbers)
    async with asyncio.timeout(PATIENCE), opened(stack) as page:
        await page.log_in(init_data(stack, user))
        return page.node


async def heard(stack: Stack, http: aiohttp.ClientSession, user: int) -> None:
    """Write to the bot and wait for its answer in the chat."""
    text = f"hello {next(_texts)}"
    chat = f"{stack.sandbox}/users/{user}"
    async with http.post(f"{chat}/messages", json={"text": text}) as answer:
        answer.raise_for_status()
    async with asyncio.timeout(PATIENCE):
        while True:
            async with http.get(f"{chat}/chat") as answer:
                messages = (await answer.json())["messages"]
            if any(message.get("text") == f"heard: {text}" for message in messages[-4:]):
                return
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def probing(stack: Stack) -> AsyncIterator[list[Probe]]:
    """Let people try everything while the block runs."""

    async def page() -> None:
        async with http.get(f"{stack.url}/apps/rooms/") as answer:
            answer.raise_for_status()

    def talk(user: int) -> Callable[[], Awaitable[None]]:
        return lambda: heard(stack, http, user)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as http:
        probes = [Probe("page", page), Probe("login", lambda: new_login(stack))]
        probes += [Probe("bot", talk(user)) for user in PEOPLE]
        tasks = [asyncio.create_task(probe.run(), name=probe.what) for probe in probes]
        try:
            yield probes
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
