"""What passes through Redis, in one line each: frames of the bus, updates, calls of the Bot API and their results.

Message bodies are shown by their shape (names of fields, lengths of texts), whole only where that is asked for; what is
or looks like a secret is `***` in both cases.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared import trace
from shared.bus_frames import AdminChanged, Disconnect, Frame, Join, Leave, Message, Signal, unpack
from shared.calls import unpack_entry, unpack_result
from shared.redact import clean
from shared.updates import BadUpdate, order_key, parse_update

DEEPEST: Final = 6
LONGEST_LIST: Final = 3
LONGEST_WORD: Final = 64
PLAIN: Final = frozenset(
    {"type", "event", "channel", "method", "parse_mode"}
)  # fields whose texts are words of the app


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that passed.

    Attributes:
        kind: `message`, `command`, `signal`, `update`, `call` or `result`.
        app: whose, empty where that is not told.
        where: the channel, user, lane or stream.
        what: in a few words.
        user: Telegram id it is to or from, 0 where there is none.
        channel: of the app, empty for none.
        trace: correlation id.
        body: finished for showing.
        id: of a call.
    """

    kind: str
    app: str
    where: str
    what: str
    user: int = 0
    channel: str = ""
    trace: str = ""
    body: Any = field(default=None)
    id: str = ""

    def to_json(self, at: float) -> dict[str, Any]:
        """Give it for programs; `at` in unix seconds."""
        names = ("kind", "app", "where", "what", "user", "channel", "trace", "id", "body")
        return {"at": round(at, 3), **{name: value for name in names if (value := getattr(self, name))}}


def frame(name: str, payload: bytes, *, bodies: bool) -> Seen:
    """Decode what was published on a channel of an app.

    Args:
        name: of the pub/sub channel, behind the prefix: `APP:…`.
        payload: as published.
        bodies: show them whole.
    """
    app, _, place = name.partition(":")
    user, channel, where = _place(place)
    try:
        found = unpack(payload)
    except ValueError as error:
        return Seen("message", app, where, f"({error})", user, channel)
    body: Any = None
    if isinstance(found, Message):
        body = _json(found.body)
    elif isinstance(found, Signal):
        body = _json(found.data)
    kind = "message" if isinstance(found, Message) else "signal" if isinstance(found, Signal) else "command"
    return Seen(kind, app, where, _said(found, body), user, channel, found.trace, _shown(body, bodies=bodies))


def _place(place: str) -> tuple[int, str, str]:
    """Give the user, the app's channel, and how a person calls a pub/sub channel."""
    kind, _, rest = place.partition(":")
    _, _, name = rest.partition("}:")
    if kind == "user" and name.isdigit():
        return int(name), "", f"user {name}"
    if kind == "ch":
        return 0, name, name
    return 0, "", {"all": "everybody", "signals": "all nodes"}.get(kind, place)


def _said(found: Frame, body: Any) -> str:
    match found:
        case Message():
            kind = str(body.get("type", "")) if isinstance(body, dict) else "(no JSON)"
            marks = (f"#{found.offset}" if found.offset else "", f"ack {found.ack}" if found.ack else "")
            return " ".join(part for part in (kind, *marks, found.policy or "") if part)
        case Join():
            return f"join {found.channel}"
        case Leave():
            return f"leave {found.channel} ({found.reason})"
        case Disconnect():
            return f"disconnect {found.code} {found.reason}"
        case AdminChanged():
            return "is an admin now" if found.is_admin else "is no admin any more"
        case Signal():
            return found.name


def update(app: str, lane: str, fields: Mapping[bytes, bytes], *, bodies: bool) -> Seen:
    """Decode an update that was put into a lane."""
    try:
        found = parse_update(fields.get(b"update", b""))
    except BadUpdate as error:
        return Seen("update", app, f"lane {lane}", f"({error})")
    kind = next((name for name in found if name != "update_id"), "update")
    event = found.get(kind)
    sender = event.get("from") if isinstance(event, dict) else None
    user = sender.get("id", 0) if isinstance(sender, dict) else 0
    via = fields.get(b"via", b"").decode("utf-8", "replace")
    chat = order_key(found)
    parts = [f"{kind} from {user or 'nobody'}", f"in chat {chat}" if chat != user else "", f"by {via}" if via else ""]
    what = " ".join(part for part in parts if part)
    name = trace.of_update(found["update_id"])
    return Seen("update", app, f"lane {lane}", what, user or chat, "", name, _shown(event, bodies=bodies))


def call(app: str, stream: str, fields: Mapping[bytes, bytes], *, bodies: bool) -> Seen:
    """Decode a call of the Bot API that a process gave to the bot workers."""
    try:
        entry = unpack_entry(fields)
    except ValueError as error:
        return Seen("call", app, f"calls {stream}", f"({error})")
    chat = entry.fields.get("chat_id") or entry.fields.get("user_id") or ""
    what = entry.method + (f" to {chat}" if chat else "") + (f", {len(entry.files)} files" if entry.files else "")
    user = int(chat) if chat.lstrip("-").isdigit() else 0
    body = _shown(dict(entry.fields), bodies=bodies)
    return Seen("call", app, f"calls {stream}", what, user, "", entry.trace, body, entry.id)


def answer(node: str, payload: bytes, *, bodies: bool) -> Seen:
    """Decode an answer to what a process asked others: mostly the result of a call."""
    name, _, rest = payload.partition(b"\n")
    id_ = name.decode("utf-8", "replace")
    try:
        result = unpack_result(rest)
    except ValueError:
        return Seen("result", "", node, f"{len(rest)} bytes", id=id_)
    status = f" {result.status}" if result.status else ""
    body = _shown(_json(result.body), bodies=bodies)
    return Seen("result", "", node, f"{result.outcome}{status}", body=body, id=id_)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _shown(body: Any, *, bodies: bool) -> Any:
    if body is None:
        return None
    return clean(body if bodies else shape(body))


def shape(value: Any, name: str = "", depth: int = 0) -> Any:
    """Return what a value looks like, without the texts people wrote.

    Args:
        value: plain JSON.
        name: of the field it stands in.
        depth: of the nesting.
    """
    if isinstance(value, str):
        word = (name in PLAIN or value.lstrip("-").isdigit()) and len(value) <= LONGEST_WORD  # digits alone are ids
        return value if word else f"…{len(value)}"
    if isinstance(value, dict):
        return {key: shape(inner, key, depth + 1) for key, inner in value.items()} if depth < DEEPEST else "{…}"
    if isinstance(value, list):
        if depth >= DEEPEST:
            return "[…]"
        more = [f"… {len(value) - LONGEST_LIST} more"] if len(value) > LONGEST_LIST else []
        return [shape(inner, "", depth + 1) for inner in value[:LONGEST_LIST]] + more
    return value
