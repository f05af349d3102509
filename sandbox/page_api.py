"""What the web page and the tests read: bots, users, files, live events. JSON over HTTP."""

import asyncio
import contextlib
from urllib.parse import quote

import orjson
from aiohttp import web

from sandbox.errors import ActionError
from sandbox.launch import PUBLIC_KEY, VERSION
from sandbox.model import Json
from sandbox.page_http import PREFIX, Desk, read_body
from sandbox.page_routes import PageRoutes
from sandbox.runtime import Feed
from sandbox.state import Bot
from sandbox.themes import THEMES

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})  # what a page shows; SVG has scripts
KEEP_ALIVE_SECONDS = 15.0
MAX_USERS = 100


class PageApi:
    """Handlers of what is there.

    Args:
        desk: reads requests and answers them.
    """

    def __init__(self, desk: Desk) -> None:
        self._runtime = desk.runtime
        self._world = desk.world
        self._desk = desk

    def add_routes(self, routes: PageRoutes) -> None:
        """Serve `/sandbox/api/state` and its like."""
        routes.add_get(f"{PREFIX}/state", self._desk.answering(self.state))
        routes.add_post(f"{PREFIX}/users", self._desk.answering(self.add_user))
        routes.add_get(f"{PREFIX}/events", self.events)
        routes.add_get(f"{PREFIX}/files/{{file}}", self.file)

    async def state(self, _request: web.Request) -> Json:
        """Return bots, users and what the page must know of the sandbox."""
        return {
            "bots": [bot_json(bot) for bot in self._world.bots.values()],
            "users": [user.to_api() for user in self._world.users.values()],
            "themes": THEMES,
            "version": VERSION,
            "public_key": PUBLIC_KEY.hex(),
        }

    async def add_user(self, request: web.Request) -> Json:
        """Add a person; the body may give `first_name` and other fields of a user."""
        if len(self._world.users) >= MAX_USERS:
            raise ActionError(f"there are {MAX_USERS} users already")
        fields = await read_body(request)
        known = {"first_name": "", "last_name": "", "username": "", "language_code": "en"}
        values = {name: str(fields.get(name) or default)[:64] for name, default in known.items()}
        first_name = values.pop("first_name") or f"User {len(self._world.users) + 1}"
        return self._world.add_user(first_name, **values).to_api()

    async def file(self, request: web.Request) -> web.Response:
        """Give a file to a page: pictures to be shown, anything else to be saved."""
        file = self._world.files.get(request.match_info["file"])
        if file is None:
            return web.json_response({"error": "this file is not here any more"}, status=404)
        if file.mime in PICTURES:
            return web.Response(body=file.data, content_type=file.mime)
        name = quote(file.name or "file")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return web.Response(body=file.data, content_type="application/octet-stream", headers=headers)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream everything that happens as Server-Sent Events."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        gone = contextlib.suppress(ConnectionError)  # the page was closed, which is how a stream ends
        with gone, self._runtime.feed() as feed:
            await response.prepare(request)
            await response.write(b"retry: 1000\nevent: hello\ndata: {}\n\n")
            if not self._runtime.closing:
                await _stream(feed, response)
        return response


async def _stream(feed: Feed, response: web.StreamResponse) -> None:
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                event = await feed.queue.get()
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        if event is None:
            return
        await response.write(b"event: %b\ndata: %b\n\n" % (event.kind.encode(), orjson.dumps(event.data)))


def bot_json(bot: Bot) -> Json:
    """Return what the page shows of a bot."""
    return {
        "id": bot.id,
        "name": bot.config.name,
        "title": bot.user.first_name,
        "username": bot.user.username,
        "url": bot.config.url,
        "short_name": bot.config.short_name,
        "pending_updates": len(bot.queue),
        "refused_updates": bot.queue.refused,
        "webhook": bot.webhook is not None,
        "limits": bot.limits.enabled,
        "privacy": bot.privacy,
    }
