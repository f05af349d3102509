"""From a raw update to the app's hooks, through one aiogram `Dispatcher` per app.

The dispatcher brings what handlers expect: the FSM state, scenes, the update's user and chat, error handlers. Messages,
button presses and inline queries take the way of `mini_apps.telegram_hooks`; every other kind goes to the app's router.
"""

from typing import Any, Final

from aiogram import Bot, Dispatcher, Router
from aiogram.dispatcher.event.bases import UNHANDLED, CancelHandler, SkipHandler
from aiogram.dispatcher.event.telegram import TelegramEventObserver
from aiogram.dispatcher.middlewares.user_context import EventContext, UserContextMiddleware
from aiogram.fsm.storage.base import DefaultKeyBuilder, StorageKey
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.types import ErrorEvent, TelegramObject, Update
from pydantic import ValidationError

from bot_worker.calls.hooks import HookTry
from bot_worker.contact import note_contact
from bot_worker.lane import Undeliverable
from mini_apps.app import App
from mini_apps.payments import decide_checkout, refuse_checkout, take_payment
from mini_apps.telegram_hooks import RAW_HOOKS, Handling, admits, feed, guarded, made

KNOWN_KINDS: Final = frozenset(Update.model_fields) - {"update_id"}


class SharedStorage(RedisStorage):
    """FSM storage over the process's own Redis client, which is not the storage's to close.

    Args:
        app: whose states they are.
        keys: aiogram's.
        ttl: seconds an untouched state is kept; None keeps it for ever.
    """

    def __init__(self, app: App, keys: DefaultKeyBuilder, ttl: int | None) -> None:
        super().__init__(app.redis, keys, state_ttl=ttl, data_ttl=ttl)
        self._bus = app.mesh.bus

    async def get_state(self, key: StorageKey) -> str | None:
        """Read a state, in one round trip with whatever else this loop turn asks Redis."""
        found = await self._bus.call("GET", self.key_builder.build(key, "state"))
        return found.decode() if found is not None else None

    async def close(self) -> None:
        """Leave the client open."""


class Dispatch:
    """Runs the hooks of one app.

    What aiogram's `Dispatcher` does around every update (its context, its conversation state, its error handlers) is
    done here in one step where nobody added to it, and by the dispatcher itself where somebody did.

    Args:
        app: with its Telegram link attached.
        bot: what calls are made with.
        router: the app's, filled.
        fsm_ttl: seconds an untouched conversation state is kept; 0 keeps it for ever.
    """

    def __init__(self, app: App, bot: Bot, router: Router, fsm_ttl: int) -> None:
        self._app = app
        self._bot = bot
        self._router = router
        keys = DefaultKeyBuilder(prefix=app.keys.fsm, with_destiny=True)
        self.dispatcher = Dispatcher(storage=SharedStorage(app, keys, fsm_ttl or None), app=app)
        self.dispatcher.update.outer_middleware(_handling)
        self._untouched = _additions(self.dispatcher)
        for kind in RAW_HOOKS:
            self.dispatcher.observers[kind].register(self._hook(kind))
        self.dispatcher.include_router(router)
        self._own_way: bool | None = None  # found out at the first update: a startup handler may add to the dispatcher
        self._state_wanted: dict[str, bool] = {}

    async def startup(self) -> None:
        """Run the startup handlers of the routers, with what aiogram's own polling gives them."""
        await self.dispatcher.emit_startup(**self._surroundings())

    async def shutdown(self) -> None:
        """Run the shutdown handlers of the routers."""
        await self.dispatcher.emit_shutdown(**self._surroundings())

    def _surroundings(self) -> dict[str, Any]:
        dispatcher = self.dispatcher
        return {"dispatcher": dispatcher, "bots": (self._bot,), **dispatcher.workflow_data, "bot": self._bot}

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
        with HookTry(update["update_id"]):
            return await self._handle(update)

    async def _handle(self, update: dict[str, Any]) -> str:
        parsed, kind = _parse(update, self._bot)
        context = UserContextMiddleware.resolve_event_context(parsed)
        admitted = await admits(self._app, context.user_id)
        await note_contact(self._app, update, admitted=admitted)
        if parsed.message is not None and (parsed.message.successful_payment or parsed.message.refunded_payment):
            await guarded(self._app, lambda: take_payment(self._app, update["message"]))  # money counts, banned or not
        if not admitted:
            if parsed.pre_checkout_query is not None:
                await refuse_checkout(self._app, parsed.pre_checkout_query)
            return "banned"
        if kind in RAW_HOOKS:
            await made(self._app, await self._feed(parsed, kind, context))  # an error handler may have returned a call
            return "handled"
        result = await guarded(self._app, lambda: self._feed(parsed, kind, context))
        if result is UNHANDLED and parsed.pre_checkout_query is not None:
            await decide_checkout(self._app, parsed.pre_checkout_query)
            return "handled"
        return "unhandled" if result is UNHANDLED else "handled"

    async def _feed(self, update: Update, kind: Any, context: EventContext) -> Any:
        if self._own_way is None:
            self._own_way = _additions(self.dispatcher) == self._untouched
        try:
            if not self._own_way:
                return await self.dispatcher.feed_update(self._bot, update)
            data = await self._data(update, kind, context)
            with Handling(data):
                return await self._feed_directly(update, kind, data)
        except SkipHandler:  # aiogram's way for a middleware to say: not for this router
            return UNHANDLED
        except CancelHandler:  # and for anybody to say: enough
            return None

    async def _feed_directly(self, update: Update, kind: Any, data: dict[str, Any]) -> Any:
        event = getattr(update, kind)
        try:
            if kind in RAW_HOOKS:
                return await feed(self._app, kind, event)
            return await self.dispatcher.propagate_event(kind, event, **data)
        except (SkipHandler, CancelHandler):
            raise
        except Exception as error:
            told = ErrorEvent(update=update, exception=error)
            response = await self.dispatcher.propagate_event("error", told, **data)
            if response is UNHANDLED:
                raise
            return response

    async def _data(self, update: Update, kind: str, context: EventContext) -> dict[str, Any]:
        """Give what aiogram's own middlewares give to handlers."""
        dispatcher = self.dispatcher
        data: dict[str, Any] = {
            "dispatcher": dispatcher,
            **dispatcher.workflow_data,
            "bot": self._bot,
            "event_context": context,
            "event_update": update,
            "event_router": dispatcher,
            "fsm_storage": dispatcher.storage,
        }
        if context.user is not None:
            data["event_from_user"] = context.user
        if context.chat is not None:
            data["event_chat"] = context.chat
        if context.thread_id is not None:
            data["event_thread_id"] = context.thread_id
        state = dispatcher.fsm.resolve_event_context(self._bot, data)
        if state is not None:
            data["state"] = state
            if self._wants_state(kind):
                data["raw_state"] = await state.get_state()
        return data

    def _wants_state(self, kind: str) -> bool:
        """Tell whether anybody asks for the state's name when an update of a kind comes; else it need not be read."""
        wanted = self._state_wanted.get(kind)
        if wanted is None:
            observers = [one.observers[name] for one in self._router.chain_tail for name in (kind, "error")]
            wanted = self._state_wanted[kind] = any(map(_asks_for_state, observers))
        return wanted

    def _hook(self, kind: Any) -> Any:
        async def handler(event: Any) -> Any:
            return await feed(self._app, kind, event)

        return handler


async def _handling(handler: Any, event: TelegramObject, data: dict[str, Any]) -> Any:
    with Handling(data):
        return await handler(event, data)


def _additions(dispatcher: Dispatcher) -> list[int]:
    """Count what stands around every update in a dispatcher, to see later whether somebody added to it."""
    observers = dispatcher.observers.values()
    middlewares = [len(one.middleware) + len(one.outer_middleware) for one in observers]
    filters = [len(one._handler.filters or ()) for one in observers]  # noqa: SLF001 - aiogram has no other way to see them
    return [*middlewares, *filters]


def _asks_for_state(observer: TelegramEventObserver) -> bool:
    """Tell whether a middleware sees everything, or a handler or filter names `raw_state`, as aiogram decides it."""
    if len(observer.middleware) or len(observer.outer_middleware):
        return True
    handlers = [*observer.handlers, observer._handler]  # noqa: SLF001 - the filters of the whole observer
    called = [*observer.handlers, *(one for each in handlers for one in each.filters or ())]
    return any(one.varkw or "raw_state" in one.params for one in called)


def _parse(update: dict[str, Any], bot: Bot) -> tuple[Update, str]:
    """Return the update as aiogram knows it, and its kind, for which aiogram would look through all there are."""
    kind = next((name for name, event in update.items() if name in KNOWN_KINDS and event is not None), None)
    if kind is None:
        named = ", ".join(sorted(update.keys() - {"update_id"})) or "nothing"
        raise Undeliverable(f"an update with {named} is of no kind this version knows; upgrade, then try it again")
    try:
        return Update.model_validate(update, context={"bot": bot}), kind
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Undeliverable(f"the update is not as Telegram documents it: {place}: {first['msg']}") from None
