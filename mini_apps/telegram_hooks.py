"""The way of one Telegram update through an app; runs in bot workers.

Who calls what, for messages, button presses and inline queries:

1. The bot worker asks `admits`: a banned user's update ends here.
2. The bot worker calls `feed`, which calls the raw hook (`App.on_telegram_message_raw`, …).
3. The raw hook runs, until one of them handles the update: for messages `App.on_telegram_command` (text or caption),
   the app's router, then `App.on_telegram_message`, `…_callback` or `…_inline`.
4. A `TelegramMethod` that any of them returns is called, and its result is what `feed` returns.

What fails goes to `App.on_telegram_exception`, once for each try: a truthy return acknowledges the update, otherwise
the exception goes on to the bot worker, which tries again later. Every other kind of update goes from the bot worker's
dispatcher to the app's router; `guarded` gives it the same treatment of failures.

aiogram is imported nowhere here at module level: without a bot worker it stays unloaded.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from mini_apps.bound import BoundApp, reaching
from mini_apps.commands import commands_of, parse_command
from mini_apps.hooks import call
from mini_apps.routing import Routing

if TYPE_CHECKING:
    from aiogram import Bot, Router

    from mini_apps.app import App

__all__ = [
    "Handling",
    "TelegramLink",
    "admits",
    "current_data",
    "feed",
    "guarded",
    "is_admin",
    "made",
    "run_command",
    "run_raw",
]

Kind = Literal["message", "callback_query", "inline_query"]

RAW_HOOKS: Final[Mapping[Kind, str]] = {
    "message": "on_telegram_message_raw",
    "callback_query": "on_telegram_callback_raw",
    "inline_query": "on_telegram_inline_raw",
}
_LAST_HOOKS: Final[Mapping[Kind, str]] = {
    "message": "on_telegram_message",
    "callback_query": "on_telegram_callback",
    "inline_query": "on_telegram_inline",
}


@dataclass(slots=True)
class TelegramLink:
    """What a bot worker gives an app.

    Attributes:
        bot: aiogram's, through which every call goes.
        run: serves the bot until the worker stops; what the default `App.run_bot` awaits.
        router: filled by `App.setup_router`.
        routing: the way of events through it.
    """

    bot: "Bot"
    run: Callable[[], Awaitable[None]]
    router: "Router"
    routing: Routing = field(init=False)

    def __post_init__(self) -> None:
        self.routing = Routing(self.router)


class Handling:
    """One try of one update, inside which `App.fsm` finds the dispatcher's data.

    A class and not a generator: it is entered for every update, and this costs a third.

    Args:
        data: the dispatcher's keyword arguments for handlers (FSM state and so on).

    Attributes:
        told: the failure of which `on_telegram_exception` knows already.
    """

    __slots__ = ("_before", "data", "told")

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.told: Exception | None = None

    def __enter__(self) -> None:
        self._before = _handling.set(self)

    def __exit__(self, *_: object) -> None:
        _handling.reset(self._before)


_handling: ContextVar[Handling | None] = ContextVar("handling", default=None)


async def admits(app: "App", telegram_id: int | None) -> bool:
    """Tell whether updates of a user reach the app: neither its filter nor a live ban is against it.

    Args:
        app: the app.
        telegram_id: who caused the update; None, as for a channel's posts, is admitted.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    if telegram_id is None:
        return True
    if not app.user_filter.filter_telegram_id(telegram_id):
        return False
    return not await app.bans.one(telegram_id)


async def feed(app: "App", kind: Kind, event: Any) -> Any:
    """Give an admitted update to the app's raw hook and make the call it may return; inside a `Handling`.

    Args:
        app: the app.
        kind: of the update.
        event: aiogram's `Message`, `CallbackQuery` or `InlineQuery`, bound to the bot.

    Returns:
        What the hook that handled it gave, a `TelegramMethod` replaced by its result.

    Raises:
        Exception: a hook failed and `on_telegram_exception` did not acknowledge it.
    """
    return await guarded(app, lambda: call(getattr(app, RAW_HOOKS[kind]), event))


async def guarded(app: "App", step: Callable[[], Awaitable[Any]]) -> Any:
    """Run a step, make the call it may return, and tell `on_telegram_exception` of a failure.

    Args:
        app: the app.
        step: what may fail.

    Returns:
        The step's result; True for a failure that was acknowledged.

    Raises:
        Exception: the failure, where it was not acknowledged.
    """
    try:
        return await made(app, await step())
    except Exception as error:
        current = _handling.get()
        if current is not None:
            if current.told is error:  # by the raw hook inside this step
                raise
            current.told = error
        if await call(app.on_telegram_exception, error):
            return True
        raise


async def made(app: "App", result: Any) -> Any:
    """Make the call that a hook returned; without a bot worker, as in an author's test, it stays what it is.

    Args:
        app: the app.
        result: what the hook returned.

    Returns:
        The result of the call, or `result` where it is none.
    """
    return await app.telegram(result) if _is_method(result) and app.telegram_link is not None else result


async def run_raw(app: "App", kind: Kind, event: Any) -> Any:
    """Carry out the raw hook of an app."""
    return await guarded(app, lambda: _first_that_handles(app, kind, event))


async def run_command(app: "App", trigger: str, args: str, event: Any) -> Any:
    """Carry out `App.on_telegram_command`.

    Returns:
        False where there is no such command for the sender, else the `TelegramMethod` the command returned, else True.
    """
    found = commands_of(type(app)).get(trigger)
    if found is None:
        return False
    method, command = found
    if command.admin_only and not await is_admin(app, event):
        return False
    result = await call(getattr(app, method), args, event)
    return result if _is_method(result) else True


async def is_admin(app: "App", event: Any) -> bool:
    """Tell whether the sender of an event is an admin: by the filter, by `App.set_admin`, or by the user's row.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    from mini_apps.models import User  # noqa: PLC0415 - only here, and rarely

    sender = getattr(event, "from_user", None)
    if sender is None:
        return False
    mesh = app.mesh
    known = await mesh.users.find(sender.id) or User(telegram_id=sender.id, name=sender.full_name, is_admin=False)
    admitted = app.user_filter.filter_user(known)
    if admitted is None or admitted.is_admin:
        return admitted is not None
    with reaching():
        return bool(await app.redis.sismember(app.keys.admins, str(sender.id)))


def current_data(app: BoundApp) -> Mapping[str, Any]:
    """Give the dispatcher's data of the update that is being handled.

    Raises:
        RuntimeError: none is.
    """
    current = _handling.get()
    if current is None:
        raise RuntimeError(f"app {app.name!r} is not handling an update of Telegram here; call this inside a hook")
    return current.data


async def _first_that_handles(app: "App", kind: Kind, event: Any) -> Any:
    if kind == "message":
        handled = await _command(app, event)
        if handled:
            return handled
    handled, result = await _route(app, kind, event)
    if handled:
        return result
    return await call(getattr(app, _LAST_HOOKS[kind]), event)


async def _command(app: "App", event: Any) -> Any:
    username = app.telegram_me.username if app.telegram_me is not None else None
    command = parse_command(event.text or event.caption, username)
    return command and await call(app.on_telegram_command, command.trigger, command.args, event)


async def _route(app: "App", kind: Kind, event: Any) -> tuple[bool, Any]:
    """Offer the event to the app's router: whether one of its handlers took it, and what it returned."""
    link = app.telegram_link
    if link is None or not link.routing.wants(kind):
        return False, None
    current = _handling.get()
    return await link.routing.offer(kind, event, {"app": app} if current is None else current.data)


def _is_method(result: Any) -> bool:
    """Tell whether a hook's result is a call to make; where aiogram is not loaded, nothing can be one."""
    methods = sys.modules.get("aiogram.methods.base")
    return methods is not None and isinstance(result, methods.TelegramMethod)
