"""Polling: getUpdates by the one leader of a bot, every update in the log before Telegram may forget it.

Source: https://core.telegram.org/bots/api#getupdates
"""

import asyncio
import itertools
import time
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramConflictError

from bot_worker import metrics
from bot_worker.api_errors import FATAL, TokenRefused, wait_after
from bot_worker.dead_letters import letter, reason
from bot_worker.telegram import GetRawUpdates
from mini_apps.app import App
from shared.broker import BrokerUnavailable, insist, reconnect_delay
from shared.updates import BadUpdate, Overloaded, UpdateLog, order_key

POLL_SECONDS: Final = 25
ANSWER_SECONDS: Final = 15  # on top, for the answer to arrive
# After a week of silence Telegram counts from anywhere, and an offset from before could skip what is new.
OFFSET_SECONDS: Final = 24 * 3600
OVERLOADED_SECONDS: Final = 2.0


class Poller:
    """The poll leader of one bot.

    Args:
        app: whose bot.
        bot: to call with.
        updates: where updates go.
        kinds: to ask for.
    """

    def __init__(self, app: App, bot: Bot, updates: UpdateLog, kinds: list[str]) -> None:
        self._app = app
        self._bot = bot
        self._updates = updates
        self._kinds = kinds
        self._key = app.keys.offset("poller")
        self._offset = 0
        self._moved = 0.0

    async def run(self) -> None:
        """Poll until cancelled.

        Raises:
            TokenRefused: the token is not valid any more.
        """
        await self._restore()
        failures = 0
        while True:
            try:
                batch = await self._fetch()
            except FATAL:
                raise TokenRefused(self._app.name) from None
            except TelegramAPIError as error:
                failures += 1
                self._tell(error, failures)
                await asyncio.sleep(wait_after(error, failures))
                continue
            failures = 0
            metrics.polled.labels(self._app.name, "updates" if batch else "nothing").inc()
            if batch:
                await self._take_in(batch)

    async def _fetch(self) -> list[Any]:
        if self._offset and time.monotonic() - self._moved > OFFSET_SECONDS:
            self._offset = 0
        poll = GetRawUpdates(offset=self._offset or None, timeout=POLL_SECONDS, allowed_updates=self._kinds)
        return await self._bot(poll, request_timeout=POLL_SECONDS + ANSWER_SECONDS)

    async def _take_in(self, batch: list[Any]) -> None:
        """Append a batch, then move the offset, which confirms it with the next call."""
        chats: dict[int, list[Any]] = {}
        for update in batch:
            chats.setdefault(order_key(update) if isinstance(update, dict) else 0, []).append(update)
        async with asyncio.TaskGroup() as group:
            for updates in chats.values():
                group.create_task(self._append(updates))
        last = max((update.get("update_id", 0) for update in batch if isinstance(update, dict)), default=0)
        if last:
            self._offset, self._moved = last + 1, time.monotonic()
            await insist(lambda: self._app.mesh.bus.call("SET", self._key, self._offset, "EX", OFFSET_SECONDS))

    async def _append(self, updates: list[Any]) -> None:
        """Append the updates of one chat in order, however long Redis or a full lane makes us wait."""
        for update in updates:
            for attempt in itertools.count():
                try:
                    await self._updates.append(self._app.name, update, "polling")
                except BadUpdate as error:
                    await self._bury(update, error)
                except Overloaded as error:
                    self._app.log.warning("polling waits", reason=str(error))
                    await asyncio.sleep(OVERLOADED_SECONDS)
                    continue
                except BrokerUnavailable:
                    await asyncio.sleep(reconnect_delay(attempt))
                    continue
                break

    async def _bury(self, update: Any, error: BadUpdate) -> None:
        raw = orjson.dumps(repr(update)[:100_000].encode("utf-8", "replace").decode())
        dead = letter(error, {b"update": raw, b"via": b"polling"}, lane="", entry=b"", tries=0)
        self._app.log.error("Telegram sent what is no update; it is among the dead letters", reason=reason(error))
        fields = [part for field in dead.items() for part in field]
        await insist(lambda: self._app.mesh.bus.call("XADD", self._app.keys.dead, "*", *fields))

    async def _restore(self) -> None:
        kept = await insist(lambda: self._app.mesh.bus.call("GET", self._key))
        self._offset, self._moved = int(kept or 0), time.monotonic()

    def _tell(self, error: TelegramAPIError, failures: int) -> None:
        metrics.polled.labels(self._app.name, type(error).__name__).inc()
        if failures % 10 == 1:  # the first, and now and then one more
            self._app.log.warning("polling failed; it is repeated", reason=_explained(error), failures=failures)


async def stop_webhook(app: App, bot: Bot, *, forget: bool) -> None:
    """Make polling possible: delete the webhook, if one is set.

    Args:
        app: whose bot.
        bot: to call with.
        forget: drop what waits at Telegram.

    Raises:
        aiogram.exceptions.TelegramAPIError: Telegram did not do it.
    """
    url = (await bot.get_webhook_info()).url
    if url:
        place = urlsplit(url).hostname
        app.log.warning("the bot had a webhook; it is deleted because ingest is polling", host=place)
    if url or forget:
        await bot.delete_webhook(drop_pending_updates=forget)


def _explained(error: TelegramAPIError) -> str:
    if not isinstance(error, TelegramConflictError):
        return reason(error)
    if "webhook" in error.message.lower():
        return (
            "a webhook is set for this bot, so it cannot be polled: does another deployment use the token? "
            "Stop that one, then run `mini-apps webhook delete`; or set ingest = webhook here"
        )
    return (
        "somebody else polls with this bot's token, and Telegram lets only one: stop the other program "
        "(another deployment, a script, a bot on somebody's laptop), or get a new token from @BotFather"
    )
