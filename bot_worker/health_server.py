"""Where a bot worker answers `/healthz`, `/readyz` and `/metrics`."""

import contextlib
import errno
from collections.abc import AsyncIterator

from aiohttp import web

from shared import health
from shared.lifecycle import Process, StartError
from shared.log import get_logger
from shared.settings import BotSettings

log = get_logger("bot")


@contextlib.asynccontextmanager
async def listening(process: Process, settings: BotSettings) -> AsyncIterator[str]:
    """Listen while the block runs, and give the address.

    Raises:
        StartError: the address cannot be listened on.
    """

    async def answer(request: web.Request) -> web.Response:
        found = health.answer(process, request.path)
        if found is None:
            raise web.HTTPNotFound
        return web.Response(body=found.body, status=found.status, headers={"Content-Type": found.content_type})

    application = web.Application()
    application.add_routes([web.get(path, answer) for path in sorted(health.PATHS)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise StartError(_cannot_listen(settings, error)) from None
        host, port = runner.addresses[0][:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        log.info("listening", url=url)
        yield url
    finally:
        await runner.cleanup()


def _cannot_listen(settings: BotSettings, error: OSError) -> str:
    place = f"bot: {settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is already in use; choose another with bot.port or --port"
    return f"{place} cannot be listened on ({error.strerror or error}); correct bot.host, bot.port, --host or --port"
