"""The hub with plain members: who gets what, in which order, in how many writes."""

from collections.abc import Callable

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_server.framing import binary_frame, text_frame
from ws_server.hub import Hub


class Member:
    def __init__(self, client_id: str = "c", *, packed: bool = False) -> None:
        self.client_id = client_id
        self.packed = packed
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
