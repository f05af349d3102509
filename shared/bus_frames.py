"""What travels over the bus: a msgpack header and the finished JSON of a message, or a command to the nodes.

The header is one msgpack map, so a node can send the JSON behind it as it is. For most messages it is empty (one byte)
or holds the correlation id only; these two are read and written without msgpack. Each frame takes the id of what is
being done where it is made; see `shared.trace`.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import msgpack

from shared.trace import current

EMPTY_HEADER = b"\x80"
TRACE_HEADER = (
    b"\x81\xa5trace"  # a map of one entry; the id follows as a short text: its length from 0xa0 up, its bytes
)
SHORT_TEXT, LONGEST_SHORT = 0xA0, 31

Policy = Literal["latest", "drop"]  # besides "must", which is not written


@dataclass(frozen=True, slots=True)
class Message:
    """A message for clients.

    Attributes:
        body: finished JSON.
        exclude: id of the client that does not get it.
        trace: correlation id, empty for none.
        offset: its place in the channel's history, 0 where the channel keeps none.
        prev: the offset before it.
        policy: what becomes of it where a client is behind; None: it must arrive, or the client is cut off.
        key: with `latest`, what it is the newest of.
        ack: the id with which a client confirms it; the body carries it too.
        asker: the process that waits for that, by its inbox.
    """

    body: bytes
    exclude: str | None = None
    trace: str = field(default_factory=current)
    offset: int = 0
    prev: int = 0
    policy: Policy | None = None
    key: str | None = None
    ack: str | None = None
    asker: str | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Every client of the user this goes to enters a channel."""

    channel: str
    trace: str = field(default_factory=current)


@dataclass(frozen=True, slots=True)
class Leave:
    """Every client of the user this goes to leaves a channel."""

    channel: str
    reason: str
    trace: str = field(default_factory=current)


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Every client of the user this goes to is closed."""

    code: int
    reason: str
    trace: str = field(default_factory=current)


@dataclass(frozen=True, slots=True)
class AdminChanged:
    """The user this goes to is an admin from now on, or is no more."""

    is_admin: bool
    trace: str = field(default_factory=current)


@dataclass(frozen=True, slots=True)
class Signal:
    """Every node runs the app's `on_signal`.

    Attributes:
        name: what the app calls it.
        data: finished JSON of an object.
    """

    name: str
    data: bytes
    trace: str = field(default_factory=current)


Frame = Message | Join | Leave | Disconnect | AdminChanged | Signal

_COMMANDS: dict[str, type[Join | Leave | Disconnect | AdminChanged | Signal]] = {
    "join": Join,
    "leave": Leave,
    "disconnect": Disconnect,
    "admin": AdminChanged,
    "signal": Signal,
}
_WRITTEN = ("exclude", "trace", "policy", "key", "ack", "asker")  # history's script writes `offset` and `prev`
_NAMES = {kind: name for name, kind in _COMMANDS.items()}


def pack(frame: Frame) -> bytes:
    """Return the bytes of `frame` for the bus."""
    if isinstance(frame, Message):
        if frame.exclude is None and frame.policy is None and frame.ack is None:
            return (_traced(frame.trace) if frame.trace else EMPTY_HEADER) + frame.body
        return _pack({name: getattr(frame, name) for name in _WRITTEN}) + frame.body
    fields = {name: getattr(frame, name) for name in frame.__slots__}
    return _pack({"command": _NAMES[type(frame)], **fields})


def unpack(data: bytes) -> Frame:
    """Return the frame in `data`.

    Raises:
        ValueError: not a frame of this version; the text says so without repeating the bytes.
    """
    if data.startswith(EMPTY_HEADER):
        return Message(data[1:], trace="")
    if data.startswith(TRACE_HEADER) and (found := _short_trace(data)) is not None:
        return found
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    try:
        header = {"trace": "", **unpacker.unpack()}
        if "command" not in header:
            return Message(data[unpacker.tell() :], **header)
        command = header.pop("command")
        return _COMMANDS[command](**header)
    except (msgpack.UnpackException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a frame of the bus: {type(error).__name__}") from None


def _short_trace(data: bytes) -> Message | None:
    """Return a message whose header holds a short id and nothing else."""
    begin = len(TRACE_HEADER) + 1
    end = begin + data[begin - 1] - SHORT_TEXT if len(data) >= begin else 0
    if not begin <= end <= begin + LONGEST_SHORT or end > len(data) or not data[begin:end].isascii():
        return None
    return Message(data[end:], trace=data[begin:end].decode())


def _traced(trace: str) -> bytes:
    encoded = trace.encode()
    if len(encoded) > LONGEST_SHORT:
        return _pack({"trace": trace})
    return b"%b%c%b" % (TRACE_HEADER, SHORT_TEXT + len(encoded), encoded)


def _pack(header: dict[str, Any]) -> bytes:
    given = {name: value for name, value in header.items() if value is not None and not (name == "trace" and not value)}
    packed: bytes = msgpack.packb(given)
    return packed
