"""The hub with plain members: who gets what, in which order, in how many writes."""

from collections.abc import Callable

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_server.framing import binary_frame, text_frame
from ws_server.hub import Hub
from ws_server.latest import MOST_BYTES, MOST_KEYS, Latest


class Member:
    def __init__(self, client_id: str = "c", *, packed: bool = False) -> None:
        self.client_id = client_id
        self.packed = packed
        self.behind = False
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)


class Turn:
    """Runs what was scheduled, as the end of a loop turn does."""

    def __init__(self) -> None:
        self.scheduled: list[Callable[[], None]] = []

    def __call__(self, callback: Callable[[], None]) -> None:
        self.scheduled.append(callback)

    def end(self) -> None:
        scheduled, self.scheduled = self.scheduled, []
        for callback in scheduled:
            callback()


@pytest.fixture
def turn() -> Turn:
    return Turn()


def test_frames_of_one_turn_leave_in_one_write_in_order(turn: Turn) -> None:
    hub, ada, ben = Hub(turn), Member("a"), Member("b")
    hub.join("room", ada)
    hub.join("room", ben)
    for number in range(3):
        hub.deliver("room", b'{"n":%d}' % number)
    assert ada.writes == []
    turn.end()
    expected = b"".join(text_frame(b'{"n":%d}' % number) for number in range(3))
    assert ada.writes == ben.writes == [expected]
    assert hub.frames_out == 6


def test_msgpack_members_get_the_same_message_as_msgpack(turn: Turn) -> None:
    hub, text, packed = Hub(turn), Member(), Member(packed=True)
    hub.join("room", text)
    hub.join("room", packed)
    hub.deliver("room", b'{"type":"x","n":[1,null]}')
    turn.end()
    assert text.writes == [text_frame(b'{"type":"x","n":[1,null]}')]
    assert packed.writes == [binary_frame(msgpack.packb({"type": "x", "n": [1, None]}))]


@pytest.mark.parametrize(
    "poison", [b"no json", b'{"type":', b"[" * 2000 + b"]" * 2000, b"\xff"], ids=["text", "cut", "deep", "byte"]
)
def test_what_has_no_msgpack_form_hurts_nobody_else(turn: Turn, poison: bytes) -> None:
    hub, text, packed, other = Hub(turn), Member(), Member(packed=True), Member()
    hub.join("room", text)
    hub.join("room", packed)
    hub.join("later", other)
    for body in (b'{"n":1}', poison, b'{"n":2}'):
        hub.deliver("room", body)
    hub.deliver("later", b'{"n":3}')
    turn.end()
    assert text.writes == [text_frame(b'{"n":1}') + text_frame(poison) + text_frame(b'{"n":2}')]
    assert packed.writes == [binary_frame(msgpack.packb({"n": 1})) + binary_frame(msgpack.packb({"n": 2}))]
    assert other.writes == [text_frame(b'{"n":3}')]


def test_the_excluded_client_misses_only_its_own(turn: Turn) -> None:
    hub, ada, ben = Hub(turn), Member("a"), Member("b")
    hub.join("room", ada)
    hub.join("room", ben)
    hub.deliver("room", b"{}")
    hub.deliver("room", b'{"from":"a"}', "a")
    hub.deliver("room", b'{"from":"b"}', "b")
    turn.end()
    assert ada.writes == [text_frame(b"{}") + text_frame(b'{"from":"b"}')]
    assert ben.writes == [text_frame(b"{}") + text_frame(b'{"from":"a"}')]


def test_a_client_excluded_from_everything_gets_no_write(turn: Turn) -> None:
    hub, ada = Hub(turn), Member("a")
    hub.join("room", ada)
    hub.deliver("room", b"{}", "a")
    turn.end()
    assert ada.writes == []


def test_joining_in_the_middle_of_a_turn_brings_nothing_from_before(turn: Turn) -> None:
    hub, ada, late = Hub(turn), Member("a"), Member("l")
    hub.join("room", ada)
    hub.deliver("room", b"1")
    hub.join("room", late)
    hub.deliver("room", b"2")
    turn.end()
    assert b"".join(ada.writes) == text_frame(b"1") + text_frame(b"2")
    assert late.writes == [text_frame(b"2")]


def test_leaving_in_the_middle_of_a_turn_loses_nothing_from_before(turn: Turn) -> None:
    hub, ada = Hub(turn), Member("a")
    hub.join("room", ada)
    hub.deliver("room", b"1")
    hub.leave("room", ada)
    hub.deliver("room", b"2")
    turn.end()
    assert ada.writes == [text_frame(b"1")]
    assert len(hub) == 0


@pytest.mark.parametrize("packed", [False, True])
def test_a_member_that_is_behind_gets_what_must_arrive_and_the_newest_of_each_key(turn: Turn, *, packed: bool) -> None:
    hub, quick, slow = Hub(turn), Member("q"), Member("s", packed=packed)
    for member in (quick, slow):
        hub.join("room", member)
    slow.behind = True
    for number in range(3):
        hub.deliver("room", b"1%d" % number, policy="latest", key="a")
        hub.deliver("room", b"2%d" % number, policy="latest", key="b")
        hub.deliver("room", b"3%d" % number, policy="drop")
        turn.end()
    hub.deliver("other", b"4")
    assert b"".join(quick.writes) == b"".join(
        text_frame(b"%d%d" % (kind, number)) for number in range(3) for kind in (1, 2, 3)
    )
    assert slow.writes == []
    assert (hub.replaced, hub.dropped, hub.waiting_bytes()) == (4, 3, 4)
    slow.behind = False
    hub.caught_up(slow)
    assert [_number(frame) for frame in slow.writes] == [12, 22]
    hub.deliver("room", b"99", policy="drop")
    turn.end()
    assert [_number(frame) for frame in slow.writes] == [12, 22, 99]
    assert hub.waiting_bytes() == 0


def _number(frame: bytes) -> int:
    return frame[2] if frame[0] == 0x82 else int(frame[2:])


def test_what_must_arrive_keeps_its_place_behind_what_waited_of_its_group(turn: Turn) -> None:
    hub, slow = Hub(turn), Member("s")
    slow.behind = True
    for name in ("room", "other"):
        hub.join(name, slow)
        hub.deliver(name, b"1" if name == "room" else b"8", policy="latest", key="a")
    hub.deliver("room", b"2")
    hub.deliver("room", b"3", policy="latest", key="a")
    turn.end()
    assert slow.writes == [text_frame(b"1") + text_frame(b"2")]
    slow.behind = False
    hub.caught_up(slow)
    assert slow.writes[1:] == [text_frame(b"3"), text_frame(b"8")]


def test_what_waits_goes_out_only_as_far_as_the_member_reads(turn: Turn) -> None:
    class Narrow(Member):
        def write(self, data: bytes) -> None:
            super().write(data)
            self.behind = True

    hub, slow = Hub(turn), Narrow("s")
    slow.behind = True
    hub.join("room", slow)
    for number in range(3):
        hub.deliver("room", b"%d" % number, policy="latest", key=str(number))
    turn.end()
    for count in range(1, 4):
        slow.behind = False
        hub.caught_up(slow)
        assert len(slow.writes) == count
    assert hub.waiting_bytes() == 0


def test_an_excluded_member_that_is_behind_misses_only_its_own(turn: Turn) -> None:
    hub, slow = Hub(turn), Member("s")
    slow.behind = True
    hub.join("room", slow)
    hub.deliver("room", b"1", "s", "latest", "a")
    hub.deliver("room", b"2", None, "latest", "a")
    hub.deliver("room", b"3", "s")
    turn.end()
    assert slow.writes == []
    assert (hub.waiting_bytes(), hub.replaced) == (1, 0)


def test_who_leaves_does_not_get_later_what_waited(turn: Turn) -> None:
    hub, slow = Hub(turn), Member("s")
    slow.behind = True
    hub.join("room", slow)
    hub.deliver("room", b"1", policy="latest", key="a")
    hub.leave("room", slow)
    slow.behind = False
    hub.caught_up(slow)
    assert slow.writes == []
    assert (hub.dropped, hub.waiting_bytes()) == (1, 0)


def test_what_waits_for_one_member_is_bounded() -> None:
    latest = Latest()
    assert [latest.put("g", str(number), b"x") for number in range(MOST_KEYS)] == [(0, 0)] * MOST_KEYS
    assert latest.put("g", "0", b"y") == (1, 0)
    assert latest.put("g", "more", b"z") == (0, 1)
    assert latest.size == MOST_KEYS
    assert latest.put("g", "huge", b"x" * (MOST_BYTES + 1)) == (0, MOST_KEYS)
    assert latest.size == MOST_BYTES + 1
    assert latest.take("other") == []
    assert len(latest.take("g")) == 1
    assert (latest.size, bool(latest)) == (0, False)


def test_members_come_in_the_order_of_joining(turn: Turn) -> None:
    hub = Hub(turn)
    members = [Member(str(number)) for number in range(20)]
    for member in members:
        hub.join("user", member)
    assert hub.members("user") == members


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("deliver"), st.integers(0, 3)),
            st.tuples(st.just("join"), st.integers(0, 3)),
            st.tuples(st.just("leave"), st.integers(0, 3)),
            st.tuples(st.just("turn"), st.just(0)),
        )
    )
)
def test_everybody_gets_exactly_what_was_delivered_while_inside(steps: list[tuple[str, int]]) -> None:
    turn = Turn()
    hub = Hub(turn)
    members = [Member(str(number)) for number in range(4)]
    inside: set[int] = set()
    expected: list[list[bytes]] = [[] for _ in members]
    for count, (step, who) in enumerate(steps):
        if step == "deliver":
            body = orjson.dumps({"n": count})
            hub.deliver("room", body)
            for member in inside:
                expected[member].append(text_frame(body))
        elif step == "join":
            hub.join("room", members[who])
            inside.add(who)
        elif step == "leave":
            hub.leave("room", members[who])
            inside.discard(who)
        else:
            turn.end()
    turn.end()
    for member, frames in zip(members, expected, strict=True):
        assert b"".join(member.writes) == b"".join(frames)
