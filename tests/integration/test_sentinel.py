"""A deployment under three sentinels: everything works, and goes on on the server that they make the master."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bench.failover.course import run
from bench.servers import SentinelSet
from bench.servers.server import DOWN_AFTER_MS
from shared import history
from shared.broker import Broker, BrokerUnavailable, BrokerUnfit
from shared.bus import Bus
from shared.bus_frames import Message
from shared.leases import Lease, Names
from shared.one_server import LOOK_SECONDS
from shared.settings import RedisSettings
from support import eventually
from topology_rig import deployed, put_through_its_paces

pytestmark = pytest.mark.xdist_group("sentinel")
PASSWORD = "under-lock-and-key"


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    with SentinelSet(tmp_path_factory.mktemp("sentinels"), password=PASSWORD) as running:
        yield running


def settings(sentinels: SentinelSet, prefix: str, **more: object) -> RedisSettings:
    values = {"url": sentinels.url, "prefix": prefix, "sentinel_password": PASSWORD, **more}
    return RedisSettings.model_validate(values)


@pytest.fixture
async def broker(sentinels: SentinelSet, prefix: str) -> AsyncIterator[Broker]:
    async with Broker(settings(sentinels, prefix, wait_replicas=1)) as opened:
        yield opened


async def test_a_deployment_does_everything_before_and_after_a_failover(
    sentinels: SentinelSet, prefix: str, tmp_path: Path
) -> None:
    more = {"REDIS__SENTINEL_PASSWORD": PASSWORD, "REDIS__WAIT_REPLICAS": "1"}
    async with deployed(tmp_path, sentinels.url, prefix, **more) as deployment:
        await put_through_its_paces(deployment)
        sentinels.master().kill()
        await eventually(deployment.troubles, what="readiness telling of it")
        await asyncio.to_thread(sentinels.heal)
        await eventually(lambda: not deployment.troubles(), what="readiness on the new master")
        await put_through_its_paces(deployment, room="2")


async def test_a_frozen_master_is_left_and_its_writes_are_refused(sentinels: SentinelSet, broker: Broker) -> None:
    """Nothing that was confirmed is lost, and where the old master took more, nobody is told that it counts."""
    keys = broker.keys.app("chat")
    gaps: list[frozenset[str]] = []
    async with Bus(broker, "n1", on_gap=lambda names: gaps.append(frozenset(names))) as bus:
        await bus.subscribe("x", lambda _: None)
        lease = Lease(broker, Names(keys.lease("r"), keys.fence("r")), "n1")
        assert await lease.take()
        before = await history.publish(bus, keys, "kept:1", Message(b'{"n":1}'), size=50, ttl=60)
        old = sentinels.master()
        with old.frozen():
            await asyncio.to_thread(sentinels.await_another_master, old)
            await eventually(lambda: bus.trouble() is None and gaps, what="the bus on the new master")
        assert gaps[0] == {"x"}
        offset = 0

        async def published() -> bool:
            nonlocal offset
            with contextlib.suppress(BrokerUnavailable):
                offset = await history.publish(bus, keys, "kept:1", Message(b'{"n":2}'), size=50, ttl=60, id_="two")
            return offset > 0

        await eventually(published, what="a confirmed publish")
        reading = await history.read(bus, keys, "kept:1", before)
        assert reading.verdict == "valid"
        assert [entry.offset for entry in reading.entries] == [offset]
        assert await lease.take()
        assert lease.fence == 1, "the lease went over with its fence"
        assert await broker.client.get(keys.fence("r")) == b"1"
    await asyncio.to_thread(sentinels.heal)


async def test_a_master_that_is_replaced_while_it_answers_is_left(sentinels: SentinelSet, broker: Broker) -> None:
    gaps: list[object] = []
    async with Bus(broker, "n1", on_gap=gaps.append) as bus:
        old = sentinels.master()
        await asyncio.to_thread(sentinels.fail_over)

        async def writes() -> bool:
            with contextlib.suppress(BrokerUnavailable):
                return bool(await bus.write("SET", broker.keys.app("chat").own("a"), "1"))
            return False

        await eventually(writes, what="a write on the new master")
        await eventually(lambda: bus.trouble() is None and gaps)
        assert sentinels.master() is not old
    await asyncio.to_thread(sentinels.heal)


async def test_a_sentinel_that_names_the_wrong_server_keeps_nobody_away(sentinels: SentinelSet, prefix: str) -> None:
    """As one does for a while after two failovers in a row."""
    master, wrong = sentinels.master(), sentinels.sentinels[0].client
    replica = sentinels.replicas_of(master)[0]

    def name(port: int, *more: tuple[str, str | int]) -> None:
        wrong.execute_command("SENTINEL", "REMOVE", "mesh")
        wrong.execute_command("SENTINEL", "MONITOR", "mesh", "127.0.0.1", port, 2)
        for words in more:
            wrong.execute_command("SENTINEL", "SET", "mesh", *words)

    name(replica.port)  # and without the password it learns nothing of what the others know
    try:
        async with Broker(settings(sentinels, prefix)) as broker, Bus(broker, "n1") as bus:
            assert await bus.call("SET", broker.keys.app("chat").own("a"), "1")
            await asyncio.sleep(2 * LOOK_SECONDS)
            assert bus.trouble() is None
            assert await broker.client.get(broker.keys.app("chat").own("a")) == b"1"
    finally:
        life = ("down-after-milliseconds", DOWN_AFTER_MS), ("failover-timeout", 3000)
        name(master.port, ("auth-pass", PASSWORD), *life)
        await asyncio.to_thread(sentinels.heal)


async def test_a_failover_loses_nothing_that_was_confirmed(sentinels: SentinelSet, prefix: str) -> None:
    """The small form of `make proof-failover`: the master goes on without its replicas, then dies."""
    fault = "alone for 0.5 s, then kill -9"
    course = await run(sentinels, fault, prefix=prefix, before=0.3, each=1, sentinel_password=PASSWORD)
    assert course.good, course
    assert course.counts["confirmed"].done
    assert course.counts["acknowledged"].lost, "so it would have been noticed"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sentinel_password": "wrong"}, r"redis\.sentinel-password"),
        ({"url": "redis+sentinel://:wrong@{hosts}/mesh"}, r"refused us: .*redis\.url"),
    ],
)
async def test_wrong_credentials_are_one_clear_line(
    sentinels: SentinelSet, prefix: str, change: dict[str, str], text: str
) -> None:
    hosts = sentinels.url.rpartition("@")[2].partition("/")[0]
    given = {name: value.format(hosts=hosts) for name, value in change.items()}
    with pytest.raises(BrokerUnfit, match=text) as caught:
        async with asyncio.timeout(10), Broker(settings(sentinels, prefix, **given)):
            pytest.fail("it let us in")
    assert "wrong" not in str(caught.value)
