"""Who waits for a budget in this process, and who is asked for next: plain data, no clock.

Calls of one chat stand in a line. A lane holds the lines of one kind: interactive ones go ahead of bulk ones, and
within a lane the chats take turns. A chat that has to wait rests without being in anybody's way.
"""

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Lane(IntEnum):
    """A kind of call, in the order in which they are asked for."""

    FREE = 0  # counts against nothing, but heeds a pause of the whole bot
    INTERACTIVE = 1
    INTERACTIVE_PAID = 2
    BULK = 3
    BULK_PAID = 4

    @classmethod
    def of(cls, *, counts: bool, bulk: bool, paid: bool) -> "Lane":
        """Return the lane of a call."""
        return cls(1 + 2 * bulk + paid) if counts else cls.FREE

    @property
    def bulk(self) -> bool:
        """Whether its calls stay behind the interactive ones."""
        return self >= Lane.BULK

    @property
    def paid(self) -> bool:
        """Whether its calls have the limit of paid ones."""
        return self in (Lane.INTERACTIVE_PAID, Lane.BULK_PAID)


@dataclass(eq=False, slots=True)
class Line(Generic[T]):
    """The calls of one chat that wait in one lane; `paused` is for the budget to note the end of a pause."""

    lane: Lane
    chat: str
    paused: float = 0.0
    waiting: deque[T] = field(default_factory=deque)


class Waiting(Generic[T]):
    """The lines of one budget.

    Times are seconds of any one clock.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[Lane, str], Line[T]] = {}
        self._ready: dict[Lane, deque[Line[T]]] = {lane: deque() for lane in Lane}
        self._held: dict[Lane, float] = dict.fromkeys(Lane, 0.0)
        self._resting: list[tuple[float, int, Line[T]]] = []
        self._ages = itertools.count()
        self._count = 0

    def __len__(self) -> int:
        """Return how many calls wait."""
        return self._count

    def add(self, lane: Lane, chat: str, call: T) -> Line[T]:
        """Let a call wait behind the others of its chat, and return their line."""
        line = self._lines.get((lane, chat))
        if line is None:
            line = self._lines[lane, chat] = Line(lane, chat)
            self._ready[lane].append(line)
        line.waiting.append(call)
        self._count += 1
        return line

    def remove(self, lane: Lane, chat: str, call: T) -> None:
        """Take a call out that waits no longer; nothing where it is not there."""
        line = self._lines.get((lane, chat))
        if line is not None and call in line.waiting:
            line.waiting.remove(call)
            self._count -= 1

    def take(self, now: float, most: int) -> list[Line[T]]:
        """Return the lines to ask for now, best first; each must be given to `went`, `rest` or `hold`."""
        while self._resting and self._resting[0][0] <= now:
            line = heapq.heappop(self._resting)[2]
            self._ready[line.lane].append(line)
        found: list[Line[T]] = []
        for lane, ready in self._ready.items():
            while ready and self._held[lane] <= now and len(found) < most:
                line = ready.popleft()
                if line.waiting:
                    found.append(line)
                else:
                    del self._lines[lane, line.chat]
        return found

    def next(self) -> float | None:
        """Return when `take` has something again; None where nobody waits."""
        times = [self._held[lane] for lane, ready in self._ready.items() if ready]
        return min([*times, *(due for due, _, _ in self._resting[:1])], default=None)

    def went(self, line: Line[T]) -> list[T]:
        """Return who may go now: the first of the line, or all of it where calls count against nothing."""
        many = len(line.waiting) if line.lane is Lane.FREE else min(1, len(line.waiting))
        gone = [line.waiting.popleft() for _ in range(many)]
        self._count -= len(gone)
        if line.waiting:
            self._ready[line.lane].append(line)
        else:
            del self._lines[line.lane, line.chat]
        return gone

    def rest(self, line: Line[T], until: float) -> None:
        """Ask for this chat again at a time."""
        heapq.heappush(self._resting, (until, next(self._ages), line))

    def hold(self, lines: list[Line[T]], until: float) -> None:
        """Put lines back in their order, and ask for their lanes again at a time."""
        for line in reversed(lines):
            self._held[line.lane] = until
            self._ready[line.lane].appendleft(line)

    def drop(self, lines: list[Line[T]]) -> list[T]:
        """Take lines out with all that wait in them, and return that."""
        for line in lines:
            del self._lines[line.lane, line.chat]
        gone = [call for line in lines for call in line.waiting]
        self._count -= len(gone)
        return gone
