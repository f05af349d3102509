"""What `inspect`, `top` and `tail` draw, from plain values."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from mini_apps.bot_status import BotReport, BotStatus
from mini_apps.cli.inspect.decode import Seen, frame, shape
from mini_apps.cli.inspect.families import family
from mini_apps.cli.inspect.keys import KeyNow, group
from mini_apps.cli.inspect.screen import draw, plain
from mini_apps.cli.inspect.snapshot import AppNow, Snapshot
from mini_apps.cli.inspect.tail import LINES_A_SECOND, Ask, Filter, Printer
from mini_apps.cli.view import ago, clean, number
from shared.backlog import Backlog, LaneNow, StreamNow
from shared.bus_frames import Disconnect, Message, pack
from shared.nodes import Node

NODES = [
    Node("ws-1", "ws", "ws://a", 95, 100, "1.0", in_rate=3.25, out_rate=1200.0, lag_ms=0.4),
    Node("gateway-1", "gateway", "http://b", version="1.0"),
]
EMPTY = StreamNow(0, 0, 0.0)


def snapshot(*lanes: LaneNow, nodes: list[Node] = NODES, dead: int = 0) -> Snapshot:
    backlog = Backlog("quiz", lanes, "", {"now": EMPTY, "bulk": EMPTY}, dead, 1)
    nodes = [replace(node, started=int(time.time()) - 90) for node in nodes]
    report = BotReport(BotStatus.Crashed, "its worker bot-1 is gone")
    return Snapshot("localhost:6379/0", "ma", time.time(), 0.5, nodes, {"quiz": AppNow(backlog, report)})


def drawn(found: Snapshot, width: int, height: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, no_color=True, color_system=None)
    with console.capture() as captured:
        console.print(draw(found, width, height, "q quits"))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_the_screen_fits_any_terminal(width: int) -> None:
    lanes = [LaneNow(str(n), StreamNow(500, 100, 64.0), "bot-1" if n else "", 1) for n in range(12)]
    nodes = [replace(NODES[0], id=f"ws-{n}") for n in range(40)]
    lines = drawn(snapshot(*lanes, nodes=nodes, dead=3), width, 24)
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) <= 24
    assert any("more" in line for line in lines)  # what had no room is named
    assert lines[-1].startswith("q quits")
    assert next(line for line in lines if line.startswith("ws-0")).split()[1:3] == ["ws", "full"]


def test_the_screen_says_what_is_wrong() -> None:
    text = plain(snapshot(LaneNow("0", StreamNow(7, 2, 64.0), "", 1), dead=3))
    (node,) = (line.split() for line in text.splitlines() if line.startswith("ws-1"))
    assert node[:8] == ["ws-1", "ws", "full", "95/100", "3.2", "1,200", "0.4", "1"]
    (app,) = (line for line in text.splitlines() if line.startswith("quiz") and "crashed" in line)
    assert app.split()[:8] == ["quiz", "crashed", "7", "5", "1", "min", "0", "3"]
    assert "lanes without an owner: 1" in app
    assert any("nobody" in line for line in text.splitlines())


def test_numbers_and_times_are_short() -> None:
    assert [ago(seconds) for seconds in (0, 59, 61, 7_300, 200_000)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]
    assert [number(value) for value in (0, 0.24, 9.96, 12.3, 45_678)] == ["0", "0.2", "10.0", "12", "45,678"]


def test_what_strangers_wrote_cannot_move_the_cursor() -> None:
    assert clean("Ada \x1b[2J\x07\r\n") == "Ada \\x1b[2J\\x07\\x0d\\x0a"
    assert clean("Ädä 🎲 [red]") == "Ädä 🎲 [red]"


def test_a_body_keeps_its_shape_and_loses_its_words() -> None:
    body = {"type": "said", "text": "secret plan", "chat_id": "-1001", "n": 4, "deep": [{"a": "b"}] * 5, "none": None}
    assert shape(body) == {
        "type": "said",
        "text": "…11",
        "chat_id": "-1001",
        "n": 4,
        "deep": [{"a": "…1"}] * 3 + ["… 2 more"],
        "none": None,
    }


def test_frames_of_the_bus_are_read() -> None:
    found = frame("quiz:ch:{0a1b2c3d}:room:1", pack(Message(b'{"type":"said"}', trace="m-1")), bodies=False)
    assert (found.kind, found.app, found.channel, found.what, found.trace) == (
        "message",
        "quiz",
        "room:1",
        "said",
        "m-1",
    )
    found = frame("quiz:user:{0a1b2c3d}:7", pack(Disconnect(4501, "banned", trace="")), bodies=False)
    assert (found.kind, found.user, found.where, found.what) == ("command", 7, "user 7", "disconnect 4501 banned")
    broken = frame("quiz:all:0", b"\xc1", bodies=False)
    assert broken.where == "everybody"
    assert "not a frame" in broken.what


def test_keys_are_summed_up_by_their_kinds() -> None:
    keys = [KeyNow(f"ma:quiz:{{lane-{n}}}:updates", "stream", n, -1, 100 * n) for n in (1, 2)]
    keys.append(KeyNow("ma:quiz:own:x", "string", 5, 60, 50))
    kinds = group(keys, "ma")
    assert [(kind.family, kind.keys, kind.size, kind.bytes, kind.without_ttl) for kind in kinds] == [
        ("ma:APP:{lane-N}:updates", 2, 3, 300, 2),
        ("ma:APP:own:NAME", 1, 5, 50, 0),
    ]
    assert family("ma:quiz:something:new", "ma") == "ma:APP:something:new"


def test_more_lines_than_a_terminal_takes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    now = [10.0]
    ask = Ask("", Filter(kinds=("message",)), bodies=False, limit=0, seconds=0.0, as_json=False)
    console = Console(width=100)
    printer = Printer(console, ask, lambda: now[0])
    for _ in range(LINES_A_SECOND + 20):
        printer.take(Seen("message", "quiz", "everybody", "tick"))
        printer.take(Seen("update", "quiz", "lane 0", "message from 1"))
    now[0] = 11.0
    printer.take(Seen("message", "quiz", "everybody", "tock"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == LINES_A_SECOND + 2
    assert "20 more passed too fast" in lines[-2]
    assert "tock" in lines[-1]
    assert not any("message from 1" in line for line in lines)
