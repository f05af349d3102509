"""The bus on a real server: order, batches, confirmations, and what happens when the server goes."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest

from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker, BrokerUnavailable
from shared.bus import Bus
from shared.one_server import OneServer
from shared.settings import RedisSettings
from support import eventually


class Gaps:
    """Counts calls of `on_gap`."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, names: Collection[str]) -> None:
        self.count += 1


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[Bus]:
    async with Bus(broker, "n1") as opened:
        yield opened


@pytest.fixture
async def own_broker(own_valkey: EmbeddedValkey, prefix: str) -> AsyncIterator[Broker]:
    async with Broker(RedisSettings.model_validate({"url": own_valkey.url, "prefix": prefix})) as opened:
        yield opened


async def test_messages_arrive_in_the_order_of_the_calls(bus: Bus, prefix: str) -> None:
    heard: list[bytes] = []
    await bus.subscribe(f"{prefix}:a", heard.append)
    counts = await asyncio.gather(*(bus.publish(f"{prefix}:a", b"%d" % number) for number in range(5000)))
    assert set(counts) == {1}
    await eventually(lambda: len(heard) == 5000)
    assert heard == [b"%d" % number for number in range(5000)]


async def test_publishes_of_one_turn_share_a_write(own_broker: Broker, prefix: str) -> None:
    async def reads() -> int:
        return int((await own_broker.client.info("stats"))["total_reads_processed"])

    async with Bus(own_broker, "n1") as bus:
        await bus.publish(f"{prefix}:a", b"warm")
        before = await reads()
        await asyncio.gather(*(bus.publish(f"{prefix}:a", b"x") for _ in range(200)))
        assert await reads() - before < 20  # one by one it would be 200


async def test_a_subscription_is_there_when_the_call_returns(bus: Bus, broker: Broker, prefix: str) -> None:
    for number in range(50):
        heard: list[bytes] = []
        await bus.subscribe(f"{prefix}:{number}", heard.append)
        assert await broker.client.publish(f"{prefix}:{number}", b"at once") == 1
        await eventually(lambda heard=heard: heard == [b"at once"])


async def test_unsubscribed_channels_are_silent_and_may_come_back(bus: Bus, broker: Broker, prefix: str) -> None:
    channel = f"{prefix}:a"
    first: list[bytes] = []
    second: list[bytes] = []
    await bus.subscribe(channel, first.append)
    bus.unsubscribe(channel)
    await bus.subscribe(channel, second.append)
    assert await bus.publish(channel, b"x") == 1
    await eventually(lambda: second == [b"x"])
    assert first == []
    bus.unsubscribe(channel)

    async def gone() -> bool:
        return bool(await broker.client.publish(channel, b"y") == 0)

    await eventually(gone)


async def test_a_handler_that_raises_deafens_nobody(bus: Bus, prefix: str) -> None:
    heard: list[bytes] = []

    def broken(payload: bytes) -> None:
        heard.append(payload)
        raise RuntimeError("a bug of ours")

    await bus.subscribe(f"{prefix}:a", broken)
    await bus.publish(f"{prefix}:a", b"1")
    await bus.publish(f"{prefix}:a", b"2")
    await eventually(lambda: heard == [b"1", b"2"])


async def test_a_cancelled_subscription_is_not_kept(bus: Bus, broker: Broker, prefix: str) -> None:
    heard: list[bytes] = []
    task = asyncio.create_task(bus.subscribe(f"{prefix}:a", heard.append))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def gone() -> bool:
        return bool(await broker.client.publish(f"{prefix}:a", b"x") == 0)

    await eventually(gone)
    assert heard == []


async def test_the_server_dies_and_comes_back(own_valkey: EmbeddedValkey, own_broker: Broker, prefix: str) -> None:
    gaps = Gaps()
    heard: list[bytes] = []
    channels = [f"{prefix}:{number}" for number in range(2500)]  # more than one batch
    async with Bus(own_broker, "n1", on_gap=gaps) as bus:
        await asyncio.gather(*(bus.subscribe(channel, heard.append) for channel in channels))
        own_valkey.kill()
        await eventually(lambda: bus.trouble() is not None)
        with pytest.raises(BrokerUnavailable):
            await bus.publish(channels[0], b"lost")
        with pytest.raises(BrokerUnavailable):
            await bus.subscribe(f"{prefix}:new", heard.append)
        assert gaps.count == 0
        own_valkey.start()
        await eventually(lambda: gaps.count == 1)
        assert {await bus.publish(channel, channel.encode()) for channel in channels[::500]} == {1}
        await eventually(lambda: len(heard) == 5)
        assert await bus.publish(f"{prefix}:new", b"x") == 0  # it was refused, so it did not come back
        assert gaps.count == 1
        assert bus.trouble() is None


async def test_on_gap_comes_after_every_subscription_is_back(
    own_valkey: EmbeddedValkey, own_broker: Broker, prefix: str
) -> None:
    receivers: list[Any] = []

    def on_gap(names: Collection[str]) -> None:
        receivers.append(asyncio.ensure_future(bus.publish(f"{prefix}:a", b"x")))

    async with Bus(own_broker, "n1", on_gap=on_gap) as bus:
        await bus.subscribe(f"{prefix}:a", lambda _payload: None)
        own_valkey.kill()
        own_valkey.start()
        await eventually(lambda: receivers)
        assert await receivers[0] == 1


async def test_an_on_gap_that_raises_does_not_end_the_bus(
    own_valkey: EmbeddedValkey, own_broker: Broker, prefix: str
) -> None:
    gaps = Gaps()

    def on_gap(names: Collection[str]) -> None:
        gaps(names)
        raise RuntimeError("a bug of ours")

    async with Bus(own_broker, "n1", on_gap=on_gap) as bus:
        for turn in (1, 2):
            own_valkey.kill()
            own_valkey.start()
            await eventually(lambda turn=turn: gaps.count == turn)

        async def works() -> bool:
            try:
                return await bus.publish(f"{prefix}:a", b"x") == 0
            except BrokerUnavailable:
                return False

        await eventually(works)


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_one_of_the_two_connections_is_cut(own_broker: Broker, prefix: str, kind: str) -> None:
    gaps = Gaps()
    heard: list[bytes] = []
    async with Bus(own_broker, "n1", on_gap=gaps) as bus:
        await bus.subscribe(f"{prefix}:a", heard.append)
        await own_broker.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await eventually(lambda: gaps.count == 1)
        assert await bus.publish(f"{prefix}:a", b"x") == 1
        await eventually(lambda: heard == [b"x"])


async def test_a_frozen_server_is_noticed(own_valkey: EmbeddedValkey, own_broker: Broker, prefix: str) -> None:
    gaps = Gaps()
    heard: list[bytes] = []
    assert own_valkey.process is not None
    async with Bus(own_broker, "n1", on_gap=gaps) as bus:
        await bus.subscribe(f"{prefix}:a", heard.append)
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(BrokerUnavailable):
                await bus.publish(f"{prefix}:a", b"into the ice")  # it does not wait for ever
            await eventually(lambda: bus.trouble() is not None)
        finally:
            os.kill(own_valkey.process.pid, signal.SIGCONT)
        await eventually(lambda: gaps.count >= 1 and bus.trouble() is None)
        assert await bus.publish(f"{prefix}:a", b"x") == 1
        await eventually(lambda: b"x" in heard)


async def test_a_deaf_connection_is_rebuilt(own_broker: Broker, prefix: str) -> None:
    """The socket lives, but the server no longer sends us our heartbeat."""
    gaps = Gaps()
    async with Bus(own_broker, "n1", on_gap=gaps) as bus:
        assert isinstance(bus._servers, OneServer)
        subscriber = bus._servers._shard._subscriber
        assert subscriber is not None
        subscriber.send("UNSUBSCRIBE", own_broker.keys.beat("n1"))
        await eventually(lambda: gaps.count == 1)
        assert bus.trouble() is None


async def test_opening_can_be_given_up(own_valkey: EmbeddedValkey, own_broker: Broker) -> None:
    own_valkey.kill()
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), Bus(own_broker, "n1"):
            pytest.fail("there is no server")
    assert asyncio.all_tasks() == before


async def test_a_refused_heartbeat_leaves_no_warning(own_broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    async with Bus(own_broker, "n1") as bus:
        await own_broker.client.execute_command("ACL", "SETUSER", "default", "-publish")
        with pytest.raises(BrokerUnavailable, match="NOPERM"):
            await bus.publish("x", b"x")
        await eventually(lambda: bus.trouble() is not None, what="the missing heartbeat being noticed")
        await own_broker.client.execute_command("ACL", "SETUSER", "default", "+publish")
        await eventually(lambda: bus.trouble() is None)
    assert "never retrieved" not in caplog.text


async def test_several_refused_commands_leave_no_warning_behind(broker: Broker) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with Bus(broker, "n1") as bus:
        with pytest.raises(BrokerUnavailable, match="refused"):
            await bus.calls(("NOSUCH",), ("NOSUCH",), ("NOSUCH",))
        await bus.call("PING")
        gc.collect()
    assert told == []


async def test_several_commands_get_their_own_replies_whatever_becomes_of_those_before(bus: Bus, prefix: str) -> None:
    key = f"{prefix}:calls"
    refused = asyncio.create_task(bus.calls(("SET", key, "1"), ("NOSUCH",), ("INCR", key)))
    cancelled = asyncio.create_task(bus.calls(("INCR", key), ("INCR", key)))
    after = asyncio.create_task(bus.calls(("GET", key), ("EXISTS", key)))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(BrokerUnavailable, match="NOSUCH"):
        await refused
    assert await after == [b"4", 1]
    assert await bus.call("GET", key) == b"4"
    assert await bus.calls() == []


async def test_a_refused_subscription_fails_and_those_beside_it_hold(own_broker: Broker, prefix: str) -> None:
    heard: list[bytes] = []
    async with Bus(own_broker, "n1") as bus:
        await own_broker.client.execute_command("ACL", "SETUSER", "default", "resetchannels", f"&{prefix}:*")
        first, refused, third = await asyncio.gather(
            bus.subscribe(f"{prefix}:a", heard.append),
            bus.subscribe("foreign", heard.append),
            bus.subscribe(f"{prefix}:b", heard.append),
            return_exceptions=True,
        )
        assert (first, third) == (None, None)
        assert isinstance(refused, BrokerUnavailable)
        assert "NOPERM" in str(refused)
        bus.unsubscribe(f"{prefix}:a")
        with pytest.raises(BrokerUnavailable, match="NOPERM"):
            await bus.subscribe("foreign", heard.append)
        await bus.subscribe(f"{prefix}:c", heard.append)
        for name in "abc":
            await bus.publish(f"{prefix}:{name}", name.encode())
        await eventually(lambda: heard == [b"b", b"c"])


async def test_what_waits_for_a_server_that_does_not_read_is_bounded(
    own_valkey: EmbeddedValkey, own_broker: Broker, prefix: str
) -> None:
    assert own_valkey.process is not None
    payload = bytes(1_048_576)
    async with Bus(own_broker, "n1") as bus:
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        try:
            tasks = [asyncio.create_task(bus.publish(f"{prefix}:a", payload)) for _ in range(40)]
            await asyncio.sleep(0)  # they are in the transport now, which counts like what is on its way there
            await asyncio.sleep(0)
            tasks += [asyncio.create_task(bus.publish(f"{prefix}:a", payload)) for _ in range(40)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert 5 < len([task for task in tasks if task.done()]) < 20
        finally:
            os.kill(own_valkey.process.pid, signal.SIGCONT)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert "64 MiB" in str(outcomes[-1])
        await eventually(lambda: bus.trouble() is None)
        assert await bus.publish(f"{prefix}:a", payload) == 0
