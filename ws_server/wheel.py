"""A timer wheel: who is due for a look, with one timer for the whole node instead of some for each socket."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Wheel(Generic[Item]):
    """Items by the slot of time they are due in.

    A busy socket costs the wheel nothing: when it comes up, its owner sees when it was last heard of and puts it back.

    Args:
        tick: length of a slot in seconds.
    """

    def __init__(self, tick: float = 0.5) -> None:
        self._tick = tick
        self._slots: dict[int, set[Item]] = {}
        self._done = -1

    def add(self, when: float, item: Item) -> int:
        """Have `item` come up at `when` (seconds of a monotonic clock), up to one tick late; return its slot."""
        slot = max(int(when / self._tick) + 1, self._done + 1)
        self._slots.setdefault(slot, set()).add(item)
        return slot

    def remove(self, slot: int, item: Item) -> None:
        """Forget `item`, which `add` put into `slot`; nothing happens when it has come up already."""
        found = self._slots.get(slot)
        if found is not None:
            found.discard(item)
            if not found:
                del self._slots[slot]

    def due(self, now: float) -> list[Item]:
        """Take out and return what is due at `now`."""
        current = int(now / self._tick)
        slots = sorted(slot for slot in self._slots if slot <= current)
        self._done = max(self._done, current)
        return [item for slot in slots for item in self._slots.pop(slot)]
