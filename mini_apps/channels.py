"""What an app declares about its channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["Channel", "options_of"]

LARGEST_HISTORY = 10_000


@dataclass(frozen=True, slots=True)
class Channel:
    """How a channel behaves.

    Attributes:
        history: messages it keeps for clients that come back; 0 keeps none, at most 10,000.
        ttl: seconds the messages are kept after the last one was published.
        presence: whether `App.presence` lists its members and `App.presence_count` counts them.
        announce: whether, with `presence`, the members are told who comes and goes. A channel of thousands does better
            without, since each that comes would be a frame for all; publish the count now and then.

    Raises:
        ValueError: out of range.
    """

    history: int = 0
    ttl: float = 300.0
    presence: bool = False
    announce: bool = True

    def __post_init__(self) -> None:
        """Refuse what Redis could not keep."""
        if not 0 <= self.history <= LARGEST_HISTORY:
            raise ValueError(f"Channel(history={self.history}): 0 to {LARGEST_HISTORY} messages")
        if not 0 < self.ttl <= 30 * 86_400:
            raise ValueError(f"Channel(ttl={self.ttl}): more than 0 and at most 30 days, in seconds")


PLAIN = Channel()


def options_of(name: str, declared: Mapping[str, Channel]) -> Channel:
    """Return the options of a channel: those of its own name, else of the longest pattern that matches, else none.

    Args:
        name: of the channel.
        declared: name or pattern (`game:*`) to options, as in `App.channels`.
    """
    if name in declared:
        return declared[name]
    matching = [pattern for pattern in declared if fnmatchcase(name, pattern)]
    return declared[max(matching, key=len)] if matching else PLAIN
