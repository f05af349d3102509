"""A deployment on a Redis Cluster of three masters: slots move and masters fail, and what is heard and kept holds."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.failover.course import run
from bench.servers import ClusterSet
from mini_apps.cli.inspect import channels, tail, top
from mini_apps.cli.inspect import keys as held_keys
from mini_apps.cli.inspect.servers import heard_channels, walk
from mini_apps.cli.inspect.traffic import Sources, Traffic
from mini_apps.embedded import EmbeddedValkey
from shared import history
from shared.broker import Broker, BrokerUnavailable, BrokerUnfit
from shared.bus import Bus
from shared.bus_frames import Message, pack, unpack
from shared.cluster import ClusterServers
from shared.keys import AppKeys
from shared.leases import Lease, Names
from shared.nodes import Node, Registration
from shared.redis_url import Address
from shared.settings import RedisSettings, load
from shared.slots import SLOTS, slot_of
from shared.streams import LaneStream
from shared.updates import UpdateLog
from support import TOKEN, eventually
from topology_rig import deployed, put_through_its_paces

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSet]:
    with ClusterSet(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
async def broker(servers: ClusterSet, prefix: str) -> AsyncIterator[Broker]:
    settings = RedisSettings.model_validate({"url": servers.url, "prefix": prefix, "wait_replicas": 1})
    async with Broker(settings) as opened:
        yield opened


class Ears:
    """What a bus heard, by channel, and its gaps."""

    def __init__(self) -> None:
        self.heard: dict[str, list[bytes]] = {}
        self.gaps: list[set[str]] = []

    def missed(self, names: Collection[str]) -> None:
        self.gaps.append(set(names))

    async def listen(self, bus: Bus, *names: str) -> None:
        for name in names:
            await bus.subscribe(name, self.heard.setdefault(name, []).append)


def rooms(keys: AppKeys, number: int, *, part: int | None = None) -> list[str]:
    """Return names of channels, of those in one third of the slots if wanted."""
    found = (f"room:{at}" for at in range(100_000))
    wanted = (name for name in found if part in (None, slot_of(keys.channel(name).encode()) * 3 // SLOTS))
    return [next(wanted) for _ in range(number)]


async def test_slots_are_those_of_the_server(servers: ClusterSet, broker: Broker) -> None:
    keys = broker.keys.app("chat")
    for name in (
        "a",
        "{x}y",
        "a{}{b}",
        keys.channel("räum"),
        keys.updates(3),
        keys.everyone(7),
        broker.keys.beat("n", "5"),
    ):
        assert servers.servers[0].client.execute_command("CLUSTER KEYSLOT", name) == slot_of(name.encode())


async def test_channels_of_all_shards_are_heard_in_order(broker: Broker) -> None:
    keys, ears = broker.keys.app("chat"), Ears()
    names = [keys.channel(room) for room in rooms(keys, 30)]
    async with Bus(broker, "n1", on_gap=ears.missed) as one, Bus(broker, "n2") as two:
        await ears.listen(one, *names)
        publishes = [two.publish(name, b"%d" % number) for number in range(100) for name in names]
        assert set(await asyncio.gather(*publishes)) == {1}
        wanted = [b"%d" % number for number in range(100)]
        await eventually(lambda: all(heard == wanted for heard in ears.heard.values()))
        one.unsubscribe(names[0])

        async def silent() -> bool:
            return await two.publish(names[0], b"x") == 0

        await eventually(silent)
        assert await one.calls(*(("EXISTS", name) for name in names)) == [0] * 30
        assert ears.gaps == []


async def test_history_is_appended_and_published_in_one_step(broker: Broker) -> None:
    keys, ears = broker.keys.app("chat"), Ears()
    async with Bus(broker, "n1") as bus:
        for room in rooms(keys, 6):
            await ears.listen(bus, keys.channel(room))
            offsets = [
                await history.publish(bus, keys, room, Message(b'{"n":%d}' % n), size=50, ttl=60, id_=f"{n}")
                for n in (1, 2, 2)
            ]
            assert offsets[1] == offsets[2], "the repeat was known"
            await eventually(lambda room=room: len(ears.heard[keys.channel(room)]) == 2)
            frames = [unpack(payload) for payload in ears.heard[keys.channel(room)]]
            assert [(f.offset, f.prev) for f in frames if isinstance(f, Message)] == [
                (offsets[0], 0),
                tuple(offsets[1::-1]),
            ]
            reading = await history.read(bus, keys, room, offsets[0])
            assert [entry.body for entry in reading.entries] == [b'{"n":2}']


async def test_a_slot_that_moves_takes_its_channel_and_its_keys_along(servers: ClusterSet, broker: Broker) -> None:
    keys, ears = broker.keys.app("chat"), Ears()
    (room, other), (quiet,) = rooms(keys, 2, part=0), rooms(keys, 1, part=2)
    async with (
        contextlib.AsyncExitStack() as moved,
        Bus(broker, "n1", on_gap=ears.missed) as bus,
        Bus(broker, "n2") as two,
    ):
        await ears.listen(bus, *map(keys.channel, (room, other, quiet)))
        first = await history.publish(bus, keys, room, Message(b"{}"), size=50, ttl=60)
        slot = slot_of(keys.channel(room).encode())
        moved.callback(servers.move, slot, servers.owner(0))  # back, whatever comes of it
        await asyncio.to_thread(servers.move, slot, servers.owner(SLOTS // 2))
        second = await history.publish(two, keys, room, Message(b"{}"), size=50, ttl=60)
        await eventually(lambda: {keys.channel(room)} in ears.gaps, what="the gap being told")
        assert not any({keys.channel(other), keys.channel(quiet)} & gap for gap in ears.gaps)
        assert [e.offset for e in (await history.read(bus, keys, room, first)).entries] == [second]
        before = len(ears.heard[keys.channel(room)])

        async def arrives() -> (
            bool
        ):  # servers learn of the move from each other, and may name the old owner for a while
            return await two.publish(keys.channel(room), b"after the move") == 1

        await eventually(arrives, what="the subscription at the new owner")
        await eventually(lambda: ears.heard[keys.channel(room)][before:] == [b"after the move"])
        await ears.listen(two, keys.channel(room))  # whose map was as old
        assert bus.trouble() is None


async def test_a_server_that_still_names_the_old_owner_of_a_slot_makes_nobody_deaf(
    servers: ClusterSet, broker: Broker
) -> None:
    """After a move the cluster's servers learn of it one by one, and a bus may ask one that has not."""
    keys, ears = broker.keys.app("chat"), Ears()
    (room,) = rooms(keys, 1, part=0)
    name, slot = keys.channel(room), slot_of(keys.channel(room).encode())
    before, now, late = (servers.owner(at) for at in (0, SLOTS // 2, SLOTS - 1))
    async with (
        contextlib.AsyncExitStack() as moved,
        Bus(broker, "n1", on_gap=ears.missed) as bus,
        Bus(broker, "n2") as two,
    ):
        await ears.listen(bus, name)
        moved.callback(servers.move, slot, before)
        await asyncio.to_thread(servers.move, slot, now)

        async def arrives() -> bool:
            return await two.publish(name, b"after the move") == 1

        await eventually(arrives, what="the subscription at the new owner")
        shown, seen, misled, numbers = bus._servers, None, 0, []
        assert isinstance(shown, ClusterServers)
        async with asyncio.timeout(120):
            while misled < 3:
                late.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", servers.id_of(before))
                shown._news.set()
                numbers.append(b"%d" % len(numbers))
                assert await two.publish(name, numbers[-1]) == 1, f"nobody heard it, after {misled} wrong layouts"
                if shown._known is not seen and (seen := shown._known) is not None:
                    misled += seen.owners[slot] != Address("127.0.0.1", now.port)
        await eventually(lambda: ears.heard[name][1:] == numbers, what="all that was published, once")


async def test_keys_of_a_slot_on_its_way_are_found(servers: ClusterSet, broker: Broker) -> None:
    """One key on either side; several once they are together again, for which the cluster lets nobody do anything."""
    keys = broker.keys.app("chat")
    (room,) = rooms(keys, 1, part=0)
    slot, source, target = slot_of(keys.channel(room).encode()), servers.owner(0), servers.owner(SLOTS - 1)
    async with Bus(broker, "n1") as bus:
        first = await history.publish(bus, keys, room, Message(b"{}"), size=50, ttl=60)
        target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", servers.id_of(source))
        source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", servers.id_of(target))
        await asyncio.to_thread(servers.move_keys, slot, source, target)
        assert source.client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 0
        assert await bus.call("HGET", keys.channel_meta(room), "last") == b"%d" % first
        before = target.client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
        assert await bus.write("HSET", keys.holders(room), "1", "n1") == 1
        assert target.client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == before + 1
        publish = asyncio.create_task(history.publish(bus, keys, room, Message(b"{}"), size=50, ttl=60))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(publish)
        assert not publish.done()
        for server in (target, source, *servers.primaries()):
            server.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", servers.id_of(target))
        second = await publish
        assert [e.offset for e in (await history.read(bus, keys, room, first)).entries] == [second]
        await asyncio.to_thread(servers.move, slot, source)
        assert await history.publish(bus, keys, room, Message(b"{}"), size=50, ttl=60) > second


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_shard_whose_master_fails_is_a_gap_of_that_shard_only(
    servers: ClusterSet, broker: Broker, how: str
) -> None:
    keys, ears = broker.keys.app("chat"), Ears()
    (lost,), (kept,) = rooms(keys, 1, part=1), rooms(keys, 1, part=2)
    lease = Lease(broker, Names(keys.lease("r"), keys.fence("r")), "n1")
    async with Bus(broker, "n1", on_gap=ears.missed) as bus:
        await ears.listen(bus, keys.channel(lost), keys.channel(kept))
        confirmed = await history.publish(bus, keys, lost, Message(b'{"n":1}'), size=50, ttl=60)
        old = servers.owner(slot_of(keys.channel(lost).encode()))
        with old.frozen() if how == "frozen" else contextlib.nullcontext():
            if how == "killed":
                old.kill()
            await eventually(lambda: bus.trouble() is not None, what="readiness telling of it")
            assert await bus.publish(keys.channel(kept), b"still here") == 1
            await eventually(lambda: {keys.channel(lost)} in ears.gaps, what="the gap being told")
            await eventually(lambda: bus.trouble() is None, what="the bus on the new master")
        assert not any(keys.channel(kept) in gap for gap in ears.gaps)
        assert ears.heard[keys.channel(kept)] == [b"still here"]
        await asyncio.to_thread(servers.heal)
        offset = 0

        async def published() -> bool:
            nonlocal offset
            with contextlib.suppress(BrokerUnavailable):
                offset = await history.publish(bus, keys, lost, Message(b'{"n":2}'), size=50, ttl=60, id_="two")
            return offset > 0

        await eventually(published, what="a confirmed publish")
        reading = await history.read(bus, keys, lost, confirmed)
        assert (reading.verdict, [entry.offset for entry in reading.entries]) == ("valid", [offset])
        await eventually(lambda: len(ears.heard[keys.channel(lost)]) >= 2, what="the new message being heard")
        assert await lease.take()


async def test_a_deployment_does_everything_before_and_after_a_failover(
    servers: ClusterSet, prefix: str, tmp_path: Path
) -> None:
    async with deployed(tmp_path, servers.url, prefix, REDIS__WAIT_REPLICAS="1") as deployment:
        await put_through_its_paces(deployment)
        servers.owner(0).kill()
        await eventually(deployment.troubles, what="readiness telling of it")
        await asyncio.to_thread(servers.heal)
        await eventually(lambda: not deployment.troubles(), what="readiness on the new master")
        await put_through_its_paces(deployment, room="2")


async def test_the_loss_of_a_shards_master_loses_nothing_that_was_confirmed(servers: ClusterSet, prefix: str) -> None:
    """The small form of `make proof-failover`: the master goes on without its replica, then dies."""
    course = await run(servers, "alone for 0.5 s, then kill -9", prefix=prefix, before=0.3, each=1)
    assert course.good, course
    assert course.counts["confirmed"].done
    assert course.counts["acknowledged"].lost, "so it would have been noticed"


async def test_who_looks_inside_sees_all_shards(broker: Broker) -> None:
    keys = broker.keys.app("chat")
    names = [keys.channel(room) for room in rooms(keys, 12)]
    async with Bus(broker, "n1") as bus:
        await Ears().listen(bus, *names)
        pattern = f"{broker.keys.prefix}:chat:*"
        assert await heard_channels(broker, pattern, 100) == [(name, 1) for name in sorted(names)]
        for name in names:
            await bus.call("SET", f"{name}:key", 1)
        assert {key async for key in walk(broker, pattern, 100)} == {f"{name}:key" for name in names}
        traffic = Traffic(broker, Sources({"chat": 0}, bodies=True))
        async with traffic.listening():
            for name in names:
                assert await bus.publish(name, pack(Message(b'{"type":"said"}'))) == 2
            for part in range(bus.parts):
                await bus.publish(keys.everyone(part), pack(Message(b'{"type":"everybody"}')))
            async with asyncio.timeout(30):
                seen = [await traffic.next() for _ in range(len(names) + 1)]
            assert sum("everybody" in one.what for one in seen) == 1, "a broadcast is shown once"


async def test_a_connection_that_was_closed_while_nobody_used_it_fails_no_command(
    servers: ClusterSet, broker: Broker
) -> None:
    names = [broker.keys.app("app").own(f"count{number}") for number in range(30)]
    for name in names:
        await broker.client.incr(name)
    for server in servers.primaries():
        server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    cluster: Any = broker.client
    idle = [connection for node in cluster.get_nodes() for connection in node._free]
    await eventually(lambda: idle and all(connection._reader.at_eof() for connection in idle))
    assert [await broker.client.incr(name) for name in names] == [2] * 30


async def test_many_who_read_at_once_ask_no_server_where_their_streams_are(servers: ClusterSet, broker: Broker) -> None:
    """Redis-py asks one, by COMMAND GETKEYS; which it cannot while the first of many learns the cluster's layout."""
    keys, lanes = broker.keys.app("chat"), range(40)

    def asked() -> int:
        stats: list[Any] = [server.client.info("commandstats") for server in servers.primaries()]
        return sum(stat.get("cmdstat_command|getkeys", {}).get("calls", 0) for stat in stats)

    async with Bus(broker, "n1") as bus:
        for lane in lanes:
            await bus.call("XADD", keys.updates(lane), "1-0", "id", lane)
        before = asked()
        await asyncio.gather(*(LaneStream(broker, bus, keys, lane, 1).wait(b"0") for lane in lanes))
        found: Any = await asyncio.gather(*(broker.blocking.xread({keys.updates(lane): "0"}) for lane in lanes))
        assert [stream[0][1] for stream in found] == [[(b"1-0", {b"id": b"%d" % lane})] for lane in lanes]
        await bus.call("XGROUP", "CREATE", keys.updates(0), "g", "0")
        got: Any = await broker.blocking.xreadgroup("g", "me", {keys.updates(0): ">"})
        assert got == found[0]
        assert asked() == before


async def test_the_wrong_kind_of_address_is_one_clear_line(servers: ClusterSet, valkey: EmbeddedValkey) -> None:
    single = servers.servers[0].url
    for url, text in (
        (single, r"redis\+cluster://"),
        (valkey.url.replace("redis://", "redis+cluster://"), "no cluster"),
    ):
        with pytest.raises(BrokerUnfit, match=text):
            async with asyncio.timeout(10), Broker(RedisSettings.model_validate({"url": url.removesuffix("/0")})):
                pytest.fail("it was taken")


def _as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


async def test_inspect_top_and_tail_see_every_shard(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    told = {"REDIS__URL": broker.settings.url.get_secret_value(), "APPS__CHAT__BOT_TOKEN": TOKEN, "BOT__LANES": "4"}
    settings = load(None, {f"MINI_APPS__{name}": value for name, value in told.items()})
    keys = broker.keys.app("chat")
    names = [name for part in range(3) for name in rooms(keys, 3, part=part)]
    async with Bus(broker, "n1") as bus, Registration(broker, Node("n1", "ws", "ws://n1")):
        await broker.client.set(keys.lanes, 4)
        for name in names:
            await history.publish(bus, keys, name, Message(b'{"type":"said"}', trace=""), size=5, ttl=60)
            await bus.subscribe(keys.channel(name), lambda _: None)
        for number in range(8):
            update = {"update_id": number, "message": {"chat": {"id": number}, "from": {"id": number}}}
            await UpdateLog(broker, bus, 4).append("chat", update, "webhook")

        await channels.channels("", "room:*", 100, as_json=True)(broker, settings)
        found = _as_json(capsys)["channels"]
        assert sorted((one["channel"], one["nodes"], one["kept"]) for one in found) == [
            (n, 1, 1) for n in sorted(names)
        ]
        await held_keys.showing("", 10_000, as_json=True)(broker, settings)
        kinds = {one["family"].partition(":")[2]: one for one in _as_json(capsys)["families"]}
        assert (kinds["APP:channel:{H}:NAME"]["keys"], kinds["_:node:NODE"]["keys"]) == (len(names), 1)
        await top.showing("", 1.0, once=True, as_json=True)(broker, settings)
        now = _as_json(capsys)
        assert ([node["id"] for node in now["nodes"]], now["apps"]["chat"]["waiting"]) == (["n1"], 8)

        chosen = tail.Filter(trace="m-9")
        ask = tail.Ask("", chosen, bodies=False, limit=len(names), seconds=60.0, as_json=True)
        tailing = asyncio.create_task(tail.showing(ask)(broker, settings))

        async def heard() -> bool:  # twice by now: by the bus and by tail
            return set(await asyncio.gather(*(bus.publish(keys.channel(name), b"\x80{}") for name in names))) == {2}

        await eventually(heard)
        for name in names:
            await bus.publish(keys.channel(name), pack(Message(b"{}", trace="m-9")))
        await asyncio.wait_for(tailing, 300)
        seen = [json.loads(line)["channel"] for line in capsys.readouterr().out.splitlines()]
        assert sorted(seen) == sorted(names)
