"""The stream of what goes over the wires, for the page. Server-Sent Events."""

import asyncio
import contextlib

import orjson
from aiohttp import web

from sandbox.page_http import PREFIX, Desk
from sandbox.page_routes import PageRoutes

KEEP_ALIVE_SECONDS = 15.0


class PageTraffic:
    """Handler of the traffic.

    Args:
        desk: of the page API.
    """

    def __init__(self, desk: Desk) -> None:
        self._runtime = desk.runtime

    def add_routes(self, routes: PageRoutes) -> None:
        """Serve `/sandbox/api/traffic`."""
        routes.add_get(f"{PREFIX}/traffic", self.stream)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Stream what is kept, oldest first, and then what comes."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        came = asyncio.Event()
        gone = contextlib.suppress(ConnectionError)  # the page was closed, which is how a stream ends
        with gone, self._runtime.traffic.followed(came.set) as follower, self._runtime.ending_sets(came):
            await response.prepare(request)
            await response.write(b"retry: 1000\nevent: hello\ndata: {}\n\n")
            while not self._runtime.closing:
                entries, lost = follower.take()
                if entries:
                    data = {"entries": [entry.to_page() for entry in entries], "lost": lost}
                    await response.write(b"event: traffic\ndata: %b\n\n" % orjson.dumps(data, default=str))
                    continue
                came.clear()
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await came.wait()
                except TimeoutError:
                    await response.write(b": still here\n\n")
        return response
