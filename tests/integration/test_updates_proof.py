"""The proof run of updates in small: whatever is killed, none is lost, out of order, or repeated once acknowledged."""

import asyncio
import time
from pathlib import Path

import pytest

from bench.updates.deployment import Mode
from bench.updates.run import Proof, Size
from bench.updates.verdict import Fault, Line, Update, judge
from bench.updates.waiting import Watch
from mini_apps.embedded import EmbeddedValkey
from support import eventually

SMALL = Size(updates=600, chats=30)


@pytest.mark.parametrize("mode", ["polling", "webhook"])
async def test_updates_survive_whatever_is_killed(own_valkey: EmbeddedValkey, tmp_path: Path, mode: Mode) -> None:
    course = await Proof(SMALL, mode, tmp_path, own_valkey, print).run()
    assert course.verdict.good, course.verdict
    assert len(course.faults) == 3


def line(what: str, at: int, number: int) -> Line:
    return Line(what, at, (1, number))


def test_the_verdict_sees_what_is_wrong() -> None:
    began, ended = "began", "ended"
    good = [line(began, 1, 0), line(began, 5, 0), line(ended, 6, 0), line(began, 7, 1), line(ended, 8, 1)]
    again = [line(began, 1, 0), line(ended, 2, 0), line(began, 5, 0), line(ended, 6, 0)]
    fault = Fault("a worker", 3, frozenset({(1, 0)}), 1.0)
    verdict = judge(good, [(1, 0), (1, 1)], [fault], lambda *_: True)
    assert verdict.good
    assert verdict.repeats == {"a worker": 1}
    assert judge(again, [(1, 0)], [], lambda *_: True).unexcused == [(1, 0)]
    assert judge(again, [(1, 0)], [fault], lambda *_: True).good
    assert judge(again, [(1, 0)], [], lambda *_: False).repeats == {"in flight elsewhere": 1}
    assert judge(good, [(1, 0)], [], lambda *_: True).repeats == {
        "in flight elsewhere": 1
    }  # its first hook never ended
    assert judge(good, [(1, 2)], [fault], lambda *_: True).missing == [(1, 2)]
    assert judge([line(began, 1, 0), line(began, 2, 1)], [], [], lambda *_: True).overlapping == [(1, 1)]
    assert judge([*good, line(began, 9, 0)], [], [fault], lambda *_: True).backwards == [(1, 0)]


async def test_the_watch_sees_what_is_no_longer_there() -> None:
    held, looks = [(1, 0)], 0

    async def look() -> list[Update]:
        nonlocal looks
        looks += 1
        return held.copy()

    watch = Watch(look)
    task = asyncio.create_task(watch.keep_looking())
    await eventually(lambda: looks > 2)
    first = time.monotonic_ns()
    assert not watch.saw_acknowledged((1, 0), 0, first)
    held.clear()
    await eventually(lambda: watch.saw_acknowledged((1, 0), first, time.monotonic_ns()))
    task.cancel()
