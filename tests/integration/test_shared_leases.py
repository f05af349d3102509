"""Leases: one owner, a fence that only grows."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.leases import Lease, Names
from shared.settings import RedisSettings
from support import eventually


def quick(valkey: EmbeddedValkey, prefix: str, seconds: float = 0.6) -> Broker:
    settings = {"url": valkey.url, "prefix": prefix, "lease_seconds": seconds}
    return Broker(RedisSettings.model_validate(settings))


def names(broker: Broker) -> Names:
    keys = broker.keys.app("counter")
    return Names(keys.lease("poller"), keys.fence("poller"))


async def test_one_owner_and_a_growing_fence(broker: Broker) -> None:
    one, two = Lease(broker, names(broker), "one"), Lease(broker, names(broker), "two")
    assert not one.held
    assert await one.take()
    assert (one.held, one.fence) == (True, 1)
    assert not await two.take()
    assert (two.held, two.fence) == (False, 0)
    assert await one.take()  # a renewal keeps the fence
    assert one.fence == 1
    await two.release()  # somebody else's release changes nothing
    assert not await two.take()
    await one.release()
    assert (one.held, one.fence) == (False, 0)
    assert await two.take()
    assert two.fence == 2


async def test_many_at_once_have_one_winner(broker: Broker) -> None:
    leases = [Lease(broker, names(broker), str(number)) for number in range(20)]
    assert sum(await asyncio.gather(*(lease.take() for lease in leases))) == 1


async def test_an_owner_that_does_not_renew_loses_it_first_in_its_own_eyes(valkey: EmbeddedValkey, prefix: str) -> None:
    async with quick(valkey, prefix) as broker:
        one, two = Lease(broker, names(broker), "one"), Lease(broker, names(broker), "two")
        assert await one.take()
        await eventually(lambda: not one.held)
        left = await broker.client.pttl(one.names.lease)
        assert left > 0 or await broker.client.exists(one.names.lease) == 0
        await eventually(two.take)
        assert two.fence == 2
        assert not await one.take()
        assert one.fence == 0


async def test_keep_renews_until_the_lease_is_lost(valkey: EmbeddedValkey, prefix: str) -> None:
    async with quick(valkey, prefix, 4) as broker:
        one, two = Lease(broker, names(broker), "one"), Lease(broker, names(broker), "two")
        assert await one.take()
        keeper = asyncio.create_task(one.keep())
        await eventually(lambda: left(one, broker, below=3500))

        async def renewed() -> bool:
            return not await left(one, broker, below=3500)

        await eventually(renewed)
        assert (one.held, one.fence, keeper.done()) == (True, 1, False)
        assert not await two.take()
        await broker.client.set(one.names.lease, "somebody else")
        await asyncio.wait_for(keeper, 90)
        assert not one.held


async def left(lease: Lease, broker: Broker, *, below: int) -> bool:
    """Tell whether the lease lives for less than so many ms."""
    return bool(await broker.client.pttl(lease.names.lease) < below)


async def test_keep_ends_in_time_when_redis_freezes(own_valkey: EmbeddedValkey, prefix: str) -> None:
    """Whoever waits for the end of `keep` must stop before Redis gives the lease to another."""
    assert own_valkey.process is not None
    async with quick(own_valkey, prefix, 1.5) as broker:
        lease = Lease(broker, names(broker), "one")
        assert await lease.take()
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        try:
            frozen = time.monotonic()
            await asyncio.wait_for(lease.keep(), 20)
            assert time.monotonic() - frozen < 3.0  # not after the command's own time-out of 5 s
            assert not lease.held
        finally:
            os.kill(own_valkey.process.pid, signal.SIGCONT)


async def test_waiting_for_a_lease(valkey: EmbeddedValkey, prefix: str) -> None:
    async with quick(valkey, prefix) as broker:
        one, two = Lease(broker, names(broker), "one"), Lease(broker, names(broker), "two")
        assert await one.take()
        order: list[str] = []

        async def second() -> None:
            async with two.wait() as fence:
                order.append(f"two has it as {fence}")

        task = asyncio.create_task(second())
        order.append("one lets go")
        await one.release()
        await asyncio.wait_for(task, 90)
        assert order == ["one lets go", "two has it as 2"]
        assert await one.take()  # released after the block


async def test_a_failing_block_releases_too(broker: Broker) -> None:
    one, two = Lease(broker, names(broker), "one"), Lease(broker, names(broker), "two")
    with pytest.raises(RuntimeError):
        async with one.wait():
            raise RuntimeError
    assert await two.take()


async def test_the_fence_survives_a_restart(own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    async with quick(own_valkey, prefix, 6) as broker:
        one = Lease(broker, names(broker), "one")
        assert await one.take()
        own_valkey.stop()
        await one.release()  # says nothing where there is no server
        own_valkey.start()
        two = Lease(broker, names(broker), "two")
        await broker.client.delete(one.names.lease)
        assert await two.take()
        assert two.fence == 2
