"""Keeps other web sites and other machines out: anybody who reaches the sandbox can act as any user."""

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sandbox.hosts import is_loopback, without_port


def guard(*, allow_remote: bool) -> Middleware:
    """Return the middleware that refuses foreign Host headers (DNS rebinding) and requests of other web sites.

    Args:
        allow_remote: take any Host; requests of other sites stay refused.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not allow_remote and not is_loopback(without_port(request.host)):
            return web.Response(status=403, text="This server answers to 127.0.0.1 and localhost only.\n")
        if _from_other_site(request):
            return web.Response(status=403, text="Web pages of other sites may not use this server.\n")
        return await handler(request)

    return check


def _from_other_site(request: web.Request) -> bool:
    """Tell whether a page of another origin made this request; following a link to the page itself is fine."""
    origin = request.headers.get("Origin")
    if origin is not None:
        return urlsplit(origin).netloc != request.host
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in {"none", "same-origin"} and request.headers.get("Sec-Fetch-Mode") != "navigate"
