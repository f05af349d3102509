"""What is read without the library says the same as the library; each of these runs both."""

import secrets

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from ws_server.protocol import SUBPROTOCOL, Protocol
from ws_server.upgrade import Upgrade, recognise
from ws_server.wire import Wire

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LIMIT = 300
USUAL = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "User-Agent": "Mozilla/5.0 (X11)",
    "Origin": "https://app.example",
}
ODD = {
    "Upgrade": ["WebSocket", "websocket, h2c", "h2c", ""],
    "Connection": ["keep-alive, Upgrade", "keep-alive", "Upgrade ", "", "close,\tupgrade"],
    "Sec-WebSocket-Key": [KEY[:-4] + "AA==", "short", KEY + "=", KEY.replace("=", "A"), " " + KEY, "ü"],
    "Sec-WebSocket-Version": ["12", "13, 8", "013"],
    "Sec-WebSocket-Protocol": ["mini-apps.msgpack", "chat", "mini-apps.msgpack, chat", "", ","],
    "Sec-WebSocket-Extensions": ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x", "=;"],
    "Content-Length": ["0", "5"],
    "Transfer-Encoding": ["chunked"],
    "X-Forwarded-For": ["10.1.2.3", "10.1.2.3, 10.1.2.4"],
    "Origin": ["null"],
    "X-Odd": ["\x7f", "\x01", "a\tb", "é", "x" * 9000],
    "bad name": ["1"],
    "": ["1"],
}
FIRST_LINES = [
    "GET /ws HTTP/1.1", "GET / HTTP/1.1", "GET /ws?a=b%20c HTTP/1.1", "GET /ws HTTP/1.0", "POST /ws HTTP/1.1",
    "GET  /ws HTTP/1.1", "GET /ws", "GET /ws?é HTTP/1.1", "get /ws HTTP/1.1",
]  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    fields = dict(USUAL)
    for name in draw(st.lists(st.sampled_from(sorted(ODD)), max_size=3)):
        fields[name] = draw(st.sampled_from(ODD[name]))
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=1)):
        if draw(st.booleans()):
            del fields[name]
    lines = [draw(st.sampled_from(FIRST_LINES)), *(f"{name}: {value}" for name, value in fields.items())]
    if draw(st.integers(0, 9)) == 0:
        lines.append(draw(st.sampled_from(lines)))
    ending = draw(st.sampled_from(["\r\n"] * 9 + ["\n"]))
    return (ending.join(lines) + ending * 2).encode("latin-1") + draw(st.sampled_from([b"", b"\x81\x80abcd"]))


@given(data=requests(), compression=st.booleans())
def test_what_is_granted_at_once_the_library_would_grant_in_the_same_words(*, data: bytes, compression: bool) -> None:
    upgrade = recognise(data, compression=compression)
    library = Protocol(State.CONNECTING, LIMIT, compression=compression)
    library.receive_data(data)
    [*events] = library.events_received()
    if upgrade is None:
        return
    request = events[0]
    assert isinstance(request, Request)
    response = library.accept(request)
    del response.headers["Date"]
    assert upgrade.response == response.serialize()
    assert upgrade.packed is (library.subprotocol is not None)
    assert not library.extensions
    assert {name.lower(): value for name, value in request.headers.raw_items()} == upgrade.fields
    assert request.path.partition("?")[0] in ("/", "/ws")
    assert upgrade.early == library.early()


def test_what_browsers_send_is_granted_at_once() -> None:
    fields = USUAL | {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    for connection in ("Upgrade", "keep-alive, Upgrade"):
        lines = ["GET /ws HTTP/1.1", *(f"{name}: {v}" for name, v in (fields | {"Connection": connection}).items())]
        data = "\r\n".join([*lines, "", ""]).encode()
        assert recognise(data, compression=False) is not None
        assert recognise(data, compression=True) is None, "the library has to agree on compression"
        assert recognise(data[:-1], compression=False) is None


def masked(opcode: int, payload: bytes, *, fin: bool = True, odd: int = 0) -> bytes:
    length = len(payload)
    head = bytes((0x80 * fin | odd << 4 | opcode,))
    head += bytes((0x80 | length,)) if length < 126 else bytes((0xFE, length >> 8, length & 255))
    mask = secrets.token_bytes(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


usual_frames = st.builds(
    masked, st.sampled_from([1, 1, 1, 2, 9, 10]), st.binary(max_size=125) | st.binary(min_size=126, max_size=LIMIT + 1)
)
odd_frames = st.one_of(
    st.builds(masked, st.sampled_from([0, 1, 2]), st.binary(max_size=9), fin=st.booleans()),
    st.builds(masked, st.integers(0, 15), st.binary(max_size=140), odd=st.integers(0, 7)),
    st.just(masked(8, Close(1000, "bye").serialize())),
    st.binary(max_size=12),  # among others frames that are not masked
)
streams = st.lists(st.one_of(usual_frames, usual_frames, usual_frames, odd_frames), max_size=8).map(b"".join)


def said(frame: Frame) -> tuple[Opcode, bytes, bool]:
    return frame.opcode, bytes(frame.data), frame.fin


def opened(*, packed: bool = False) -> Wire:
    wire = Wire(LIMIT, compression=False)
    wire.grant(Upgrade({}, b"", packed, b""))
    wire.written()
    return wire


@given(data=streams, cuts=st.lists(st.integers(1, 200), max_size=8), packed=st.booleans())
def test_frames_are_read_as_the_library_reads_them_however_they_are_cut(
    *, data: bytes, cuts: list[int], packed: bool
) -> None:
    wire, library = opened(packed=packed), Protocol(State.OPEN, LIMIT, compression=False)
    library.subprotocol = SUBPROTOCOL if packed else None
    while data:
        chunk, data = data[: (size := cuts.pop() if cuts else len(data))], data[size:]
        library.receive_data(chunk)
        ours, theirs = wire.receive(chunk), library.events_received()
        assert [said(frame) for frame in ours if isinstance(frame, Frame)] == [
            said(frame) for frame in theirs if isinstance(frame, Frame)
        ]
        assert b"".join(wire.written()) == b"".join(library.data_to_send())
        assert wire.close_sent == library.close_sent
        assert wire.is_open is (library.state is State.OPEN)


def test_an_idle_client_that_says_nothing_odd_needs_no_library() -> None:
    wire = opened()
    wire.ping()
    assert wire.written() == (b"\x89\x00",)
    for data in (masked(1, b"{}"), masked(10, b""), masked(9, b"x"), masked(1, b"y" * 200) + masked(2, b"")):
        wire.receive(data)
    assert b"".join(wire.written()) == b"\x8a\x01x"
    assert wire._library is None
    wire.end()
    assert wire._library is None


def test_the_library_takes_over_where_something_is_odd_and_keeps_limit_and_format() -> None:
    wire = opened(packed=True)
    wire.limit(5)
    assert [said(frame) for frame in wire.receive(masked(1, b"12345") + masked(1, b"123456"))] == [  # type: ignore[arg-type]
        (Opcode.TEXT, b"12345", True)
    ]
    assert wire.close_sent is not None
    assert wire.close_sent.code == 4503
    assert not wire.is_open
    assert b"".join(wire.written())[:1] == b"\x82", "why, in msgpack, before the close frame"


def test_a_close_goes_through_the_library() -> None:
    wire = opened()
    wire.close(4001, "x" * 200)
    assert wire.close_sent is not None
    assert (wire.close_sent.code, len(wire.close_sent.reason)) == (4001, 123)
    wire.receive(masked(8, Close(4001, "").serialize()))
    assert b"" in wire.written(), "the stream ends"
