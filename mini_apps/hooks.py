"""Calling what an author overrides, which may be sync or async."""

import asyncio
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any

__all__ = ["call"]


async def call(hook: Callable[..., Any], /, *args: Any) -> Any:
    """Run a hook and return what it gives, awaited where the hook is async.

    Only coroutines and futures are awaited: an aiogram `TelegramMethod` is awaitable too, but as a hook's result it
    is a call to make later.

    Args:
        hook: a bound method or function.
        *args: its arguments.
    """
    result = hook(*args)
    if result is None:
        return None
    if type(result) is CoroutineType or isinstance(result, Coroutine | asyncio.Future):
        return await result
    return result
