"""The rate run: more is asked of the bot than it may send, of several workers at once, and Telegram counts."""

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from bench.calls.site import FIRST, Site, site, until

OVERALL = 30.0  # messages a second Telegram allows
PEOPLE = 20_000
GROUPS = 3
GROUP_GAP = 3.3  # seconds between two messages of a group's members
OUTSTANDING = 90  # updates without an answer at a time: more than the workers may answer in a second


@dataclass(frozen=True, slots=True)
class Size:
    """How much.

    Attributes:
        workers: processes.
        seconds: that are measured.
        warm: seconds before.
        asked: messages to the bot a second at most; 0: as many as can wait.
        broadcast: whether a broadcast wants the rest.
    """

    workers: int = 3
    seconds: float = 60.0
    warm: float = 5.0
    asked: float = 0.0
    broadcast: bool = False


@dataclass
class Found:
    """What came of it."""

    seconds: float = 0.0
    sent: int = 0
    answers: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    limited: dict[str, int] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)

    @property
    def used(self) -> float:
        """The share of the allowed rate."""
        return self.sent / (OVERALL * self.seconds)


class Crowd:
    """People who write to the bot, and the answers they get."""

    def __init__(self, site: Site, asked: float) -> None:
        self._site = site
        self._asked = asked
        self._log = site.log()
        self._since: dict[int, deque[float]] = {}
        self.outstanding = 0
        self.delays: list[float] = []

    async def write(self) -> None:
        """Let people write, for ever; in each chat about as often as it may be answered."""
        began, written, person, group_due = time.monotonic(), 0, 0, 0.0
        while True:
            now = time.monotonic()
            if now >= group_due:
                group_due = now + GROUP_GAP
                for group in range(1, GROUPS + 1):
                    await self._say(-(FIRST + PEOPLE + group))
            due = written < (now - began) * self._asked if self._asked else self.outstanding < OUTSTANDING
            if not due:
                await asyncio.sleep(0.01)
                continue
            person = (person + 1) % (PEOPLE // 2)  # the others only hear broadcasts
            for _ in range(2 if person % 10 == 0 else 1):  # some write twice
                await self._say(FIRST + person)
                written += 1

    async def listen(self) -> None:
        """Take the answers as they appear on the page."""
        url = f"{self._site.telegram}/sandbox/api/events"
        async with self._site.http.get(url, timeout=None) as stream:
            async for line in stream.content:
                if line.startswith(b"data: ") and b'"here"' in line:
                    self._answered(json.loads(line[6:])["chat"])

    async def _say(self, chat: int) -> None:
        self._since.setdefault(chat, deque()).append(time.monotonic())
        self.outstanding += 1
        await self._site.feed(self._log, chat)

    def _answered(self, chat: int) -> None:
        if waiting := self._since.get(chat):
            self.delays.append(time.monotonic() - waiting.popleft())
            self.outstanding -= 1


async def measure(size: Size, folder: Path, redis: str, prefix: str = "rate") -> Found:
    """Run it and return what was counted by Telegram."""
    crowd = {"count": PEOPLE + GROUPS + 1, "blocked_every": 0}
    async with site(folder, redis, prefix, crowd=crowd, limits=True) as made:
        await made.start_workers(size.workers)
        if size.broadcast:
            await made.add_audience(range(FIRST + PEOPLE // 2, FIRST + PEOPLE))
            await made.jobs().create("sendMessage", {"text": "news"}, PEOPLE // 2)
        people = Crowd(made, size.asked)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(people.listen()), group.create_task(people.write())]
            await until(made.sent, 30.0, "a first message")
            await asyncio.sleep(size.warm)
            before, began, answered = await made.sent(), time.monotonic(), len(people.delays)
            await asyncio.sleep(size.seconds)
            counts = await made.ask("counts")
            found = Found(time.monotonic() - began, counts["calls"]["sendmessage"] - before)
            for task in tasks:
                task.cancel()
        found.delays = people.delays[answered:]
        found.answers = len(found.delays)
        found.refused, found.limited = counts["refused"], counts["limited"]
        return found
