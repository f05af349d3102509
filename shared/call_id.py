"""The id of a call of the Bot API that may be asked for again, by this process or another.

Calls under one id are made once: who asks later gets the result of the first. Inside hooks and for remote calls an id
is made anyway; this one stands for it where the caller knows better what is the same call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

KEEP_SECONDS: Final = 86_400  # the result of such a call is kept

_given: ContextVar[str] = ContextVar("call_id", default="")


@contextmanager
def call_as(id: str) -> Iterator[None]:
    """Let the one call made inside the block have this id; empty for none.

    Args:
        id: unique in the app, one line.
    """
    before = _given.set(id)
    try:
        yield
    finally:
        _given.reset(before)


def given_id() -> str:
    """Return the id that the call made here shall have, empty where nobody gave one."""
    return _given.get()
