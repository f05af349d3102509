"""What the traffic panel is told: bounds, secrets, and what each frame of the bus looks like in it."""

from random import Random
from typing import Any

import orjson
import pytest

from sandbox.bus_tap import BusTap
from sandbox.config import BotConfig, BusConfig
from sandbox.model import User
from sandbox.state import World
from sandbox.traffic import Entry, Traffic, shortened
from shared.bus_frames import AdminChanged, Disconnect, Frame, Join, Leave, Message, Signal, pack
from shared.keys import Keys

APP = Keys("ma").app("counter")


def entry(title: str) -> Entry:
    return Entry(1.0, "call", 42, "update-1", title, "bot →")


def test_the_newest_are_kept_and_numbered() -> None:
    traffic = Traffic(bound=2)
    for title in "abc":
        traffic.note(entry(title))
    assert [(item.number, item.title) for item in traffic] == [(2, "b"), (3, "c")]


def test_a_page_that_does_not_read_loses_the_oldest_and_is_told() -> None:
    traffic = Traffic()
    with traffic.followed(lambda: None) as follower:
        for number in range(1005):
            traffic.note(entry(str(number)))
        entries, lost = follower.take()
        assert (len(entries), entries[0].title, lost) == (1000, "5", 5)
        assert follower.take() == ([], 0)
    traffic.note(entry("later"))
    assert follower.take() == ([], 0), "it follows no more"


def test_long_texts_are_cut_and_secrets_left_out() -> None:
    shown = shortened({"secret_token": "s3cret", "text": "x" * 5000, "prices": [{"amount": 5}]})
    assert shown["secret_token"] == "…"
    assert len(shown["text"]) < 2100
    assert shown["prices"] == [{"amount": 5}]


@pytest.mark.parametrize(
    ("channel", "frame", "title", "way"),
    [
        (APP.everyone(), Message(b'{"type":"clicked"}', trace="update-7"), "clicked", "→ everybody"),
        (APP.user(1001), Message(b"[1]", trace="update-7"), "message", "→ user 1001"),
        (APP.channel("game:7"), Message(b'{"type":"move"}', trace="update-7"), "move", "→ channel game:7"),
        (APP.signals, Signal("reset", b'{"by":1}', trace="update-7"), "signal reset", "→ nodes"),
        (APP.user(1001), Join("game:7", trace="update-7"), "join", "→ user 1001"),
        (APP.user(1001), Leave("game:7", "asked", trace="update-7"), "leave", "→ user 1001"),
        (APP.user(1001), Disconnect(4501, "banned", trace="update-7"), "disconnect", "→ user 1001"),
        (APP.user(1001), AdminChanged(is_admin=True, trace="update-7"), "admin", "→ user 1001"),
    ],
)
def test_frames_of_the_bus(channel: str, frame: Frame, title: str, way: str) -> None:
    (heard,) = hear(channel, pack(frame))
    assert (heard.kind, heard.bot, heard.trace, heard.title, heard.way) == ("frame", 42, "update-7", title, way)


def test_what_a_node_tells_and_what_is_no_frame() -> None:
    told = {"app": "counter", "trace": "c-1", "title": "click", "detail": {"a": 1}, "from": "page of 1", "to": "ws-1"}
    (heard,) = hear("ma:_:tap", orjson.dumps(told))
    assert (heard.trace, heard.title, heard.way, heard.detail) == ("c-1", "click", "page of 1 → ws-1", {"a": 1})
    assert hear("ma:_:beat:ws-1", b"1") == []
    assert hear("ma:other:all:0", pack(Message(b"{}"))) == [], "an app that has no bot here"
    assert hear(APP.everyone(), b"\xc1 no frame") == []


def hear(channel: str, payload: bytes) -> list[Any]:
    world = World([BotConfig("counter", "42:sandbox-counter")], [User(1001, "Ada")], Random(1), 0.0)
    heard: list[Entry] = []
    BusTap(BusConfig("redis://localhost", "ma"), world, lambda: 1.0, heard.append)._heard(channel, payload)
    return heard
