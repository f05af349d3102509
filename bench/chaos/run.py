"""The chaos run: a steady load, one fault after the other, and after each the guarantees as a checklist."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from redis.exceptions import RedisError

from bench.chaos.faults import Fault
from bench.chaos.load import STEP_SECONDS, Load, Size
from bench.chaos.site import Site
from bench.updates import verdict
from bench.updates.waiting import Watch
from shared.broker import UNREACHABLE

PATIENCE_SECONDS = 180.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Row:
    """What came of one fault; times are seconds from its end (of a kill: from the kill), None for never.

    Attributes:
        name: of the fault.
        ready: until every process says that it is ready.
        connected: until every client is logged in.
        lanes: until every lane has an owner that is there.
        whole: until every client has every message and every update is done, with the load paused.
        away: median seconds that clients who lost their node were away.
        noticed: with the broker gone, until the last process said that it is not ready.
        quiet: processes that had nothing to do with the fault and said that they are not ready.
        wrong: broken promises, by what was promised.
        told: what clients were told that they missed, by reason.
        repeated: updates whose hook ran again, because it was in flight.
        unknown: calls whose outcome nobody knows.
    """

    name: str
    ready: float | None = None
    connected: float | None = None
    lanes: float | None = None
    whole: float | None = None
    away: float | None = None
    noticed: float | None = None
    quiet: list[str] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    unknown: int = 0

    @property
    def good(self) -> bool:
        """Whether every promise was kept and everything came back."""
        return not self.wrong and None not in (self.ready, self.connected, self.lanes, self.whole)


@dataclass(slots=True)
class Books:
    """What was counted up to now, so that a fault answers for its own share only."""

    wrong: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    away: int = 0
    repeated: int = 0
    unknown: int = 0


class Run:
    """All faults, one after the other.

    Args:
        site: that runs.
        size: of the load.
        say: shows a line of progress.
    """

    def __init__(self, site: Site, size: Size, say: Say) -> None:
        self.rows: list[Row] = []
        self._load = Load(site, size)
        self.crowd = self._load.crowd
        self._site = site
        self._say = say
        self._pause = size.pause
        self._faults: list[verdict.Fault] = []
        self._workers: list[tuple[str, asyncio.subprocess.Process | None]] = []  # node id and process, before a fault
        self._books = Books()
        self._watch = Watch(site.seen_waiting)

    async def run(self, faults: Sequence[Fault]) -> None:
        """Let every fault happen that can be had here."""
        async with self._load.running(), self._watching():
            for number, fault in enumerate(faults, 1):
                if reason := fault.available():
                    self._say(f"left out: {fault.name}: {reason}")
                    continue
                self._say(f"{number}/{len(faults)}  {fault.name} …")
                self.rows.append(await self._suffer(fault))
                self._say(_line(self.rows[-1]))

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._watch.keep_looking())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _suffer(self, fault: Fault) -> Row:
        site, row = self._site, Row(fault.name)
        self._load.going.set()
        await asyncio.sleep(self._pause)
        site.children.forget()
        self._workers = [(id, site.children.all[name].process) for name, id in (await site.worker_ids()).items()]
        began, since = time.monotonic(), time.monotonic_ns()
        await fault.begin(site)
        at = (since, time.monotonic_ns())
        await self._excuse(fault.name, at)  # a Redis that stands still is asked later
        await asyncio.sleep(max(0.0, fault.seconds - (time.monotonic() - began)) if fault.end else 0.0)
        ended = time.monotonic() if fault.end else began
        if fault.end is not None:
            await fault.end(site)
            while not await self._excuse(fault.name, at):  # noqa: ASYNC110 - at once, before what is left is worked off
                await asyncio.sleep(STEP_SECONDS)
        await self._recover(row, ended)
        await asyncio.sleep(self._pause)
        self._readiness(row, fault, began)
        self._load.going.clear()
        row.whole = await self._timed(self._whole, time.monotonic())
        self._judge(row)
        return row

    async def _recover(self, row: Row, since: float) -> None:
        row.ready, row.connected, row.lanes = await asyncio.gather(
            self._timed(self._ready, since), self._timed(self._connected, since), self._timed(self._lanes, since)
        )

    async def _timed(self, condition: Callable[[], "asyncio.Future[bool] | object"], since: float) -> float | None:
        """Wait for a condition to hold twice in a row, and return the seconds since then."""
        until, held = time.monotonic() + PATIENCE_SECONDS, False
        while time.monotonic() < until:
            before, found = held, condition()
            held = bool(await found if asyncio.iscoroutine(found) else found)
            if held and before:
                return round(time.monotonic() - since, 2)
            await asyncio.sleep(STEP_SECONDS * 3)
        return None

    def _ready(self) -> bool:
        return self._site.children.is_ready()

    def _connected(self) -> bool:
        return self.crowd.connected() == len(self.crowd.members)

    async def _lanes(self) -> bool:
        owners = await self._site.lane_owners()
        dead = {id for id, process in self._workers if process is not None and process.returncode is not None}
        return owners is not None and not owners & dead

    async def _whole(self) -> bool:
        try:
            return self.crowd.content() and not await self._site.waiting()
        except (*UNREACHABLE, RedisError):
            return False

    async def _excuse(self, what: str, at: Iterable[int]) -> bool:
        """Note what may run again over these times: updates that nobody acknowledged. False: Redis does not tell."""
        try:
            waiting = frozenset(await self._site.waiting())
        except (*UNREACHABLE, RedisError):
            return False
        self._faults += [verdict.Fault(what, one, waiting, None) for one in at]
        return True

    def _diary(self) -> list[verdict.Line]:
        return [line for line in verdict.read(self._site.folder / "diary") if line.what != "unknown"]

    def _readiness(self, row: Row, fault: Fault, began: float) -> None:
        children = self._site.children.all.values()
        row.quiet = [
            one.name for one in children if one.unready_since and one.name not in fault.hits and not fault.broker
        ]
        if fault.broker:
            others = [one for one in children if one.name not in fault.hits]
            silent = [one.name for one in others if not one.unready_since]
            row.wrong.update({f"{name} said that it is ready without Redis": 1 for name in silent})
            row.noticed = round(max((one.unready_since - began for one in others), default=0.0), 2)

    def _judge(self, row: Row) -> None:
        seen, books = self.crowd.ledger, self._books
        found = verdict.judge(self._diary(), self._site.sent, self._faults, self._watch.saw_acknowledged)
        answers = Counter(self._site.answers())
        unknown = {line.update for line in verdict.read(self._site.folder / "diary") if line.what == "unknown"}
        wrong = Counter(
            {
                "messages missing": seen.gaps + self.crowd.lacking(),
                "messages again or out of order": seen.duplicates,
                "channels that shut a client out": seen.shut_out,
                "updates without a finished hook": len(found.missing),
                "updates out of order": len(found.backwards) + len(found.overlapping),
                "updates again though acknowledged": len(found.unexcused),
                "calls made twice": sum(count > 1 for count in answers.values()),
                "calls lost": sum(not answers[update] and update not in unknown for update in self._site.sent),
            }
        )
        away = [seconds for why, all_ in seen.away.items() if why.startswith("was cut off") for seconds in all_]
        row.wrong.update(+(wrong - books.wrong))
        row.told = seen.told - books.told
        row.away = round(median(away[books.away :]), 2) if len(away) > books.away else None
        row.repeated, row.unknown = found.repeats.total() - books.repeated, len(unknown) - books.unknown
        self._books = Books(wrong, seen.told.copy(), len(away), found.repeats.total(), len(unknown))


def _line(row: Row) -> str:
    parts = [f"ready {row.ready} s", f"clients {row.connected} s", f"lanes {row.lanes} s", f"whole {row.whole} s"]
    parts += [f"away {row.away} s"] if row.away is not None else []
    parts += [f"noticed {row.noticed} s"] if row.noticed is not None else []
    parts += [f"told {dict(row.told)}"] if row.told else []
    parts += [f"WRONG {dict(row.wrong)}"] if row.wrong else []
    parts += [f"also unready {row.quiet}"] if row.quiet else []
    return "      " + ", ".join(parts)
