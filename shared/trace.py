"""The correlation id: one name for everything that follows from one update or one message of a client.

It lives in a context variable, so whatever an update or a message causes in this process has it, and each log line
shows it as `trace`. To other processes it travels with calls of the Bot API and in the frames of the bus.

| begins with | is |
|---|---|
| `update-` | the `update_id` of an update of the bot, in its hooks |
| a client's id | that client's messages on its node, counted from 1; 0 is the login |
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_trace: ContextVar[str] = ContextVar("trace", default="")


def current() -> str:
    """Return the id of what is being done, empty where it began in this process by itself."""
    return _trace.get()


def bind(trace: str) -> None:
    """Let an id hold for the rest of this task."""
    _trace.set(trace)


@contextmanager
def bound(trace: str) -> Iterator[None]:
    """Let an id hold inside the block; empty for none."""
    before = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(before)


def of_update(update_id: int) -> str:
    """Return the id of an update of the bot."""
    return f"update-{update_id}"


def of_message(client_id: str, number: int) -> str:
    """Return the id of a client's message.

    Args:
        client_id: unique in the deployment.
        number: of the message, as its node counts; 0 for the login.
    """
    return f"{client_id}-{number}"


def new() -> str:
    """Return an id for something that neither an update nor a message began."""
    return secrets.token_hex(8)
