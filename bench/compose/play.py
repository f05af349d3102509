"""What works in a fresh deployment: logins on all nodes, rooms across them, webhook, pictures, and who is kept out."""

import asyncio
import base64
import contextlib
import time
from typing import Any

import aiohttp
from websockets.exceptions import InvalidStatus, WebSocketException

from bench.compose.page import Page, Refused, init_data, opened
from bench.compose.probes import heard
from bench.compose.stack import NAME, PEOPLE, Stack
from bench.processes import MeasurementFailed

MANY_TRIES = 60
FIRST_VISITOR = 800_000
PICTURE = base64.b64decode(  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


async def play(stack: Stack, nodes: int) -> list[Page]:
    """Go through it all.

    Args:
        stack: a running deployment.
        nodes: how many WebSocket nodes it has.

    Returns:
        The pages that were open, for their session tokens.

    Raises:
        MeasurementFailed: something does not work.
    """
    async with contextlib.AsyncExitStack() as opening:
        pages = await _one_on_each(stack, nodes, opening)
        await _rooms(pages)
        await _webhook(stack, pages)
        await _picture(stack, pages[0])
        await _kept_out(stack, pages[0])
        return pages


async def _one_on_each(stack: Stack, nodes: int, opening: contextlib.AsyncExitStack) -> list[Page]:
    """Log in over TLS until there is somebody on every node."""
    found: dict[str, Page] = {}
    for number in range(MANY_TRIES):
        page = await opening.enter_async_context(opened(stack, tls=True, origin=f"https://{NAME}:8443"))
        await page.log_in(init_data(stack, FIRST_VISITOR + number))
        found.setdefault(page.node, page)
        if len(found) == nodes:
            return list(found.values())
    raise MeasurementFailed(f"{MANY_TRIES} logins came to {len(found)} of {nodes} nodes")


async def _rooms(pages: list[Page]) -> None:
    for page in pages:
        await page.send(type="subscribe", channel="room:play")
        await page.receive("joined", channel="room:play")
    for number, page in enumerate(pages):
        offset = await page.ask(type="post", room="room:play", n=number, t=time.time_ns(), key=f"play {number}")
        for other in pages:
            if other is not page:  # the author's own came before the answer to the question
                await other.receive("tick", channel="room:play", n=number, offset=offset)


async def _webhook(stack: Stack, pages: list[Page]) -> None:
    """Write to the bot: Telegram calls nginx, the hook answers in the chat and tells a page on every node."""
    async with aiohttp.ClientSession() as http:
        async with asyncio.timeout(60):
            await heard(stack, http, PEOPLE[0])
    for page in pages:
        await page.receive("heard")


async def _picture(stack: Stack, page: Page) -> None:
    """Upload a picture to one gateway, and get it from all of them: they share a volume."""
    headers = {"Authorization": f"Bearer {page.session}"}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{stack.url}/apps/rooms/media", data=PICTURE, headers=headers) as answer:
            _expect(answer.status == 201, f"the upload of a picture gives {answer.status}: {await answer.text()}")
            url = (await answer.json())["url"]
        for _ in range(10):  # nginx goes round
            async with http.get(f"{stack.url}{url}") as answer:
                _expect(await answer.read() == PICTURE, f"the picture is not there: {answer.status}")


async def _kept_out(stack: Stack, page: Page) -> None:
    await _expect_refusal(stack, "a page of another site", origin="https://evil.example")
    async with aiohttp.ClientSession() as http:
        for path, status in (
            ("/metrics", 404),
            ("/apps/rooms/../../mini-apps.toml", 404),
            ("/apps/rooms/app.py", 404),
        ):
            async with http.get(f"{stack.url}{path}") as answer:
                _expect(answer.status == status, f"{path} gives {answer.status}, not {status}")
        forged: dict[str, Any] = {"headers": {"X-Telegram-Bot-Api-Secret-Token": "guessed"}, "data": '{"update_id": 1}'}
        async with http.post(f"{stack.url}/webhook/{'0' * 32}", **forged) as answer:
            _expect(answer.status in (401, 403, 404), f"a forged update gets {answer.status}")
    async with opened(stack) as stranger:
        try:
            await stranger.log_in(init_data(stack, 1).replace("first_name", "last_name"))
        except Refused as refused:
            _expect("4500" in str(refused), f"changed init data: {refused}")
        else:
            raise MeasurementFailed("changed init data is taken")
    _expect(bool(page.session), "there was no session token")


async def _expect_refusal(stack: Stack, who: str, **options: Any) -> None:
    try:
        async with opened(stack, tls=True, **options) as page:
            await page.log_in(init_data(stack, FIRST_VISITOR))
    except (InvalidStatus, Refused, WebSocketException):
        return
    raise MeasurementFailed(f"{who} may log in")


def _expect(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads like an assertion
    if not condition:
        raise MeasurementFailed(otherwise)
