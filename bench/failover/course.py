"""One fault on one topology, under a steady load, and what it cost."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.failover.check import Count, count, look, pretended
from bench.failover.load import How, Load, Outcomes, rooms
from bench.servers import ClusterSet, SentinelSet, Server
from shared.broker import Broker
from shared.bus import Bus
from shared.settings import RedisSettings
from shared.slots import slot_of

CUT_SECONDS: Final = 0.5  # for which the master goes on without its replicas, before it dies
PATIENCE: Final = 60.0  # seconds in which writing must be possible again

Servers = SentinelSet | ClusterSet
FaultOf = Callable[[Servers, Server], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Course:
    """What one fault cost.

    Attributes:
        topology: `sentinel` or `cluster`.
        fault: its name.
        counts: of the writes by kind.
        broken: entries of histories that do not follow each other, or are there twice.
        positions: that were asked for afterwards.
        pretended: of them did not get the truth.
        outage: seconds for which the place that had to wait longest had no confirmed write.
    """

    topology: str
    fault: str
    counts: Mapping[How, Count]
    broken: int
    positions: int
    pretended: int
    outage: float

    @property
    def good(self) -> bool:
        """Whether everything that is promised held."""
        return not (self.counts["confirmed"].lost or self.broken or self.pretended)


async def kill(servers: Servers, master: Server) -> None:
    """kill -9 of a master."""
    master.kill()
    await asyncio.to_thread(servers.await_another_master, master)


async def freeze(servers: Servers, master: Server) -> None:
    """A master stands still until another one has its place, and then goes on."""
    with master.frozen():
        await asyncio.to_thread(servers.await_another_master, master)


async def cut_off_and_kill(servers: Servers, master: Server) -> None:
    """A master's replicas hear nothing for half a second while it goes on alone; then kill -9.

    Only `min-replicas-to-write 0` lets it, so that is set.
    """
    master.client.config_set("min-replicas-to-write", 0)
    with contextlib.ExitStack() as stack:
        for replica in servers.replicas_of(master):
            stack.enter_context(replica.frozen())
        master.client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        await asyncio.sleep(CUT_SECONDS)
        master.kill()
    await asyncio.to_thread(servers.await_another_master, master)


FAULTS: Final[Mapping[str, FaultOf]] = {
    "kill -9": kill,
    "frozen": freeze,
    "alone for 0.5 s, then kill -9": cut_off_and_kill,
}


async def run(servers: Servers, fault: str, *, prefix: str, before: float, each: int = 3, **more: Any) -> Course:
    """Write, let a fault happen, go on until everything can be written again, and count.

    Args:
        servers: whole.
        fault: of `FAULTS`.
        prefix: of the keys, new.
        before: seconds of writing before the fault, and after it.
        each: channels in each third of the slots.
        **more: further settings of `[redis]`.
    """
    async with contextlib.AsyncExitStack() as stack:
        brokers: dict[How, Broker] = {}
        buses: dict[How, Bus] = {}
        kinds: Mapping[How, int] = {"confirmed": 1, "acknowledged": 0}
        for how, replicas in kinds.items():
            values = {"url": servers.url, "prefix": prefix, "wait_replicas": replicas, **more}
            broker = brokers[how] = await stack.enter_async_context(Broker(RedisSettings.model_validate(values)))
            buses[how] = await stack.enter_async_context(Bus(broker, how))
        keys = brokers["confirmed"].keys.app("app")
        channels = rooms(keys, each)
        load = Load(brokers, buses, channels)
        writing = asyncio.create_task(load.run())
        await asyncio.sleep(before)
        began = time.monotonic()
        master = servers.owner(slot_of(keys.channel(channels[0]).encode()))
        await FAULTS[fault](servers, master)
        await asyncio.to_thread(servers.heal)
        async with asyncio.timeout(PATIENCE):
            await load.all_write()
        await asyncio.sleep(before)
        load.stop()
        await writing
        bus = buses["acknowledged"]
        kept = await look(bus, keys, channels)
        done = [write for told in load.outcomes.values() for write in told.done]
        asked, wrong = await pretended(bus, keys, done, kept)
        kind = "sentinel" if isinstance(servers, SentinelSet) else "cluster"
        outage = longest_silence(load.outcomes["confirmed"], began)
        return Course(kind, fault, count(load.outcomes, kept), kept.broken, asked, wrong, outage)


def longest_silence(told: Outcomes, since: float) -> float:
    """Return for how many seconds the place that had to wait longest had no write done, from then on."""
    last: dict[str, float] = {write.place: since for write in told.done}
    longest = 0.0
    for write in sorted(told.done, key=lambda write: write.at):
        if write.at > since:
            longest = max(longest, write.at - last[write.place])
            last[write.place] = write.at
    return longest
