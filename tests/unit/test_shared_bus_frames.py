"""What travels over the bus."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import trace
from shared.bus_frames import AdminChanged, Disconnect, Frame, Join, Leave, Message, Signal, pack, unpack

traces = st.just("") | st.sampled_from(["update-17", "0123456789abcdef-7", "x" * 31, "x" * 32]) | st.text()
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Message, st.binary(), st.none() | st.text(), trace=traces),
    st.builds(Message, st.binary(), policy=st.just("latest"), key=st.text(), trace=traces),
    st.builds(Message, st.binary(), policy=st.just("drop"), trace=traces),
    st.builds(Message, st.binary(), ack=st.text(), asker=st.text()),
    st.builds(Join, st.text(), trace=traces),
    st.builds(Leave, st.text(), st.text(), trace=traces),
    st.builds(Disconnect, st.integers(1000, 4999), st.text(), trace=traces),
    st.builds(AdminChanged, st.booleans(), trace=traces),
    st.builds(Signal, st.text(), st.binary(), trace=traces),
)


@given(frames)
def test_there_and_back(frame: Frame) -> None:
    assert unpack(pack(frame)) == frame


def test_most_messages_cost_one_byte() -> None:
    assert pack(Message(b'{"type":"x"}')) == b'\x80{"type":"x"}'


def test_a_frame_takes_the_correlation_id_of_what_makes_it() -> None:
    with trace.bound("update-17"):
        frame, command = Message(b"{}"), Join("room")
    assert (frame.trace, command.trace, Message(b"{}").trace) == ("update-17", "update-17", "")
    assert pack(frame) == msgpack.packb({"trace": "update-17"}) + b"{}"
    with trace.bound("update-18"):  # what came from elsewhere keeps its own
        assert unpack(pack(frame)) == frame
        assert unpack(b"\x80{}") == Message(b"{}", trace="")
        assert unpack(pack(command)) == command


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xc1",
        b"\x81\xa7command",
        b"\x81\xa5trace",
        b"\x81\xa5trace\xb9short",
        msgpack.packb(7),
        msgpack.packb("command"),
        msgpack.packb(["command"]),
        msgpack.packb({"command": "explode"}),
        msgpack.packb({"command": ["join"]}),
        msgpack.packb({"command": "join"}),
        msgpack.packb({"command": "join", "channel": "c", "more": 1}),
    ],
)
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a frame of the bus"):
        unpack(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_frame_or_a_value_error(data: bytes) -> None:
    try:
        frame = unpack(data)
    except ValueError:
        return
    assert isinstance(frame, Message | Join | Leave | Disconnect | AdminChanged | Signal)
