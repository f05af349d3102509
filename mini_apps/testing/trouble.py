"""What goes wrong in the services of a deployment: what they log as errors, for the errors that a test gets to see."""

import contextlib
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

_noted: ContextVar[list[str] | None] = ContextVar("trouble", default=None)


@contextlib.contextmanager
def noted() -> Iterator[list[str]]:
    """Give a list that gets a line for each error that is logged in this context, and in those of tasks made in it."""
    found: list[str] = []
    processors = structlog.get_config()["processors"]
    if _note not in processors:
        structlog.configure(processors=[_note, *processors])
    before = _noted.get()
    _noted.set(found)
    try:
        yield found
    finally:
        _noted.set(before)


def _note(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Note an error and let it pass (structlog's processor)."""
    found = _noted.get()
    if found is not None and method in ("error", "critical", "exception"):
        found.append(f"{event.get('event')}{_shown(event.get('exc_info'))}")
    return event


def _shown(given: Any) -> str:
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f": {type(error).__name__}: {error}{place}"
