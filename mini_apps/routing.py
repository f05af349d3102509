"""The way of an event through an app's aiogram router; runs in bot workers.

aiogram wraps an event at every router and handler for the middlewares that may stand around it. Where none stands
anywhere in the app's router, the same handlers are tried here in the same order without the wrapping, which is a tenth
of what an update costs. Where one does, aiogram goes its own way.

aiogram is imported nowhere here at module level: without a bot worker it stays unloaded.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiogram import Router
    from aiogram.dispatcher.event.telegram import TelegramEventObserver

__all__ = ["Routing"]


class Routing:
    """Offers events to a router that is filled.

    Args:
        router: the app's.
    """

    def __init__(self, router: "Router") -> None:
        self._router = router
        self._wanted: dict[str, bool] = {}
        self._bare: dict[str, bool] = {}

    def wants(self, kind: str) -> bool:
        """Tell whether anything in the router is about a kind of update; found out once, for the router is filled."""
        found = self._wanted.get(kind)
        if found is None:
            observers = [one.observers[kind] for one in self._router.chain_tail]
            found = self._wanted[kind] = any(len(one.handlers) + _around(one) for one in observers)
        return found

    async def offer(self, kind: str, event: Any, data: Mapping[str, Any]) -> tuple[bool, Any]:
        """Tell whether one of the handlers took an event, and what it returned.

        Args:
            kind: of the update.
            event: aiogram's object of it, bound to the bot.
            data: what handlers, filters and middlewares may ask for by name.
        """
        unhandled, _, skip_handler, cancel_handler = _aiogram_words()
        try:
            if self._is_bare(kind):
                result = await _propagate(self._router, kind, event, dict(data))
            else:
                result = await self._router.propagate_event(kind, event, **data)
        except skip_handler:  # aiogram's way for a middleware to say: not for this router
            return False, None
        except cancel_handler:  # aiogram's way for a handler or middleware to say: enough
            return True, None
        return result is not unhandled, result

    def _is_bare(self, kind: str) -> bool:
        found = self._bare.get(kind)
        if found is None:
            routers = [*self._router.chain_head, *self._router.chain_tail]  # inner middlewares come from above too
            found = self._bare[kind] = not any(_around(one.observers[kind]) for one in routers)
        return found


async def _propagate(router: "Router", kind: str, event: Any, data: dict[str, Any]) -> Any:
    """Do what `Router.propagate_event` does where no middleware is; `data` is this router's to change."""
    unhandled, rejected, _, _ = _aiogram_words()
    data["event_router"] = router
    observer = router.observers[kind]
    root = observer._handler  # noqa: SLF001 - the filters of the whole observer
    if root.filters:
        passed, data = await root.check(event, **data)
        if not passed:
            return unhandled
    result = await _trigger(observer, event, dict(data)) if observer.handlers else unhandled
    if result is rejected:
        return unhandled
    if result is not unhandled:
        return result
    for below in router.sub_routers:
        result = await _propagate(below, kind, event, dict(data))
        if result is not unhandled:
            return result
    return unhandled


async def _trigger(observer: "TelegramEventObserver", event: Any, data: dict[str, Any]) -> Any:
    unhandled, _, skip_handler, _ = _aiogram_words()
    for handler in observer.handlers:
        data["handler"] = handler
        if handler.filters:
            passed, found = await handler.check(event, **data)
            if not passed:
                continue
            data.update(found)
        try:
            return await handler.call(event, **data)
        except skip_handler:
            continue
    return unhandled


def _around(observer: "TelegramEventObserver") -> int:
    """Count the middlewares of an observer."""
    return len(observer.middleware) + len(observer.outer_middleware)


@cache
def _aiogram_words() -> tuple[Any, Any, type[Exception], type[Exception]]:
    """Give aiogram's words for "nobody took it", "not here", "not mine" and "enough"; imported once."""
    from aiogram.dispatcher.event.bases import (  # noqa: PLC0415 - only in bot workers, see above
        REJECTED,
        UNHANDLED,
        CancelHandler,
        SkipHandler,
    )

    return UNHANDLED, REJECTED, SkipHandler, CancelHandler
