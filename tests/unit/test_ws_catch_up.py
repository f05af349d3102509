"""A client on its way into a channel: any interleaving keeps order, misses nothing and repeats nothing."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.bus_frames import Message
from shared.history import Entry, Reading
from ws_server.catch_up import BESIDE, CHUNK_BYTES, RESYNC, CatchUp
from ws_server.tail import Tail, Verdict

KEPT = 8
TICK = 1_000
COUNTS = st.lists(st.integers(0, 2), min_size=4, max_size=4)
SELDOM = st.integers(0, 3)  # faults that came at every other step would leave no time for anything to go on
BODY = b"x" * (CHUNK_BYTES // 3)  # so that a replay takes several chunks


class ClientMachine(RuleBasedStateMachine):
    """One channel, one node that follows it, one client that comes, leaves, and comes back with its position."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 100
        self.entries: list[tuple[int, int]] = []  # offset, prev: the stream
        self.last = 1
        self.in_flight: list[Message] = []
        self.tail = Tail()
        self.tail.begin()
        self.tail.healed(Reading("unknown position", self.last))
        self.published: list[int] = []
        self.gone: set[int] = set()  # lost by a failover
        self.position: int | None = None  # of the client's last message
        self.coming: CatchUp | None = None
        self.reading: Reading | None = None
        self.inside = False
        self.seen: list[int] = []  # since the client last loaded its state
        self.since = 0
        self.resynced_at = 0

    # Redis.

    @rule(count=st.integers(1, 3))
    def publish(self, count: int) -> None:
        for _ in range(count):
            self._publish()

    def _publish(self) -> None:
        self.clock += 10
        # The last digits keep apart what two servers number at the same time, as microseconds do, and as those do that
        # are drawn where the clock is behind.
        offset, prev = self.clock * TICK + len(self.published), self.last
        if offset <= prev:
            offset = prev + 1 + len(self.published)
        self.entries = [*self.entries, (offset, prev)][-KEPT:]
        self.last = offset
        self.published.append(offset)
        self.in_flight.append(Message(BODY, offset=offset, prev=prev))

    @precondition(lambda self: len(self.entries) > 1)
    @rule(dice=SELDOM, clock_behind=st.integers(0, 100))
    def fail_over(self, dice: int, clock_behind: int) -> None:
        """The new master lacks the newest entry, and its clock may be behind."""
        if dice:
            return
        self.gone.add(self.entries.pop()[0])
        self.last = self.entries[-1][0]
        self.clock -= clock_behind

    @precondition(lambda self: self.in_flight)
    @rule(dice=SELDOM)
    def lose_one(self, dice: int) -> None:
        if not dice:
            self.in_flight.pop(0)

    def _read(self, position: int) -> Reading:
        if position == self.last:
            return Reading("valid", self.last)
        offsets = [offset for offset, _ in self.entries]
        if position in offsets or (self.entries and self.entries[0][1] == position):
            return Reading("valid", self.last, tuple(Entry(offset, BODY) for offset in offsets if offset > position))
        return Reading("too old", self.last)

    # The node.

    @precondition(lambda self: self.in_flight)
    @rule(count=st.integers(1, 4))
    def arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.in_flight))):
            self._arrive(self.in_flight.pop(0))

    def _arrive(self, message: Message) -> None:
        if self.tail.take(message) is Verdict.DELIVER:
            self._deliver(message.offset)
        else:
            self.heal()

    @rule()
    def heal(self) -> None:
        reading = self._read(self.tail.begin())
        if reading.verdict != "valid":
            self.resynced_at = reading.last
            self._deliver(RESYNC)
        for message in self.tail.healed(reading):
            self._deliver(message.offset)

    def _deliver(self, offset: int) -> None:
        if self.inside:
            self._see(offset)
        if self.coming is not None:
            self.coming.record(offset, b"%d" % offset)

    # The client.

    def _see(self, offset: int) -> None:
        if offset == RESYNC:
            self._load(self.resynced_at)
            return
        self.seen.append(offset)
        self.position = offset

    def _load(self, here: int) -> None:
        """Load the state anew; what is live follows."""
        self.position, self.since, self.seen = here, here, []

    @precondition(lambda self: self.coming is None and not self.inside)
    @rule()
    def come(self) -> None:
        self.coming = CatchUp("room")
        if self.position is None:
            self.coming.begin_here(self.tail.last or 0)
            self._load(self.coming.offset)
        else:
            self.reading = None

    @precondition(lambda self: self.coming is not None and self.coming.offset == 0 and self.reading is None)
    @rule()
    def redis_reads(self) -> None:
        assert self.position is not None
        self.reading = self._read(self.position)

    @precondition(lambda self: self.coming is not None and self.coming.offset == 0 and self.reading is not None)
    @rule()
    def redis_answers(self) -> None:
        assert self.coming is not None
        assert self.reading is not None
        assert self.position is not None
        here = self.tail.last or 0
        if self.reading.verdict == "valid":
            bodies = ((entry.offset, b"%d" % entry.offset + b" " * len(BODY)) for entry in self.reading.entries)
            self.coming.begin(self.position, here, bodies)
        else:
            self.coming.begin_here(here, self.reading.verdict)
            self._load(here)
        self.reading = None

    @precondition(lambda self: self.coming is not None and self.coming.offset)
    @rule()
    def replay_a_chunk(self) -> None:
        assert self.coming is not None
        chunk = self.coming.take()
        for body in chunk:
            self._see(int(body))
        if not chunk:
            self.coming, self.inside = None, True

    @precondition(lambda self: self.position is not None)
    @rule(published=COUNTS, arrived=COUNTS, lose=SELDOM)
    def come_back_in_a_busy_moment(self, published: list[int], arrived: list[int], lose: int) -> None:
        """The steps of a return one after the other with messages between them, which single rules rarely hit."""
        self._leave()
        self.come()
        for step, (more, heard) in enumerate(zip(published, arrived, strict=True)):
            for _ in range(more):
                self._publish()
            if self.in_flight and not lose and step == 1:
                self.in_flight.pop(0)
            for _ in range(min(heard, len(self.in_flight))):
                self._arrive(self.in_flight.pop(0))
            if step == 0:
                self.redis_reads()
            elif step == 1:
                self.redis_answers()
            while step == 2 and not self.inside:
                self.replay_a_chunk()

    @rule(dice=SELDOM)
    def leave(self, dice: int) -> None:
        """Lose the connection, in whatever state."""
        if not dice:
            self._leave()

    def _leave(self) -> None:
        self.coming, self.reading, self.inside = None, None, False

    @invariant()
    def order_is_kept_and_nothing_comes_twice(self) -> None:
        assert self.seen == sorted(set(self.seen)), self.seen

    @invariant()
    def nothing_is_missing(self) -> None:
        if self.seen:
            before = self.published[: self.published.index(self.seen[-1]) + 1]
            meanwhile = {offset for offset in before if offset > self.since}
            assert meanwhile - self.gone <= set(self.seen), (sorted(meanwhile), self.seen)

    def teardown(self) -> None:
        """When all is calm, a client that comes and stays has everything that is kept."""
        self.in_flight.clear()
        self.heal()
        if not self.inside:
            self._leave()
            self.come()
            if self.coming is not None and self.coming.offset == 0:
                self.redis_reads()
                self.redis_answers()
            while not self.inside:
                self.replay_a_chunk()
        after = {offset for offset, _ in self.entries if offset > self.since}
        assert after <= set(self.seen), (sorted(after), self.seen)


TestClient = ClientMachine.TestCase
TestClient.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def test_what_waits_is_bounded() -> None:
    catch_up = CatchUp("room", limit=10)
    assert catch_up.record(1, b"12345")
    assert catch_up.record(2, b"12345")
    assert not catch_up.record(3, b"1")


def test_after_a_notice_a_smaller_offset_is_no_repeat() -> None:
    catch_up = CatchUp("room")
    catch_up.begin(100, 100, [])
    catch_up.record(RESYNC, b"resync")
    catch_up.record(95, b"95")
    catch_up.record(96, b"96")
    assert catch_up.take() == [b"resync", b"95", b"96"]


def test_what_has_no_place_in_the_history_does_not_move_the_client() -> None:
    catch_up = CatchUp("room")
    catch_up.begin(90, 100, [(100, b"100")])
    catch_up.record(BESIDE, b"join")
    catch_up.record(100, b"100")
    catch_up.record(101, b"101")
    assert catch_up.take() + catch_up.take() == [b"100", b"join", b"101"]
