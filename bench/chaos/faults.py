"""The faults: how each begins, how long it holds, how it ends, and what may be expected meanwhile."""

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from bench.chaos import clocks, far
from bench.chaos.site import APP, FAR_AWAY, NAMES, Site
from shared.broker import UNREACHABLE
from shared.slots import slot_of

if TYPE_CHECKING:
    from bench.servers import Server

DEAD_SECONDS = 2.0  # that a killed Redis stays away
FAILOVER_SECONDS = 5.0  # at least, from a master's end to its return
LEASE = 10.0  # longer than a lease, so that a frozen process loses what it owns

Step = Callable[[Site], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        what: in words.
        begin: lets it happen.
        end: ends it, where it does not end by itself.
        seconds: between the two.
        hits: the processes that are dead, frozen or hindered meanwhile; the others must go on.
        broker: whether Redis takes no writes meanwhile, so that every process must say that it is not ready.
        available: why it cannot be had here, empty where it can.
    """

    what: str
    begin: Step
    end: Step | None = None
    seconds: float = 0.0
    hits: frozenset[str] = frozenset()
    broker: bool = False
    available: Callable[[], str] = str

    @property
    def name(self) -> str:
        """What happens, and for how long."""
        return f"{self.what} for {self.seconds:g} s" if self.seconds else self.what

    def __and__(self, other: "Fault") -> "Fault":
        """Let both happen at once, and end together."""

        async def begin(site: Site) -> None:
            await asyncio.gather(self.begin(site), other.begin(site))

        async def end(site: Site) -> None:
            for one in (self, other):
                if one.end is not None:
                    await one.end(site)

        def available() -> str:
            return self.available() or other.available()

        hits, broker = self.hits | other.hits, self.broker or other.broker
        seconds = max(self.seconds, other.seconds)
        return Fault(f"{self.what} and {other.what}", begin, end, seconds, hits, broker, available)


def killed(name: str) -> Fault:
    """A process dies; its supervisor starts it again after a second."""

    async def begin(site: Site) -> None:
        site.children.send(name, signal.SIGKILL)

    return Fault(f"{name} killed", begin, hits=frozenset((name,)))


def frozen(name: str, seconds: float = LEASE) -> Fault:
    """A process stands still for longer than its leases hold, and goes on."""

    async def begin(site: Site) -> None:
        site.children.send(name, signal.SIGSTOP)

    async def end(site: Site) -> None:
        site.children.send(name, signal.SIGCONT)

    return Fault(f"{name} frozen", begin, end, seconds, frozenset((name,)))


def redis_killed() -> Fault:
    """Redis dies, and comes back from its append-only file."""

    async def begin(site: Site) -> None:
        await asyncio.to_thread(site.valkey.kill)

    async def end(site: Site) -> None:
        await asyncio.to_thread(site.valkey.start)

    return Fault("Redis dead (its file stays)", begin, end, DEAD_SECONDS, broker=True)


def _redis_frozen(seconds: float) -> Fault:
    def send(site: Site, number: signal.Signals) -> None:
        if site.valkey.process is not None:
            site.valkey.process.send_signal(number)

    async def begin(site: Site) -> None:
        send(site, signal.SIGSTOP)

    async def end(site: Site) -> None:
        send(site, signal.SIGCONT)

    return Fault("Redis frozen", begin, end, seconds, broker=True)


def _redis_full(seconds: float) -> Fault:
    async def limit(site: Site, size: int) -> None:
        for _ in range(50):
            with contextlib.suppress(*UNREACHABLE, RedisError):
                await site.broker.client.config_set("maxmemory", size)
                return
            await asyncio.sleep(0.1)

    return Fault("Redis at maxmemory", lambda site: limit(site, 1), lambda site: limit(site, 0), seconds)


def _disk_full(seconds: float) -> Fault:
    async def begin(site: Site) -> None:
        await asyncio.to_thread(_fill, site.disk / "filler")

    async def end(site: Site) -> None:
        (site.disk / "filler").unlink()

    return Fault(
        "the database's disk full",
        begin,
        end,
        seconds,
        available=lambda: "" if os.geteuid() == 0 else "needs root, to make a small disk",
    )


def _fill(path: Path) -> None:
    with path.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 65_536)
            file.flush()


def _no_descriptors(name: str, seconds: float) -> Fault:
    before: dict[str, tuple[int, int]] = {}

    def pid(site: Site) -> int:
        process = site.children.all[name].process
        return process.pid if process is not None else 0

    async def begin(site: Site) -> None:
        before[name] = resource.prlimit(pid(site), resource.RLIMIT_NOFILE)
        resource.prlimit(pid(site), resource.RLIMIT_NOFILE, (3, before[name][1]))

    async def end(site: Site) -> None:
        resource.prlimit(pid(site), resource.RLIMIT_NOFILE, before[name])

    return Fault(f"no file descriptors left in {name}", begin, end, seconds, frozenset((name,)))


def _link(what: str, seconds: float, *, delay: float = 0.0, loss: float = 0.0) -> Fault:
    """The link to the node in the other network namespace is bad: to its clients and to Redis alike."""

    async def begin(site: Site) -> None:
        assert site.far is not None
        site.far.delay, site.far.loss = delay, loss

    async def end(site: Site) -> None:
        assert site.far is not None
        site.far.delay = site.far.loss = 0.0

    what = f"{what} between {FAR_AWAY} and all others"
    return Fault(what, begin, end, seconds, frozenset((FAR_AWAY,)), available=far.why_not)


def _clock(name: str, hours: int, seconds: float) -> Fault:
    """The wall clock of a process jumps, and back again."""

    async def begin(site: Site) -> None:
        site.clocks[name].jump(3600 * hours)

    async def end(site: Site) -> None:
        site.clocks[name].jump(0)

    way = "ahead" if hours > 0 else "back"
    what = f"the clock of {name} {abs(hours)} h {way}"
    return Fault(what, begin, end, seconds, frozenset((name,)), available=clocks.why_not)


def _rolling() -> Fault:
    async def begin(site: Site) -> None:
        for name in NAMES:
            await site.children.replace(name)

    async def end(_site: Site) -> None:
        """Nothing is left to do; but the times count from here."""

    return Fault("everything restarted, one process after the other", begin, end, hits=frozenset(NAMES))


def _failover(what: str, number: signal.Signals) -> Fault:
    """A master dies or stands still until another has its place; then it comes back as a replica."""
    hit: list[Server] = []

    async def begin(site: Site) -> None:
        assert site.servers is not None
        lane = site.broker.keys.app(APP).updates(0)
        hit[:] = [await asyncio.to_thread(site.servers.owner, slot_of(lane.encode()))]
        if number is signal.SIGKILL:
            hit[0].kill()
        else:
            hit[0].signal(number)
        await asyncio.to_thread(site.servers.await_another_master, hit[0])

    async def end(site: Site) -> None:
        assert site.servers is not None
        hit[0].signal(signal.SIGCONT)
        await asyncio.to_thread(site.servers.heal)

    return Fault(what, begin, end, FAILOVER_SECONDS, frozenset(NAMES))


SINGLE: Sequence[Fault] = (
    killed("ws-1"),
    frozen("ws-2"),
    killed("worker-1"),
    frozen("worker-2", 20.0),
    killed("gateway-1"),
    frozen("gateway-1"),
    redis_killed(),
    _redis_frozen(20.0),
    _redis_full(8.0),
    _disk_full(8.0),
    _no_descriptors("ws-3", 8.0),
    _link("half of the packets lost", 10.0, loss=0.5),
    _link("200 ms of delay each way", 10.0, delay=0.2),
    _clock("ws-2", 1, 10.0),
    _clock("ws-2", -1, 10.0),
    _clock("worker-2", 1, 10.0),
    _clock("worker-2", -1, 10.0),
    _rolling(),
)
PAIRS: Sequence[Fault] = (
    killed("ws-2") & redis_killed(),
    killed("worker-2") & _redis_frozen(20.0),
    killed("ws-1") & killed("worker-1"),
    frozen("worker-1", 20.0) & killed("gateway-1"),
    _link("200 ms of delay each way", 10.0, delay=0.2) & redis_killed(),
    _clock("ws-2", 1, 10.0) & killed("ws-1"),
)
SENTINEL: Sequence[Fault] = (
    _failover("the master under Sentinel dead", signal.SIGKILL),
    _failover("the master under Sentinel frozen", signal.SIGSTOP),
    _failover("the master under Sentinel dead", signal.SIGKILL) & killed("ws-1"),
)
CLUSTER: Sequence[Fault] = (
    _failover("the master of a cluster's shard dead", signal.SIGKILL),
    _failover("the master of a cluster's shard frozen", signal.SIGSTOP),
    _failover("the master of a cluster's shard dead", signal.SIGKILL) & killed("worker-1"),
)
