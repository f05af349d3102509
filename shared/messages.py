"""The message schemas of the WebSocket protocol: what a client may say, and what the server says.

Dicts end here: `parse` turns a decoded frame into one of the `ClientMessage` records, the functions below build the
server's messages. `docs/protocol.md` is the same in prose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PROTOCOL = 1
SUBPROTOCOL_MSGPACK = "mini-apps.msgpack"
MAX_CHANNEL_NAME = 256  # bytes of UTF-8

RESERVED_TYPES = frozenset(
    {"connect", "welcome", "disconnect", "reconnect", "reply", "error", "joined", "left"}
    | {"resync", "presence", "ping", "pong"}
)
RESERVED_FIELDS = frozenset({"channel", "offset", "ack"})

NOT_LOGGED_IN = "You need to login first"
MISSING_APP = "Missing App ID"
INTERNAL_ERROR = "Internal server error"


class MessageError(ValueError):
    """A client's message cannot be used; it becomes an `error` message to that client."""

    def __init__(self, text: str, code: str = "format", id_: Any = None) -> None:
        super().__init__(text)
        self.code = code
        self.id = id_


@dataclass(frozen=True, slots=True)
class Position:
    """Where a client stands in a channel: the last offset it has, and the grant that let it in."""

    offset: int | None = None
    grant: str | None = None


NOWHERE = Position()


@dataclass(frozen=True, slots=True)
class Login:
    """`login`: with init data, or with a session token and the positions of the channels to come back to.

    `raw` is the message as sent (`type`, `app`, `data` or `session`, and the author's own fields), for `App.login`.
    """

    app: str
    raw: dict[str, Any]
    channels: Mapping[str, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscribe:
    """`subscribe`: let me into this channel."""

    channel: str
    id: Any = None
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """`unsubscribe`: no more of this channel."""

    channel: str
    id: Any = None


@dataclass(frozen=True, slots=True)
class Ping:
    """`ping`: answered by `pong`."""


@dataclass(frozen=True, slots=True)
class Pong:
    """`pong`: the answer to our `ping`; nothing to do but to note that the client lives."""


@dataclass(frozen=True, slots=True)
class Ack:
    """`ack`: the client has the message that carried this id."""

    ack: str


@dataclass(frozen=True, slots=True)
class AppMessage:
    """Any other type: for the app's `handle_message`; `data` is the message without `app`."""

    type: str
    app: str | None
    data: dict[str, Any]
    id: Any = None


ClientMessage = Login | Subscribe | Unsubscribe | Ping | Pong | Ack | AppMessage


def parse(message: dict[str, Any]) -> ClientMessage:
    """Turn a decoded frame into a record; the frame's dict is used up.

    Raises:
        MessageError: a field is missing or of the wrong type; the text names it.
    """
    kind = message.get("type")
    if not isinstance(kind, str) or not kind:
        raise MessageError("`type` must be a non-empty string", id_=_id(message))
    match kind:
        case "ping":
            return Ping()
        case "pong":
            return Pong()
        case "login":
            return _login(message)
        case "subscribe":
            return Subscribe(_channel(message), _id(message), _position(message))
        case "unsubscribe":
            return Unsubscribe(_channel(message), _id(message))
        case "ack":
            return Ack(_text(message, "ack"))
    return AppMessage(kind, _app(message), message, _id(message))


def _login(message: dict[str, Any]) -> Login:
    app = message.get("app")
    if app is None or app == "":
        raise MessageError(MISSING_APP, "app", _id(message))
    if not isinstance(app, str):
        raise MessageError("`app` must be a string", id_=_id(message))
    channels = message.get("channels") or {}
    if not isinstance(channels, dict):
        raise MessageError("`channels` must be an object of channel name to position", id_=_id(message))
    for field_name in ("data", "session"):
        if not isinstance(message.get(field_name, ""), str):
            raise MessageError(f"`{field_name}` must be a string", id_=_id(message))
    positions = {}
    for name, position in channels.items():
        if not isinstance(position, dict):
            raise MessageError("each of `channels` must be an object", id_=_id(message))
        positions[check_channel(name, _id(message))] = _position(position)
    return Login(app, message, positions)


def _app(message: dict[str, Any]) -> str | None:
    app = message.pop("app", None)
    if app is not None and not isinstance(app, str):
        raise MessageError("`app` must be a string", id_=_id(message))
    return app


def _id(message: dict[str, Any]) -> Any:
    """Return the client's own request id: a string or an integer."""
    value = message.get("id")
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value
    raise MessageError("`id` must be a string or an integer")


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise MessageError(f"`{name}` must be a non-empty string", id_=_id(message))
    return value


def _channel(message: dict[str, Any]) -> str:
    return check_channel(_text(message, "channel"), _id(message))


def _position(message: dict[str, Any]) -> Position:
    offset, grant = message.get("offset"), message.get("grant")
    if offset is not None and (not isinstance(offset, int) or isinstance(offset, bool)):
        raise MessageError("`offset` must be an integer", id_=message.get("id"))
    if grant is not None and not isinstance(grant, str):
        raise MessageError("`grant` must be a string", id_=message.get("id"))
    return Position(offset, grant)


def check_channel(name: str, id_: Any = None) -> str:
    """Return `name` if it can be a channel: 1 to 256 bytes of UTF-8 without control characters.

    Raises:
        MessageError: with code `limit`.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= MAX_CHANNEL_NAME or not name.isprintable():
        raise MessageError(f"a channel name has 1 to {MAX_CHANNEL_NAME} bytes and no control characters", "limit", id_)
    return name


def check_app_message(message: Mapping[str, Any], *, allow: frozenset[str] = frozenset()) -> None:
    """Refuse an app's message that would be mistaken for one of the protocol's.

    Args:
        message: what the app wants to send.
        allow: reserved types allowed here (`client.send` may send `error`, as the original's apps do).

    Raises:
        ValueError: `type` is missing or reserved, or a reserved field is used.
    """
    kind = message.get("type")
    if not isinstance(kind, str) or not kind:
        raise ValueError("a message needs a `type`, a non-empty string")
    if kind in RESERVED_TYPES and kind not in allow:
        raise ValueError(f"the message type {kind!r} is the protocol's own; choose another")
    if not RESERVED_FIELDS.isdisjoint(message):
        used = ", ".join(sorted(RESERVED_FIELDS.intersection(message)))
        raise ValueError(f"the message field {used} is the protocol's own; choose another name")


def connect(node: str, ping: float, timeout: float) -> dict[str, Any]:
    """Build the first message of the server; `ping` and `timeout` in seconds."""
    return {"type": "connect", "protocol": PROTOCOL, "node": node, "ping": ping, "timeout": timeout}


def welcome(user: Any, session: str, session_expires: int, channels: Mapping[str, Any]) -> dict[str, Any]:
    """Build the answer to a login; `user` has `telegram_id`, `name`, `is_admin`; expiry in unix seconds."""
    return {
        "type": "welcome",
        "telegram_id": user.telegram_id,
        "name": user.name,
        "is_admin": user.is_admin,
        "session": session,
        "session_expires": session_expires,
        "channels": dict(channels),
    }


def error(text: str, code: str, id_: Any = None, **more: Any) -> dict[str, Any]:
    """Build an error message; `id_` is the request's id where it had one."""
    message = {"type": "error", "msg": text, "code": code, **more}
    return message if id_ is None else {**message, "id": id_}


def reply(id_: Any, data: Any) -> dict[str, Any]:
    """Build the answer to a message that carried an `id`."""
    return {"type": "reply", "id": id_, "data": data}


def joined(channel: str, id_: Any = None) -> dict[str, Any]:
    """Build the confirmation of a membership."""
    message = {"type": "joined", "channel": channel}
    return message if id_ is None else {**message, "id": id_}


def left(channel: str, reason: str) -> dict[str, Any]:
    """Build the end of a membership."""
    return {"type": "left", "channel": channel, "reason": reason}


def resync(channel: str | None, reason: str) -> dict[str, Any]:
    """Build the notice that something was missed; `channel` None means the app's broadcasts and the user's messages."""
    message = {"type": "resync", "reason": reason}
    return message if channel is None else {**message, "channel": channel}


def presence(channel: str, event: Literal["join", "leave"], user: Any) -> dict[str, Any]:
    """Build the news that a user came into a channel or left it; `user` last, where a script puts it in."""
    return {"type": "presence", "channel": channel, "event": event, "user": user}


def disconnect(code: int, reason: str) -> dict[str, Any]:
    """Build the last message before a close for good (codes from 4500)."""
    return {"type": "disconnect", "code": code, "reason": reason}


def reconnect(code: int, reason: str, retry_after: float) -> dict[str, Any]:
    """Build the last message before a close after which the client comes back in `retry_after` seconds."""
    return {"type": "reconnect", "code": code, "reason": reason, "retry_after": round(retry_after, 2)}
