"""Where this node stands in a channel with history: what to do with a message that Redis has for it.

The node itself is a reader with a position. A message whose `prev` is not that position means that something was
missed: then the live messages wait until the gap has been read from the stream.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from shared.bus_frames import Message
from shared.history import Reading


class Verdict(Enum):
    """What becomes of a live message."""

    DELIVER = auto()
    WAIT = auto()


@dataclass(slots=True)
class Tail:
    """The position of a node in one channel.

    Attributes:
        last: offset of the last message delivered to this node's members; None until it is known.
        healing: the stream is being read; live messages wait.
        waiting: those messages, in order; never more than `bound`.
        before: how many of them came before the reading began.
        overflowed: a message found no room while healing, so the stream must be read once more.
    """

    bound: int = 1_000
    last: int | None = None
    healing: bool = False
    waiting: list[Message] = field(default_factory=list)
    before: int = 0
    overflowed: bool = False

    def take(self, message: Message) -> Verdict:
        """Judge a live message; after `WAIT` the caller reads the stream, unless `healing` says it does already.

        An offset that does not grow is no proof of a repeat: after a failover to a server whose clock is behind, new
        messages have smaller offsets than lost ones. Only the stream can tell.
        """
        if not self.healing and message.prev == self.last:
            self.last = message.offset
            return Verdict.DELIVER
        if len(self.waiting) < self.bound:
            self.waiting.append(message)
        else:
            self.overflowed = True
        return Verdict.WAIT

    def begin(self) -> int:
        """Start reading the stream; return the position to read from, -1 while there is none."""
        self.healing = True
        self.overflowed = False
        self.before = len(self.waiting)
        return -1 if self.last is None else self.last

    def failed(self) -> None:
        """Give the reading up for now: Redis did not answer; the gap stays."""
        self.healing = False

    def healed(self, reading: Reading) -> list[Message]:
        """Take what was read from the stream and what waited meanwhile; return what to deliver, in order.

        When `gap` is true afterwards, the stream must be read again: more was missed meanwhile.

        Args:
            reading: from `last` on; where it is not valid, the members are told before they get what this returns, and
                load their state anew, which then has in it whatever the stream had at the time of reading.
        """
        out = [Message(entry.body, offset=entry.offset) for entry in reading.entries]
        self.last = reading.entries[-1].offset if reading.entries else reading.last
        self.healing = False
        waiting, self.waiting = self.waiting, []
        for index, message in enumerate(waiting):
            # What came before the reading began is in it, or was lost with a failed server and will never fit.
            if index >= self.before and message.offset > reading.last and self.take(message) is Verdict.DELIVER:
                out.append(message)
        return out

    @property
    def gap(self) -> bool:
        """Whether something is missing still."""
        return self.overflowed or bool(self.waiting)
