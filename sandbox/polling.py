"""getUpdates: the one method that waits.

Source: https://core.telegram.org/bots/api#getupdates
"""

import asyncio
from contextlib import suppress
from typing import Any

from sandbox.errors import ApiError
from sandbox.methods_bot import remember_allowed
from sandbox.params import Params
from sandbox.runtime import Runtime
from sandbox.state import Bot

MAX_LIMIT = 100
MAX_TIMEOUT = 50

_OTHER = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
_WEBHOOK_SET = "Conflict: terminated by setWebhook request"
_WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)


class Polling:
    """Long polls of all bots; each bot has at most one waiting."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: dict[int, asyncio.Event] = {}
        self._replaced: set[asyncio.Event] = set()

    async def get_updates(self, bot: Bot, params: Params) -> list[dict[str, Any]]:
        """Return updates, waiting up to `timeout` seconds for the first.

        Raises:
            ApiError: 409 when a webhook is set, or a newer poll or a webhook ended this one.
        """
        if bot.webhook is not None:
            raise ApiError(409, _WEBHOOK_ACTIVE)
        self._end_older(bot)
        remember_allowed(bot, params)
        offset = params.integer("offset")
        limit = params.clamped("limit", MAX_LIMIT, 1, MAX_LIMIT)
        updates = bot.queue.fetch(offset, limit, self._runtime.clock())
        timeout = params.clamped("timeout", 0, 0, MAX_TIMEOUT)
        if not updates and timeout:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wait(bot)
            updates = bot.queue.fetch(offset, limit, self._runtime.clock())
        return [update.to_api() for update in updates]

    def _end_older(self, bot: Bot) -> None:
        older = self._waiting.get(bot.id)
        if older is not None:
            self._replaced.add(older)
            older.set()

    async def _wait(self, bot: Bot) -> None:
        with self._runtime.waker(bot.id) as event:
            self._waiting[bot.id] = event
            try:
                await self._first_update(bot, event)
            finally:
                self._replaced.discard(event)
                if self._waiting.get(bot.id) is event:
                    del self._waiting[bot.id]

    async def _first_update(self, bot: Bot, event: asyncio.Event) -> None:
        while not (len(bot.queue) or self._runtime.closing):
            await event.wait()
            event.clear()
            if event in self._replaced:
                raise ApiError(409, _OTHER)
            if bot.webhook is not None:
                raise ApiError(409, _WEBHOOK_SET)
