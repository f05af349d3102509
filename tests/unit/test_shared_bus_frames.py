"""What travels over the bus."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus_frames import AdminChanged, Disconnect, Frame, Join, Leave, Message, Signal, pack, unpack

frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Message, st.binary(), st.none() | st.text(), st.none() | st.text()),
    st.builds(Message, st.binary(), policy=st.just("latest"), key=st.text()),
    st.builds(Message, st.binary(), policy=st.just("drop")),
    st.builds(Join, st.text()),
    st.builds(Leave, st.text(), st.text()),
    st.builds(Disconnect, st.integers(1000, 4999), st.text()),
    st.builds(AdminChanged, st.booleans()),
    st.builds(Signal, st.text(), st.binary()),
)


@given(frames)
def test_there_and_back(frame: Frame) -> None:
    assert unpack(pack(frame)) == frame


def test_most_messages_cost_one_byte() -> None:
    assert pack(Message(b'{"type":"x"}')) == b'\x80{"type":"x"}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xc1",
        b"\x81\xa7command",
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
