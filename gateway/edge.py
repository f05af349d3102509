"""What every request passes: errors become answers, answers get their headers, and each is counted and logged once."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import HttpProcessingError

from gateway import metrics
from gateway.answers import error_response
from gateway.heads import Heads
from gateway.webhook import LOGGED_PATH
from shared.addresses import Network, client_address
from shared.health import PATHS as HEALTH_PATHS

TELEGRAM_WEB = "https://*.telegram.org"  # web.telegram.org and its variants show mini apps in a frame
CROSS_ORIGIN_ROUTES = frozenset(
    {"/negotiate", "/settings.json", "/apps/{name}/settings.json", "/apps/{name}/media", "/client/{path}"}
)
LOOPBACK = ("127.0.0.1", "localhost")
LONGEST_LOGGED_PATH = 200

# What a request carries for the access log:
ADDRESS = web.RequestKey("address", str)
ROUTE = web.RequestKey("route", str)
BEGAN = web.RequestKey("began", float)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger("gateway")
access = structlog.get_logger("access")


class Edge:
    """The middleware and the signal that every answer passes.

    Args:
        trusted: networks whose forwarding headers are believed.
        allowed_origins: origins of pages elsewhere that may read our JSON and the browser client.
        frames: origins that may show pages in a frame, besides Telegram.

    Attributes:
        running: requests being handled now.
        heads: the connections that wait for their first request.
    """

    def __init__(self, trusted: Sequence[Network], allowed_origins: Sequence[str], frames: Sequence[str]) -> None:
        self.running = 0
        self.heads = Heads()
        self._nothing_runs = asyncio.Event()
        self._nothing_runs.set()
        self._trusted = trusted
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._frame_policy = " ".join(("frame-ancestors", "'self'", TELEGRAM_WEB, *frames))

    def install(self, application: web.Application) -> None:
        """Put every request of `application` through this."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._begin(request)
            try:
                return await _guarded(request, handler)
            finally:
                self.leave()

        application.middlewares.append(middleware)
        application.on_response_prepare.append(self._complete)

    def _begin(self, request: web.Request) -> None:
        self.heads.came(request.transport)
        forwarded = request.headers.getall("X-Forwarded-For", ())
        request[ADDRESS] = client_address(request.remote, forwarded, self._trusted)
        request[ROUTE] = route_of(request)
        request[BEGAN] = perf_counter()  # the event loop's clock knows milliseconds only
        self.enter()

    def enter(self) -> None:
        """Count a request that begins."""
        self.running += 1
        self._nothing_runs.clear()

    def leave(self) -> None:
        """Count a request that ends."""
        self.running -= 1
        if not self.running:
            self._nothing_runs.set()

    async def calm(self, seconds: float) -> None:
        """Wait until no request is being handled, at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._nothing_runs.wait()
        except TimeoutError:
            log.info("requests are still running; no new ones are taken", running=self.running)

    async def _complete(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers[hdrs.SERVER] = "mini-apps"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
        own = headers.get(hdrs.CONTENT_SECURITY_POLICY)
        headers[hdrs.CONTENT_SECURITY_POLICY] = f"{own}; {self._frame_policy}" if own else self._frame_policy
        if request[ROUTE] in CROSS_ORIGIN_ROUTES:
            self._share(request, response)

    def _share(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin.lower() in self._origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin


async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        own = "" if error.text == f"{error.status}: {error.reason}" else error.text or ""
        kept = {name: value for name, value in error.headers.items() if name == hdrs.ALLOW}
        return error_response(request, error.status, own, kept)
    except ConnectionError:  # the caller went away
        raise
    except Exception:
        reference = secrets.token_hex(4)
        log.exception("a request failed", reference=reference, route=request[ROUTE])
        return error_response(
            request, 500, f"Something went wrong here. It was noted as {reference}; please try again."
        )


def frame_origins(sandbox_url: str) -> list[str]:
    """Return the origins of the sandbox, whose phones show pages in frames; by either name where it is on this machine.

    Args:
        sandbox_url: `gateway.sandbox-url`; empty outside development.
    """
    parts = urlsplit(sandbox_url)
    if not parts.hostname:
        return []
    hosts = LOOPBACK if parts.hostname in LOOPBACK else (parts.hostname,)
    return [f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "") for host in hosts]


def route_of(request: web.Request) -> str:
    """Return the pattern of the request's route: few values, whatever callers ask for."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


class AccessLog(AbstractAccessLogger):
    """Counts and logs each answer when it has left: path without query, a webhook by its app's name."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:  # noqa: ARG002 - aiohttp's
        """Take note of one answer (aiohttp's callback)."""
        route = request.get(ROUTE, "unreadable")  # what is no HTTP never came to the middleware
        taken = perf_counter() - request[BEGAN] if BEGAN in request else 0.0
        metrics.requests.labels(route, response.status).inc()
        metrics.seconds.labels(route).observe(taken)
        path = logged_path(request)
        note = access.debug if path in HEALTH_PATHS else access.info
        note(
            "request",
            method=request.method,
            path=path,
            status=response.status,
            ms=round(taken * 1000, 1),
            bytes=response.body_length,
            address=request.get(ADDRESS, request.remote),
        )


def logged_path(request: web.BaseRequest) -> str:
    """Return the path as logs may show it: what is below `/webhook` is a secret address."""
    if (own := request.get(LOGGED_PATH)) is not None:
        return str(own)
    path = request.rel_url.raw_path
    return "/webhook/?" if "webhook" in path.lower() else path[:LONGEST_LOGGED_PATH]


def quiet_about_bad_requests(record: logging.LogRecord) -> bool:
    """Drop aiohttp's traceback for each request that is no HTTP (logging's filter): the access log has its line."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)
