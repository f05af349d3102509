"""The sandbox as one aiohttp application."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

from aiohttp import web

from sandbox import (
    methods_bot,
    methods_copies,
    methods_files,
    methods_groups,
    methods_invites,
    methods_messages,
    methods_payments,
    methods_profile,
    methods_queries,
    methods_things,
)
from sandbox.bot_api import BotApi
from sandbox.config import SandboxConfig
from sandbox.guard import guard
from sandbox.launch import frame_origins
from sandbox.page_api import PageApi
from sandbox.page_bots import PageBots
from sandbox.page_chats import PageChats
from sandbox.page_giving import PageGiving
from sandbox.page_groups import PageGroups
from sandbox.page_http import Desk
from sandbox.page_routes import PageRoutes
from sandbox.page_traffic import PageTraffic
from sandbox.runtime import Clock, Runtime
from sandbox.webhook import Webhooks

MAX_BODY = 64 << 20  # a file of 50 MB and its form
PAGE = Path(__file__).parent / "page"

RUNTIME = web.AppKey("runtime", Runtime)

# Importing these modules fills the table of methods.
METHOD_MODULES = (
    methods_bot,
    methods_copies,
    methods_files,
    methods_groups,
    methods_invites,
    methods_messages,
    methods_payments,
    methods_profile,
    methods_queries,
    methods_things,
)


def create_app(config: SandboxConfig, *, clock: Clock = time.time, rng: Random | None = None) -> web.Application:
    """Return the sandbox, ready for an `AppRunner`; its state is at `app[RUNTIME]`.

    Args:
        config: bots, users and what is allowed.
        clock: unix seconds, for tests.
        rng: makes ids, for tests.

    Raises:
        ConfigError: the configuration is unsafe or cannot work.
    """
    config.check()
    runtime = Runtime(config, clock, rng or Random())
    app = web.Application(client_max_size=MAX_BODY, middlewares=[guard(allow_remote=config.allow_remote)])
    app[RUNTIME] = runtime
    BotApi(runtime).add_routes(app.router)
    desk = Desk(runtime)
    routes = PageRoutes()
    for part in (PageApi(desk), PageBots(desk), PageChats(desk), PageGiving(desk), PageGroups(desk), PageTraffic(desk)):
        part.add_routes(routes)
    routes.add_to(app.router)
    app.router.add_get("/", _to_page)
    app.router.add_get("/sandbox", _to_page)
    app.router.add_get("/sandbox/", _page)
    app.router.add_static("/sandbox/page/", PAGE)
    app.router.add_get("/healthz", _healthz)
    app.on_response_prepare.append(_headers)
    app.on_shutdown.append(_end_waits)
    app.cleanup_ctx.append(_webhooks)
    if config.bus is not None:
        app.cleanup_ctx.append(_bus)
    return app


async def _webhooks(app: web.Application) -> AsyncIterator[None]:
    webhooks = Webhooks(app[RUNTIME])
    await webhooks.start()
    yield
    await webhooks.close()


async def _bus(app: web.Application) -> AsyncIterator[None]:
    from sandbox.bus_tap import BusTap  # noqa: PLC0415 - only `dev` needs redis in this process

    runtime = app[RUNTIME]
    assert runtime.config.bus is not None  # noqa: S101 - else this context is not entered
    tap = BusTap(runtime.config.bus, runtime.world, runtime.clock, runtime.traffic.note)
    task = asyncio.create_task(tap.run(), name="bus tap")
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _end_waits(app: web.Application) -> None:
    app[RUNTIME].close()


async def _to_page(request: web.Request) -> web.Response:
    raise web.HTTPFound(request.url.with_path("/sandbox/", keep_query=True).relative())


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE / "index.html")


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    frames = " ".join(sorted(frame_origins(request.app[RUNTIME].world))) or "'none'"
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"frame-src {frames}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-cache"
