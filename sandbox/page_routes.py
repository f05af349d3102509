"""The routes of the page's API, grouped: those that differ in the last part of their path only are one for aiohttp.

It makes a resource with a pattern of its own for each path otherwise, which were most of the sandbox's start.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageRoutes:
    """Takes routes as a router does, and hands them to one together."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, dict[str, Handler]]] = {}  # by all before the last part, last part, method
        self._others: list[tuple[str, str, Handler]] = []

    def add_get(self, path: str, handler: Handler) -> None:
        """Serve a path with GET."""
        self._add("GET", path, handler)

    def add_post(self, path: str, handler: Handler) -> None:
        """Serve a path with POST."""
        self._add("POST", path, handler)

    def add_delete(self, path: str, handler: Handler) -> None:
        """Serve a path with DELETE."""
        self._add("DELETE", path, handler)

    def _add(self, method: str, path: str, handler: Handler) -> None:
        prefix, _, name = path.rpartition("/")
        if "{" in name:
            self._others.append((method, path, handler))
            return
        self._groups.setdefault(prefix, {}).setdefault(name, {})[method] = handler

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Have a router serve them all."""
        for method, path, handler in self._others:
            router.add_route(method, path, handler)
        for prefix, names in self._groups.items():
            router.add_route("*", prefix + r"/{action:\w+}", _choosing(names))


def _choosing(names: dict[str, dict[str, Handler]]) -> Handler:
    async def choose(request: web.Request) -> web.StreamResponse:
        methods = names.get(request.match_info["action"])
        if methods is None:
            raise web.HTTPNotFound
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise web.HTTPMethodNotAllowed(request.method, methods)
        return await handler(request)

    return choose
