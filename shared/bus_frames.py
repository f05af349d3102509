"""What travels over the bus: a msgpack header and the finished JSON of a message, or a command to the nodes.

The header is one msgpack map, empty (one byte) for most messages, so a node can send the JSON behind it as it is.
"""

from dataclasses import dataclass
from typing import Any, Literal

import msgpack

EMPTY_HEADER = b"\x80"

Policy = Literal["latest", "drop"]  # besides "must", which is not written


@dataclass(frozen=True, slots=True)
class Message:
    """A message for clients.

    Attributes:
        body: finished JSON.
        exclude: id of the client that does not get it.
        trace: correlation id.
        offset: its place in the channel's history, 0 where the channel keeps none.
        prev: the offset before it.
        policy: what becomes of it where a client is behind; None: it must arrive, or the client is cut off.
        key: with `latest`, what it is the newest of.
    """

    body: bytes
    exclude: str | None = None
    trace: str | None = None
    offset: int = 0
    prev: int = 0
    policy: Policy | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Every client of the user this goes to enters a channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Every client of the user this goes to leaves a channel."""

    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Every client of the user this goes to is closed."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class AdminChanged:
    """The user this goes to is an admin from now on, or is no more."""

    is_admin: bool


@dataclass(frozen=True, slots=True)
class Signal:
    """Every node runs the app's `on_signal`.

    Attributes:
        name: what the app calls it.
        data: finished JSON of an object.
    """

    name: str
    data: bytes


Frame = Message | Join | Leave | Disconnect | AdminChanged | Signal

_COMMANDS: dict[str, type[Join | Leave | Disconnect | AdminChanged | Signal]] = {
    "join": Join,
    "leave": Leave,
    "disconnect": Disconnect,
    "admin": AdminChanged,
    "signal": Signal,
}
_NAMES = {kind: name for name, kind in _COMMANDS.items()}


def pack(frame: Frame) -> bytes:
    """Return the bytes of `frame` for the bus."""
    if isinstance(frame, Message):
        if frame.exclude is None and frame.trace is None and frame.policy is None:
            return EMPTY_HEADER + frame.body
        header = {"exclude": frame.exclude, "trace": frame.trace, "policy": frame.policy, "key": frame.key}
        return _pack(header) + frame.body
    fields = {name: getattr(frame, name) for name in frame.__slots__}
    return _pack({"command": _NAMES[type(frame)], **fields})


def unpack(data: bytes) -> Frame:
    """Return the frame in `data`.

    Raises:
        ValueError: not a frame of this version; the text says so without repeating the bytes.
    """
    if data.startswith(EMPTY_HEADER):
        return Message(data[1:])
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    try:
        header = unpacker.unpack()
        if "command" not in header:
            return Message(data[unpacker.tell() :], **header)
        command = header.pop("command")
        return _COMMANDS[command](**header)
    except (msgpack.UnpackException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a frame of the bus: {type(error).__name__}") from None


def _pack(header: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb({name: value for name, value in header.items() if value is not None})
    return packed
