"""What clients may say, and what apps may not."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared import messages
from shared.messages import (
    Ack,
    AppMessage,
    Login,
    MessageError,
    Ping,
    Pong,
    Position,
    Subscribe,
    Unsubscribe,
    check_app_message,
    check_channel,
    parse,
)


@pytest.mark.parametrize(
    ("frame", "record"),
    [
        ({"type": "ping"}, Ping()),
        ({"type": "pong"}, Pong()),
        ({"type": "ack", "ack": "a1"}, Ack("a1")),
        ({"type": "subscribe", "channel": "game:42"}, Subscribe("game:42")),
        (
            {"type": "subscribe", "channel": "ä ö", "id": 3, "offset": 7, "grant": "g"},
            Subscribe("ä ö", 3, Position(7, "g")),
        ),
        ({"type": "unsubscribe", "channel": "c", "id": "x"}, Unsubscribe("c", "x")),
        ({"type": "click"}, AppMessage("click", None, {"type": "click"})),
        (
            {"type": "click", "app": "counter", "x": 1, "id": 7},
            AppMessage("click", "counter", {"type": "click", "x": 1, "id": 7}, 7),
        ),
    ],
)
def test_frames_become_records(frame: dict[str, Any], record: object) -> None:
    assert parse(frame) == record


def test_a_login_keeps_what_was_sent() -> None:
    frame = {"type": "login", "app": "counter", "data": "x=1", "extra": [1], "channels": {"c": {"offset": 5}}}
    assert parse(dict(frame)) == Login("counter", frame, {"c": Position(5)})
    assert parse({"type": "login", "app": "counter", "session": "s", "channels": None}).channels == {}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("frame", "text", "code"),
    [
        ({}, "`type`", "format"),
        ({"type": ""}, "`type`", "format"),
        ({"type": 7}, "`type`", "format"),
        ({"type": ["login"]}, "`type`", "format"),
        ({"type": "login"}, "Missing App ID", "app"),
        ({"type": "login", "app": ""}, "Missing App ID", "app"),
        ({"type": "login", "app": 7}, "`app`", "format"),
        ({"type": "login", "app": "a", "data": 7}, "`data`", "format"),
        ({"type": "login", "app": "a", "session": {}}, "`session`", "format"),
        ({"type": "login", "app": "a", "channels": [1]}, "`channels`", "format"),
        ({"type": "login", "app": "a", "channels": {"c": 1}}, "`channels`", "format"),
        ({"type": "login", "app": "a", "channels": {"": {}}}, "channel name", "limit"),
        ({"type": "login", "app": "a", "channels": {"c": {"offset": "1"}}}, "`offset`", "format"),
        ({"type": "click", "app": 7}, "`app`", "format"),
        ({"type": "click", "id": 1.5}, "`id`", "format"),
        ({"type": "click", "id": {}}, "`id`", "format"),
        ({"type": "click", "id": True}, "`id`", "format"),
        ({"type": "subscribe"}, "`channel`", "format"),
        ({"type": "subscribe", "channel": 7}, "`channel`", "format"),
        ({"type": "subscribe", "channel": "a\n"}, "channel name", "limit"),
        ({"type": "subscribe", "channel": "c", "offset": True}, "`offset`", "format"),
        ({"type": "subscribe", "channel": "c", "grant": 1}, "`grant`", "format"),
        ({"type": "ack"}, "`ack`", "format"),
    ],
)
def test_what_cannot_be_used_is_named(frame: dict[str, Any], text: str, code: str) -> None:
    with pytest.raises(MessageError, match=text) as caught:
        parse(frame)
    assert caught.value.code == code


def test_an_error_answers_the_request_it_belongs_to() -> None:
    with pytest.raises(MessageError) as caught:
        parse({"type": "subscribe", "id": 9})
    assert caught.value.id == 9


def test_channel_names() -> None:
    assert check_channel("x" * 256)
    for bad in ("", "x" * 257, "ä" * 129, "a\x00", "a\x7f", "\ud800"):
        with pytest.raises(MessageError):
            check_channel(bad)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": ""},
        {"type": None},
        *({"type": kind} for kind in sorted(messages.RESERVED_TYPES)),
        *({"type": "moved", name: 1} for name in sorted(messages.RESERVED_FIELDS)),
    ],
)
def test_an_app_cannot_speak_as_the_protocol(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"type|field"):
        check_app_message(message)


def test_an_app_may_say_the_rest() -> None:
    check_app_message({"type": "moved", "x": 1})
    check_app_message({"type": "login"})  # reserved from clients only
    check_app_message({"type": "error", "msg": "no"}, allow=frozenset({"error"}))


def test_the_servers_messages() -> None:
    user = SimpleNamespace(telegram_id=1, name="Ada", is_admin=False)
    assert messages.connect("ws-1", 25, 10) == {
        "type": "connect",
        "protocol": 1,
        "node": "ws-1",
        "ping": 25,
        "timeout": 10,
    }
    assert messages.welcome(user, "s", 5, {}) == {
        "type": "welcome",
        "telegram_id": 1,
        "name": "Ada",
        "is_admin": False,
        "session": "s",
        "session_expires": 5,
        "channels": {},
    }
    assert messages.error("no", "refused") == {"type": "error", "msg": "no", "code": "refused"}
    assert messages.error("no", "refused", 0)["id"] == 0
    assert messages.reply(7, None) == {"type": "reply", "id": 7, "data": None}
    assert messages.joined("c") == {"type": "joined", "channel": "c"}
    assert messages.joined("c", "x")["id"] == "x"
    assert messages.left("c", "left") == {"type": "left", "channel": "c", "reason": "left"}
    assert messages.resync(None, "gap") == {"type": "resync", "reason": "gap"}
    assert messages.resync("c", "gap")["channel"] == "c"
    assert messages.disconnect(4501, "banned") == {"type": "disconnect", "code": 4501, "reason": "banned"}
    assert messages.reconnect(4005, "draining", 3.14159)["retry_after"] == 3.14
    assert messages.NOT_LOGGED_IN == "You need to login first"
