"""The bus on a cluster: a shard of the bus for each server that has slots, and the way from a name to its shard.

Slots move and servers fail. A server that is asked for what it has no more says where it is now (`MOVED`, `ASK`); a
subscriber learns by an unsubscription that it did not ask for. Both lead to a new look at the layout, as does a shard
that is down. A channel that moved is subscribed anew, then left where it was (it may still be there), then told a gap.
"""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final

import structlog
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, Broker, BrokerUnavailable
from shared.link import Argument, CommandRefused
from shared.redis_url import Address
from shared.shard import DEAF_SECONDS, RESUBSCRIBE_BATCH, SHARDED, Handler, Shard, Told
from shared.slots import SLOTS, Layout, key_of, layout_of, redirect_of, slot_of, tag_in
from shared.topology import Sharded

LOOK_SECONDS: Final = 5.0  # between two looks at the layout while nothing is wrong
SOON_SECONDS: Final = 0.25  # while something is
ASK_SECONDS: Final = 1.0  # that a server gets to tell the layout, until the next is asked
SPARE_SECONDS: Final = 30.0  # that a server without slots is kept connected
REDIRECTS: Final = 8  # that one command follows
RESTLESS: Final = f"a slot of the cluster did not come to rest within {REDIRECTS} redirections"
UP_SECONDS: Final = 3.0  # that a command waits for the server it was sent to

log = structlog.get_logger("bus")


class ClusterServers:
    """All channels and keys on the servers of a cluster.

    Args:
        broker: the open broker.
        topology: the cluster.
        node_id: names the heartbeat channels.
        handlers: of the channels, shared with the bus.
        on_gap: told the channels on which messages may have been missed.

    Attributes:
        connected: set when every slot's server can be used for the first time.
    """

    def __init__(
        self,
        broker: Broker,
        topology: Sharded,
        node_id: str,
        handlers: Mapping[bytes, Handler],
        on_gap: Callable[[Collection[bytes]], None],
    ) -> None:
        self.connected = asyncio.Event()
        self._broker = broker
        self._topology = topology
        self._node_id = node_id
        self._handlers = handlers
        self._on_gap = on_gap
        self._shards: dict[Address, Shard] = {}
        self._runs: dict[Shard, asyncio.Task[None]] = {}
        self._owners: list[Shard | None] = [None] * SLOTS
        self._heard: dict[bytes, Shard | None] = {}  # where each channel is subscribed; None: to be subscribed anew
        self._beats: dict[Shard, int] = {}  # the slot of each heartbeat
        self._spare: dict[Address, float] = {}  # since when a server has no slots
        self._known: Layout | None = None
        self._settled = False  # every channel is heard from its server, as far as we know
        self._blind = 0  # looks in a row that showed nothing
        self._news = asyncio.Event()  # a shard is up or down, or something moved
        self._told = Told(self._up, self._news.set, self._lost_channel)
        self._tasks: set[asyncio.Task[None]] = set()

    def trouble(self) -> str | None:
        """Say which part of the cluster cannot be relied on now, or None."""
        if self._known is None:
            return "the cluster's layout is not known"
        for address in self._known.primaries:
            if (trouble := self._shards[address].trouble()) is not None:
                return f"{address}: {trouble}"
        missing = self._owners.count(None)
        return f"{missing} slots of the cluster have no server" if missing else None

    # Commands.

    async def call(self, command: Sequence[Argument]) -> Any:
        """Run a command on the server of its key.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        return await self._led(command, Shard.call)

    async def write(self, command: Sequence[Argument]) -> Any:
        """Run a write that counts once replicas have it.

        Raises:
            NotReplicated: Redis has it, but too few replicas confirmed in time.
            BrokerUnavailable: Redis did not confirm it.
        """
        return await self._led(command, Shard.write)

    async def calls(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Run several commands, each on its server; their replies in order.

        Raises:
            BrokerUnavailable: Redis did not confirm one of them.
        """
        return await asyncio.gather(*(self.call(command) for command in commands))

    def begin(self, command: Sequence[Argument]) -> "asyncio.Future[Any]":
        """Send a command to the server that has its key as far as we know.

        Raises:
            BrokerUnavailable: it was not sent; the future raises it when the reply does not come.
        """
        return self._owner(key_of(command)).call(command)

    async def _led(self, command: Sequence[Argument], run: "Callable[..., Awaitable[Any]]") -> Any:
        """Run a command where it belongs, going where servers send us; nothing of it was done before they do."""
        shard, asking = self._owner(key_of(command)), False
        for _ in range(REDIRECTS):
            try:
                return await run(shard, command, asking=asking)
            except CommandRefused as error:
                if error.code == "TRYAGAIN":  # some of its keys are on either side of a move
                    await asyncio.sleep(SOON_SECONDS)
                    continue
                shard, asking = await self._follow(error, shard), error.code == "ASK"
        raise BrokerUnavailable(RESTLESS)

    async def _follow(self, error: CommandRefused, shard: Shard) -> Shard:
        """Return the shard that a refusal sends us to, once it can be used.

        Raises:
            CommandRefused: it sends us nowhere.
            BrokerUnavailable: the server cannot be reached.
        """
        redirect = redirect_of(error.reply, Address(*(shard.address or ("", 0))))
        if redirect is None:
            if error.code == "CLUSTERDOWN":
                self._news.set()
            raise error
        found = self._shard_at(redirect.address)
        if redirect.for_good:
            self._owners[redirect.slot] = found
            self._news.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UP_SECONDS):
                await found.ready.wait()
        return found

    def _owner(self, name: bytes) -> Shard:
        shard = self._owners[slot_of(name)]
        if shard is None:
            raise BrokerUnavailable("no server of the cluster has this slot")
        return shard

    # Channels.

    def subscribing(self, name: bytes) -> "asyncio.Future[None]":
        """Ask to hear a channel; the future is the confirmation.

        Raises:
            BrokerUnavailable: there is no connection; the future raises it when the confirmation does not come.
        """
        shard = self._owner(name)
        if not shard.hears:
            raise BrokerUnavailable("the connection to Redis is down")
        return self._spawn(self._subscribe(name, shard))

    async def _subscribe(self, name: bytes, shard: Shard) -> None:
        self._heard[name] = shard
        try:
            await self._subscribe_where_led(name, shard)
        except BaseException:
            self._heard.pop(name, None)
            raise

    async def _subscribe_where_led(self, name: bytes, shard: Shard) -> None:
        """Subscribe at the shard that a channel counts as heard from, or where that sends us."""
        for _ in range(REDIRECTS):
            try:
                await shard.subscribing(name)
            except CommandRefused as error:
                found = await self._follow(error, shard)
                if name not in self._heard:
                    raise BrokerUnavailable("it was unsubscribed before Redis confirmed it") from None
                self._heard[name] = shard = found
            else:
                return
        raise BrokerUnavailable(RESTLESS)

    def unsubscribe(self, name: bytes) -> None:
        """Hear a channel no more."""
        shard = self._heard.pop(name, None)
        if shard is not None:
            shard.unsubscribe(name)

    def _lost_channel(self, shard: Shard | None, name: bytes) -> None:
        if shard is not None and self._heard.get(name) is shard:
            self._heard[name] = None
            self._settled = False
        self._news.set()

    # The servers.

    async def run(self) -> None:
        """Keep the connections to all servers alive until cancelled."""
        try:
            while True:
                self._news.clear()
                await self._look()
                well = self.trouble() is None and self._settled
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS if well else random.uniform(0.5, 1.5) * SOON_SECONDS):
                        await self._news.wait()
                await asyncio.sleep(SOON_SECONDS / 5)  # the slots of a big move come one after the other
        finally:
            tasks = [*self._runs.values(), *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        """Learn who has which slots now, and go by that."""
        try:
            layout = await self._layout()
        except (*UNREACHABLE, RedisError) as error:
            if self._blind % 20 == 0:
                log.warning("no server of the cluster tells its layout", error=str(error) or type(error).__name__)
            self._blind += 1
            return
        self._blind = 0
        if layout != self._known:
            self._known = layout
            self._take(layout)
            self._settled = False
        if not self._settled:
            self._settled = True
            self._hear_moved()
        self._close_spare(layout.primaries)

    async def _layout(self) -> Layout:
        alive = [(address, shard) for address, shard in self._shards.items() if shard.hears]
        for address, shard in random.sample(alive, len(alive)):  # so that not every process asks the same one
            with contextlib.suppress(BrokerUnavailable, TimeoutError):
                async with asyncio.timeout(ASK_SECONDS):
                    return layout_of(await shard.call(("CLUSTER", "SLOTS")), address)
        return await self._topology.layout()

    def _take(self, layout: Layout) -> None:
        slots: defaultdict[Address, set[int]] = defaultdict(set)
        for slot, address in enumerate(layout.owners):
            if address is not None:
                slots[address].add(slot)
        for address, its in slots.items():
            shard = self._shard_at(address)
            if self._beats.get(shard) not in its:
                channel = self._broker.keys.beat(self._node_id, tag_in(its)).encode()
                self._beats[shard] = slot_of(channel)
                shard.beat_on(channel)
        self._owners = [None if address is None else self._shards[address] for address in layout.owners]
        log.info("cluster layout", servers=sorted(map(str, slots)), slots=sum(map(len, slots.values())))

    def _shard_at(self, address: Address) -> Shard:
        shard = self._shards.get(address)
        if shard is None:
            replicas = self._broker.settings.wait_replicas
            pool = self._topology.links_to(address)
            shard = self._shards[address] = Shard(
                pool, None, self._handlers, self._names_of, self._told, words=SHARDED, replicas=replicas
            )
            self._runs[shard] = asyncio.create_task(shard.run(), name=f"bus-{address}")
        return shard

    def _close_spare(self, primaries: Collection[Address]) -> None:
        """Let servers go that have no slots; one that answers may be about to get some."""
        now = asyncio.get_running_loop().time()
        for address in self._shards.keys() - primaries:
            since = self._spare.setdefault(address, now)
            if not self._shards[address].hears or now - since > SPARE_SECONDS:
                shard = self._shards.pop(address)
                self._beats.pop(shard, None)
                self._own(self._runs.pop(shard)).cancel()
        for address in self._spare.keys() - (self._shards.keys() - primaries):
            del self._spare[address]

    def _names_of(self, shard: Shard) -> list[bytes]:
        return [name for name, where in self._heard.items() if where is shard]

    def _up(self, shard: Shard, names: Collection[bytes], again: bool) -> None:  # noqa: FBT001 - as `Told` has it
        self._news.set()
        if self.trouble() is None:
            self.connected.set()
        if again or names:
            log.info("bus connections rebuilt", server=str(shard.address), subscriptions=len(names))
            self._on_gap(names)

    def _hear_moved(self) -> None:
        """Hear every channel from the server that has it now."""
        moved: defaultdict[Shard, dict[bytes, Shard | None]] = defaultdict(dict)
        for name, shard in self._heard.items():
            owner = self._owners[slot_of(name)]
            if owner is None:
                self._settled = False
            elif owner is not shard:
                moved[owner][name] = shard
        for owner, heard in moved.items():
            self._heard.update(dict.fromkeys(heard, owner))
            if owner.hears:
                self._spawn(self._hear_again(owner, heard))
                continue
            for name, shard in heard.items():  # it subscribes to them once it is up
                self._leave(name, shard)

    async def _hear_again(self, owner: Shard, heard: Mapping[bytes, Shard | None]) -> None:
        """Hear channels from the server that seems to have them now, and where they were heard until it confirms."""
        confirmed: list[bytes] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEAF_SECONDS + len(heard) / RESUBSCRIBE_BATCH):
                await asyncio.gather(*(self._move(name, owner, before, confirmed) for name, before in heard.items()))
        self._on_gap([name for name in confirmed if name in self._heard])

    async def _move(self, name: bytes, owner: Shard, before: Shard | None, confirmed: list[bytes]) -> None:
        try:
            await self._subscribe_where_led(name, owner)
            confirmed.append(name)
        except BaseException as error:  # another look is taken
            self._lost_channel(self._heard.get(name), name)
            if not isinstance(error, BrokerUnavailable):
                raise
        finally:
            self._leave(name, before)

    def _leave(self, name: bytes, shard: Shard | None) -> None:
        """Hear a channel no more from a server, unless it is that again which has it."""
        if shard is not None and self._heard.get(name) is not shard:
            shard.unsubscribe(name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._own(asyncio.create_task(work))

    def _own(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
