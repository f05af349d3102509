"""The updates a bot has not fetched yet, with the offset semantics of getUpdates.

Source: https://core.telegram.org/bots/api#getting-updates
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from sandbox.model import Json

KEPT_SECONDS = 24 * 3600
IDLE_RESTART_SECONDS = 7 * 24 * 3600
MAX_PENDING = 100_000

# An empty `allowed_updates` means every kind but these.
OPT_IN_KINDS = frozenset({"chat_member", "message_reaction", "message_reaction_count"})


class QueueFullError(Exception):
    """The bot fetches nothing and its queue is at the bound; the user's action is refused."""


@dataclass(frozen=True, slots=True)
class Update:
    """One update; `order_key` is the chat, or the user where there is none: updates of one key keep their order."""

    id: int
    kind: str
    payload: Json
    order_key: int
    date: float

    def to_api(self) -> Json:
        """Return the Bot API `Update`."""
        return {"update_id": self.id, self.kind: self.payload}


class UpdateQueue:
    """Pending updates of one bot, oldest first.

    Args:
        rng: chooses where the ids start, and restart after a week of silence.
        bound: pending updates at which `append` refuses.
    """

    def __init__(self, rng: Random, bound: int = MAX_PENDING) -> None:
        self._rng = rng
        self._bound = bound
        # An OrderedDict, for a dict whose first entries were deleted is slow to iterate.
        self._updates: OrderedDict[int, Update] = OrderedDict()
        self._next_id = self._start()
        self._last_date: float | None = None
        self.allowed: frozenset[str] = frozenset()
        self.refused = 0

    def __len__(self) -> int:
        """Return how many updates wait."""
        return len(self._updates)

    def __iter__(self) -> Iterator[Update]:
        """Iterate over the waiting updates, oldest first."""
        return iter(self._updates.values())

    @property
    def is_full(self) -> bool:
        """Whether the bound is reached."""
        return len(self._updates) >= self._bound

    def allows(self, kind: str) -> bool:
        """Tell whether the bot asked for this kind; it counts when the update is made, not when it is fetched."""
        return kind in self.allowed if self.allowed else kind not in OPT_IN_KINDS

    def append(self, kind: str, payload: dict[str, Any], *, order_key: int, now: float) -> Update | None:
        """Add an update and return it, or `None` when the bot did not ask for its kind.

        Raises:
            QueueFullError: the bound is reached.
        """
        if not self.allows(kind):
            return None
        self._expire(now)
        if self.is_full:
            self.refused += 1
            raise QueueFullError
        if not self._updates and self._last_date is not None and now - self._last_date > IDLE_RESTART_SECONDS:
            self._next_id = self._start()
        update = Update(self._next_id, kind, payload, order_key, now)
        self._updates[update.id] = update
        self._next_id += 1
        self._last_date = now
        return update

    def fetch(self, offset: int, limit: int, now: float) -> list[Update]:
        """Confirm what lies before `offset` and return up to `limit` of the rest.

        A negative offset counts from the end of the queue and forgets everything before; 0 confirms nothing.
        """
        self._expire(now)
        while self._updates and next(iter(self._updates)) < offset:
            self._updates.popitem(last=False)
        for _ in range(len(self._updates) + offset if offset < 0 else 0):
            self._updates.popitem(last=False)
        return list(islice(self._updates.values(), limit))

    def discard(self, updates: Iterable[Update]) -> None:
        """Remove delivered updates; the webhook delivers chats in parallel, so out of order."""
        for update in updates:
            self._updates.pop(update.id, None)

    def clear(self) -> None:
        """Forget all pending updates."""
        self._updates.clear()

    def _expire(self, now: float) -> None:
        while self._updates and next(iter(self._updates.values())).date < now - KEPT_SECONDS:
            self._updates.popitem(last=False)

    def _start(self) -> int:
        return self._rng.randrange(100_000_000, 900_000_000)
