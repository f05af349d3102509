"""A node's position in a channel, under any interleaving of publishing, losing, failing over and reading."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.bus_frames import Message
from shared.history import Entry, Reading
from ws_server.tail import Tail, Verdict

KEPT = 5


@dataclass
class Stream:
    """A channel as Redis keeps it: what `shared.history` promises, in plain values."""

    last: int = 1
    entries: list[tuple[int, int]] = field(default_factory=list)  # offset, prev
    clock: int = 100

    def publish(self) -> Message:
        self.clock += 10
        offset, prev = max(self.last + 1, self.clock), self.last
        self.entries = [*self.entries, (offset, prev)][-KEPT:]
        self.last = offset
        return Message(b"{}", offset=offset, prev=prev)

    def read(self, position: int) -> Reading:
        if position == self.last:
            return Reading("valid", self.last)
        offsets = [offset for offset, _ in self.entries]
        if position in offsets or (self.entries and self.entries[0][1] == position):
            return Reading("valid", self.last, tuple(Entry(offset, b"{}") for offset in offsets if offset > position))
        return Reading("unknown position", self.last)


class TailMachine(RuleBasedStateMachine):
    """One node follows one channel; a message in flight may be lost, and so may the end of the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream()
        self.tail = Tail(bound=4)
        self.in_flight: list[Message] = []
        self.reading: Reading | None = None
        self.healing_from = 0
        self.published: list[int] = []
        self.lost: set[int] = set()
        self.seen: list[int | str] = []
        self.tail.begin()
        self.tail.healed(self.stream.read(-1))

    @rule()
    def publish(self) -> None:
        message = self.stream.publish()
        self.published.append(message.offset)
        self.in_flight.append(message)

    @precondition(lambda self: self.in_flight)
    @rule()
    def arrive(self) -> None:
        message = self.in_flight.pop(0)
        if self.tail.take(message) is Verdict.DELIVER:
            self.seen.append(message.offset)

    @precondition(lambda self: self.in_flight)
    @rule()
    def lose_one(self) -> None:
        self.in_flight.pop(0)

    @precondition(lambda self: len(self.stream.entries) > 1)
    @rule(count=st.integers(1, 3))
    def fail_over(self, count: int) -> None:
        """The new master lacks the newest entries, whose messages were published already."""
        kept = self.stream.entries[: max(1, len(self.stream.entries) - count)]
        self.lost.update(offset for offset, _ in self.stream.entries[len(kept) :])
        self.stream.entries, self.stream.last = kept, kept[-1][0]

    @precondition(lambda self: not self.tail.healing)
    @rule()
    def begin_to_heal(self) -> None:
        """After a gap, and after each break of the connection."""
        self.healing_from = self.tail.begin()
        self.reading = None

    @precondition(lambda self: self.tail.healing and self.reading is None)
    @rule()
    def read(self) -> None:
        self.reading = self.stream.read(self.healing_from)

    @precondition(lambda self: self.tail.healing and self.reading is None)
    @rule()
    def redis_does_not_answer(self) -> None:
        self.tail.failed()

    @precondition(lambda self: self.reading is not None)
    @rule()
    def heal(self) -> None:
        assert self.reading is not None
        if self.reading.verdict != "valid":
            self.seen.append("resync")
        self.seen += [message.offset for message in self.tail.healed(self.reading)]
        self.reading = None

    def _stretches(self) -> list[list[int]]:
        """Split what was seen at each resync."""
        stretches: list[list[int]] = [[]]
        for item in self.seen:
            if isinstance(item, int):
                stretches[-1].append(item)
            else:
                stretches.append([])
        return stretches

    @invariant()
    def order_is_kept_and_nothing_comes_twice(self) -> None:
        for stretch in self._stretches():
            assert stretch == sorted(set(stretch))

    @invariant()
    def nothing_is_missing_but_behind_a_resync(self) -> None:
        """Only what a failover took away may be missing in the middle of a stretch."""
        for stretch in self._stretches():
            if stretch:
                inside = {offset for offset in self.published if stretch[0] <= offset <= stretch[-1]}
                assert inside - self.lost <= set(stretch), (self.seen, self.published)

    @invariant()
    def what_waits_is_bounded(self) -> None:
        assert len(self.tail.waiting) <= self.tail.bound

    def teardown(self) -> None:
        """When all is calm, a heal brings the node to the end of the stream."""
        for _ in range(3):
            if not self.tail.healing:
                self.healing_from = self.tail.begin()
            self.reading = self.stream.read(self.healing_from)
            self.heal()
        assert self.tail.last == self.stream.last
        assert not self.tail.gap


TestTail = TailMachine.TestCase
TestTail.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
