"""What tests import: waiting for conditions, the sandbox token."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

TOKEN = "42:sandbox-counter"


async def eventually(
    condition: Callable[[], Any] | Callable[[], Awaitable[Any]], *, seconds: float = 180.0, what: str = "the condition"
) -> Any:
    """Wait until `condition` gives something truthy, and return that; fails after `seconds`."""
    until = time.monotonic() + seconds
    while True:
        result = condition()
        if asyncio.iscoroutine(result) or isinstance(result, asyncio.Future):
            result = await result
        if result:
            return result
        if time.monotonic() > until:
            pytest.fail(f"{what} did not come true within {seconds:g} s")
        await asyncio.sleep(0.01)
