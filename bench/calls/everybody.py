"""The broadcast run: a message to very many people, with workers that are killed meanwhile."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.calls.site import APP, FIRST, Site, site, until
from mini_apps.broadcast_jobs import BroadcastJob


@dataclass(frozen=True, slots=True)
class Size:
    """How much.

    Attributes:
        people: recipients.
        blocked_every: each so many-th has blocked the bot.
        kills: of the worker that sends, each after an equal part of the whole.
        limits: whether Telegram enforces its limits, and the broadcast is a paid one.
        slow: seconds Telegram takes for each answer, so that some calls are always on their way.
    """

    people: int = 100_000
    blocked_every: int = 100
    kills: int = 2
    limits: bool = True
    slow: float = 0.02


@dataclass
class Found:
    """What came of it; the sets are ids of people."""

    seconds: float = 0.0
    job: BroadcastJob | None = None
    got: dict[str, int] = field(default_factory=dict)
    twice: list[int] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    kept: int = 0  # in the audience
    away: list[float] = field(default_factory=list)  # seconds from each kill to the next message

    @property
    def lost(self) -> list[int]:
        """Who got nothing though nobody says so."""
        return sorted(set(self.missed) - set(self.unknown))


async def run(size: Size, folder: Path, redis: str, prefix: str = "everybody") -> Found:
    """Run it and return what was counted by Telegram."""
    crowd = {"count": size.people, "blocked_every": size.blocked_every}
    free = {} if size.limits else {"send-per-second": 0, "send-per-chat": 0}
    async with site(folder, redis, prefix, crowd=crowd, limits=size.limits, **free) as made:
        await made.start_workers(size.kills + 1)
        await made.add_audience(range(FIRST, FIRST + size.people))
        await made.ask("faults", {"kind": "slow", "method": "sendMessage", "times": 0, "seconds": size.slow})
        began = time.monotonic()
        fields = {"text": "news", "allow_paid_broadcast": True if size.limits else None}
        id, found = await made.jobs().create("sendMessage", fields, size.people), Found()
        for kill in range(1, size.kills + 1):
            found.away.append(await _kill_after(made, size.people * kill // (size.kills + 1)))
        found.job = await until(lambda: _over(made, id), 3600.0, "the end of the broadcast")
        found.seconds = time.monotonic() - began
        await _count(made, id, found)
        return found


async def _kill_after(made: Site, sent: int) -> float:
    """Kill the worker that sends once so many got it, and return how long nothing was sent."""

    async def enough() -> bool:
        return await made.sent() >= sent

    await until(enough, 3600.0, f"message {sent}")
    lease = made.broker.keys.app(APP).broadcasts_lease
    holder: Any = await made.broker.client.get(lease)
    await made.kill_worker(holder.decode())
    killed, before = time.monotonic(), await made.sent()

    async def goes_on() -> bool:
        return await made.sent() > before

    await until(goes_on, 180.0, "a message after the kill")
    return time.monotonic() - killed


async def _over(made: Site, id: str) -> BroadcastJob | None:
    job = await made.jobs().get(id)
    return job if job is not None and job.over else None


async def _count(made: Site, id: str, found: Found) -> None:
    told = await made.ask("crowd")
    found.got, found.twice, found.missed = told["got"], told["more_than_one"], told["without"]
    found.unknown = await made.jobs().unknown(id)
    found.refused = (await made.ask("counts"))["refused"]
    found.kept = await made.audience_count()
