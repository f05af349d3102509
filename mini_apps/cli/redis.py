"""Redis for a command, which does not wait for it as a service does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from mini_apps.cli.problem import Problem
from shared import log
from shared.broker import Broker, BrokerUnfit
from shared.settings import LogSettings, RedisSettings

CONNECT_SECONDS = 3.0


@contextlib.asynccontextmanager
async def opened(settings: RedisSettings) -> AsyncIterator[Broker]:
    """Open the broker, or say what is wrong with it; what it logs meanwhile would only say so twice.

    Raises:
        Problem: it is not there within `CONNECT_SECONDS`, or does not fit.
    """
    log.configure(LogSettings(level="error"), process="cli")
    broker = Broker(settings)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await broker.__aenter__()
    except TimeoutError:
        raise Problem(f"nothing answers at {broker.address}; start it there, or see redis.url") from None
    except BrokerUnfit as error:
        raise Problem(str(error)) from None
    try:
        yield broker
    finally:
        await broker.__aexit__(None, None, None)
