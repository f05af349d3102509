"""What went over the wires: updates, calls, frames, each with the correlation id it belongs to; the newest are kept."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sandbox.model import Json

KEPT = 500
LONGEST_TEXT = 2000
SECRET = frozenset({"secret_token", "provider_token", "provider_data"})  # parameters nobody needs to read

Kind = Literal["update", "call", "frame"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that went from here to there.

    Attributes:
        at: unix seconds.
        kind: an update to a bot, a call of one, or a frame: what processes and pages tell each other.
        bot: id of the bot it is about; 0: of none.
        trace: correlation id; empty where none is known.
        title: kind of update, method, or type of message.
        way: from where to where, in a word or two.
        detail: what was in it.
        status: HTTP status of a call; 0 for all else.
        milliseconds: that a call took.
        number: counted from 1.
    """

    at: float
    kind: Kind
    bot: int
    trace: str
    title: str
    way: str
    detail: Any = None
    status: int = 0
    milliseconds: float = 0.0
    number: int = 0

    def to_page(self) -> Json:
        """Return it as the page gets it."""
        return asdict(self)


class Traffic:
    """The newest entries, and whoever follows.

    Args:
        bound: how many are kept; the oldest go first.
    """

    def __init__(self, bound: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=bound)
        self._followers: set[Follower] = set()
        self._number = 0

    def note(self, entry: Entry) -> None:
        """Keep an entry and tell those who follow."""
        self._number += 1
        numbered = replace(entry, number=self._number)
        self._entries.append(numbered)
        for follower in self._followers:
            follower.put(numbered)

    def __iter__(self) -> Iterator[Entry]:
        """Iterate over what is kept, oldest first."""
        return iter(self._entries)

    @contextmanager
    def followed(self, wake: Any) -> "Iterator[Follower]":
        """Give what is kept and all that comes.

        Args:
            wake: called, without arguments, when something came.
        """
        follower = Follower(wake)
        for entry in self._entries:
            follower.put(entry)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)


@dataclass(eq=False, slots=True)
class Follower:
    """Entries on their way to one page, which loses the oldest where it reads too slowly.

    Attributes:
        lost: how many it did not get since the last `take`.
    """

    wake: Any
    waiting: deque[Entry] = field(default_factory=lambda: deque(maxlen=2 * KEPT))
    lost: int = 0

    def put(self, entry: Entry) -> None:
        """Add an entry."""
        self.lost += len(self.waiting) == self.waiting.maxlen
        self.waiting.append(entry)
        self.wake()

    def take(self) -> tuple[list[Entry], int]:
        """Return what came, and how much was lost before."""
        entries, lost = list(self.waiting), self.lost
        self.waiting.clear()
        self.lost = 0
        return entries, lost


def shortened(value: Any) -> Any:
    """Return a JSON value with long texts cut, and without what nobody needs to read."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {key: "…" if key in SECRET else shortened(item) for key, item in value.items()}
    return [shortened(item) for item in value[:100]] if isinstance(value, list) else value
