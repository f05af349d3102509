"""From a raw update to the app's hooks, through one aiogram `Dispatcher` per app.

The dispatcher brings what handlers expect: the FSM state, scenes, the update's user and chat, error handlers. Messages,
button presses and inline queries take the way of `mini_apps.telegram_hooks`; every other kind goes to the app's router.
"""

from typing import Any, Final

from aiogram import Bot, Dispatcher, Router
from aiogram.dispatcher.event.bases import UNHANDLED, CancelHandler
from aiogram.dispatcher.middlewares.user_context import UserContextMiddleware
from aiogram.fsm.storage.base import DefaultKeyBuilder
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.types import Update
from pydantic import ValidationError

from bot_worker.lane import Undeliverable
from mini_apps.app import App
from mini_apps.telegram_hooks import RAW_HOOKS, admits, feed, guarded

KNOWN_KINDS: Final = frozenset(Update.model_fields) - {"update_id"}


class SharedStorage(RedisStorage):
    """FSM storage over the process's own Redis client, which is not the storage's to close."""

    async def close(self) -> None:
        """Leave the client open."""


class Dispatch:
    """Runs the hooks of one app.

    Args:
        app: with its Telegram link attached.
        bot: what calls are made with.
        router: the app's, filled.
        fsm_ttl: seconds an untouched conversation state is kept; 0 keeps it for ever.
    """

    def __init__(self, app: App, bot: Bot, router: Router, fsm_ttl: int) -> None:
        self._app = app
        self._bot = bot
        keys = DefaultKeyBuilder(prefix=app.keys.fsm, with_destiny=True)
        ttl = fsm_ttl or None
        self.dispatcher = Dispatcher(storage=SharedStorage(app.redis, keys, state_ttl=ttl, data_ttl=ttl), app=app)
        for kind in RAW_HOOKS:
            self.dispatcher.observers[kind].register(self._hook(kind))
        self.dispatcher.include_router(router)

    async def handle(self, update: dict[str, Any]) -> str:
        """Run the hooks for one update.

        Args:
            update: as Telegram sent it, decoded.

        Returns:
            What became of it: `handled`, `unhandled` or `banned`.

        Raises:
            Undeliverable: nobody here knows such an update.
            Exception: what a hook raised and `on_telegram_exception` did not acknowledge.
        """
        parsed = _parse(update, self._bot)
        if not await admits(self._app, UserContextMiddleware.resolve_event_context(parsed).user_id):
            return "banned"
        if parsed.event_type in RAW_HOOKS:
            await self._feed(parsed)
            return "handled"
        result = await guarded(self._app, lambda: self._feed(parsed))
        return "unhandled" if result is UNHANDLED else "handled"

    async def _feed(self, update: Update) -> Any:
        try:
            return await self.dispatcher.feed_update(self._bot, update)
        except CancelHandler:  # aiogram's way for a handler or middleware to say: enough
            return None

    def _hook(self, kind: Any) -> Any:
        async def handler(event: Any, **data: Any) -> Any:
            return await feed(self._app, kind, event, data)

        return handler


def _parse(update: dict[str, Any], bot: Bot) -> Update:
    kinds = update.keys() - {"update_id"}
    if not kinds & KNOWN_KINDS:
        named = ", ".join(sorted(kinds)) or "nothing"
        raise Undeliverable(f"an update with {named} is of no kind this version knows; upgrade, then try it again")
    try:
        return Update.model_validate(update, context={"bot": bot})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Undeliverable(f"the update is not as Telegram documents it: {place}: {first['msg']}") from None
