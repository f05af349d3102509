"""Very many people who pressed START: their messages are counted, not kept."""

from array import array
from collections import Counter
from typing import Any

MAX_CROWD = 1_000_000
MAX_LISTED = 1_000
MOST = 255


class Crowd:
    """People with consecutive ids; the same numbers with a minus are groups.

    Args:
        first: the lowest id.
        count: how many.
        blocked_every: each so many-th of them has blocked the bot; 0: nobody.
    """

    def __init__(self, first: int = 0, count: int = 0, blocked_every: int = 0) -> None:
        self.first = first
        self._got = array("B", bytes(count))
        self._blocked_every = blocked_every

    def __contains__(self, chat: int) -> bool:
        """Tell whether this is one of them."""
        return self.first <= abs(chat) < self.first + len(self._got)

    def blocks(self, chat: int) -> bool:
        """Tell whether this one has blocked the bot."""
        return self._blocked_every > 0 and (abs(chat) - self.first) % self._blocked_every == 0

    def got(self, chat: int) -> None:
        """Count a message."""
        at = abs(chat) - self.first
        self._got[at] = min(MOST, self._got[at] + 1)

    def summary(self) -> dict[str, Any]:
        """Return how many got how many messages, and who got more than one."""
        twice = [self.first + at for at, number in enumerate(self._got) if number > 1]
        return {
            "first": self.first,
            "count": len(self._got),
            "got": {str(number): many for number, many in sorted(Counter(self._got).items())},
            "more_than_one": twice[:MAX_LISTED],
        }

    def without(self, most: int = MAX_LISTED) -> list[int]:
        """Return who got nothing and has not blocked the bot, at most so many."""
        missed = (self.first + at for at, number in enumerate(self._got) if number == 0)
        return [id_ for id_ in missed if not self.blocks(id_)][:most]
