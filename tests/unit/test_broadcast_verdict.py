"""What the result of a call says about a recipient, and how a broadcast is shown."""

import pytest

from bot_worker.broadcasts.run import in_flight
from bot_worker.broadcasts.verdict import Verdict, judge
from mini_apps.broadcast_jobs import BroadcastJob
from mini_apps.cli.progress import Pace, clock, line
from shared.calls import CallResult


def refused(status, text):
    return CallResult("answered", status, b'{"ok":false,"description":"%b"}' % text.encode())


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (CallResult("answered", 200, b'{"ok":true}'), "sent"),
        (CallResult("unknown", 0, b"no answer"), "unknown"),
        (CallResult("late", 0, b"no room"), "again"),
        (CallResult("failed", 0, b"unreachable"), "again"),
        (CallResult("cancelled"), "again"),
        (refused(429, "Too Many Requests: retry after 5"), "again"),
        (refused(403, "Forbidden: bot was blocked by the user"), "blocked"),
        (refused(403, "Forbidden: user is deactivated"), "blocked"),
        (refused(400, "Bad Request: chat not found"), "blocked"),
        (refused(400, "Bad Request: can't parse entities"), "failed"),
        (CallResult("answered", 502, b"<html>"), "failed"),
        (refused(401, "Unauthorized"), "stop"),
        (refused(404, "Not Found"), "stop"),
    ],
)
def test_each_result_has_a_verdict(result, what):
    assert judge(result).what == what


def test_the_reason_is_telegrams():
    assert judge(refused(400, "Bad Request: x")) == Verdict("failed", "Bad Request: x")
    assert judge(CallResult("answered", 502, b"<html>")).reason == "an answer that is not Telegram's"


def job(**fields):
    return BroadcastJob("ab", fields.pop("state", "running"), "sendMessage", {"text": "x"}, **fields)


def test_the_line_tells_how_far_it_is_and_how_long_it_takes():
    told = line(job(total=1000, sent=400, blocked=50, unknown=50), 25.0, bar=True)
    assert told == "[############............] 500/1000 (50%), sent 400, blocked 50, unknown 50, 25.0/s, 0:20 left"
    assert line(job(total=10), 0.0, bar=False) == "0/10 (0%), sent 0"
    assert line(job(state="done", total=0), 0.0, bar=False) == "0/0 (100%), sent 0, done"
    assert line(job(state="paused", total=2, sent=4), 1.0, bar=False) == "4/4 (100%), sent 4, paused"


def test_the_pace_is_that_of_the_last_seconds():
    pace = Pace()
    assert pace.note(0.0, 0) == 0.0
    assert pace.note(10.0, 100) == 10.0
    assert pace.note(20.0, 400) == 30.0
    assert pace.note(30.0, 400) == 0.0


def test_durations():
    assert [clock(seconds) for seconds in (0.4, 61, 3_723.2)] == ["0:00", "1:01", "1:02:03"]


def test_a_broadcast_leaves_room_for_other_calls():
    assert [in_flight(most) for most in (0, 1, 10, 100, 1000)] == [80, 1, 8, 80, 80]
