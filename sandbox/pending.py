"""Things that wait for an answer for a while: callback queries, inline queries, mini app sessions."""

from collections import OrderedDict
from typing import Generic, TypeVar

MAX_PENDING = 10_000

T = TypeVar("T")


class Pending(Generic[T]):
    """Values by id that are forgotten after a time; the oldest go first at the bound.

    Args:
        seconds: how long a value waits.
        bound: how many are kept.
    """

    def __init__(self, seconds: float, bound: int = MAX_PENDING) -> None:
        self._seconds = seconds
        self._bound = bound
        self._values: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def add(self, id_: str, value: T, now: float) -> None:
        """Let a value wait from now on."""
        self._values[id_] = (now, value)
        if len(self._values) > self._bound:
            self._values.popitem(last=False)

    def items(self) -> list[tuple[str, T]]:
        """Return everything that is kept, oldest first; for what is kept for ever."""
        return [(id_, value) for id_, (_, value) in self._values.items()]

    def get(self, id_: str, now: float) -> T | None:
        """Return a value that still waits, and leave it."""
        at, value = self._values.get(id_, (None, None))
        return value if at is not None and now - at <= self._seconds else None

    def pop(self, id_: str, now: float) -> T | None:
        """Return a value that still waits, and forget it."""
        value = self.get(id_, now)
        self._values.pop(id_, None)
        return value
