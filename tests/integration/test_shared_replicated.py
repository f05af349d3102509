"""Writes that count only once a replica has them, with a real replica that may freeze."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from mini_apps.embedded import EmbeddedValkey
from shared import history
from shared.broker import Broker
from shared.bus import Bus
from shared.bus_frames import Message
from shared.calls import CallEntry, CallQueue
from shared.replicated import NotReplicated
from shared.settings import RedisSettings
from shared.updates import UpdateLog
from support import eventually

ROOM = "kept:room"


@pytest.fixture
def replica(own_valkey: EmbeddedValkey, tmp_path: Path) -> Iterator[EmbeddedValkey]:
    folder = tmp_path / "replica"
    folder.mkdir()
    with EmbeddedValkey(folder) as server:
        yield server


@pytest.fixture
async def broker(own_valkey: EmbeddedValkey, replica: EmbeddedValkey, prefix: str) -> AsyncIterator[Broker]:
    settings = RedisSettings.model_validate({"url": own_valkey.url, "prefix": prefix, "wait_replicas": 1})
    async with (
        Broker(settings) as opened,
        Broker(RedisSettings.model_validate({"url": replica.url, "prefix": prefix})) as copy,
    ):
        await opened.client.execute_command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        await copy.client.execute_command("REPLICAOF", "127.0.0.1", own_valkey.port)

        async def follows() -> bool:
            return bool((await copy.client.info("replication"))["master_link_status"] == "up")

        await eventually(follows, what="the replica following")
        yield opened


@contextlib.contextmanager
def _frozen(server: EmbeddedValkey) -> Iterator[None]:
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


async def _publish(bus: Bus, broker: Broker, number: int) -> int:
    message = Message(b'{"n":%d}' % number)
    return await history.publish(bus, broker.keys.app("chat"), ROOM, message, size=50, ttl=60, id_=f"p{number}")


async def test_a_publish_counts_once_a_replica_has_it(broker: Broker, replica: EmbeddedValkey) -> None:
    async with Bus(broker, "n1") as bus, Redis.from_url(replica.url) as copy:
        offsets = await asyncio.gather(*(_publish(bus, broker, number) for number in range(200)))
        assert offsets == sorted(set(offsets))
        keys = broker.keys.app("chat")
        assert await copy.xlen(keys.channel_stream(ROOM)) == 50
        last = await copy.hget(keys.channel_meta(ROOM), "last")
        assert int(last or 0) == offsets[-1]


async def test_what_no_replica_confirms_fails_and_may_be_repeated(broker: Broker, replica: EmbeddedValkey) -> None:
    async with Bus(broker, "n1") as bus:
        with _frozen(replica):
            writes = [asyncio.create_task(_publish(bus, broker, number)) for number in range(3)]
            for _ in range(20):  # what need not be replicated goes on meanwhile
                await bus.publish("x", b"x")
            assert not any(write.done() for write in writes)
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            assert all(isinstance(outcome, NotReplicated) for outcome in outcomes), outcomes
            assert bus.trouble() is None
        repeated = [await _publish(bus, broker, number) for number in range(3)]
        assert repeated == sorted(set(repeated))
        kept = await history.kept(bus, broker.keys.app("chat"), ROOM, 0, 10)
        assert [entry.offset for entry in kept] == repeated, "nothing was appended twice"


async def test_updates_and_calls_wait_for_a_replica_too(broker: Broker, replica: EmbeddedValkey) -> None:
    async with Bus(broker, "n1") as bus:
        log = UpdateLog(broker, bus, 4)
        assert await log.append("chat", {"update_id": 1}, "webhook")
        calls = CallQueue(bus, broker.keys.app("chat"))
        await calls.submit(CallEntry("c1", "sendMessage", {}), 60)
        with _frozen(replica):
            with pytest.raises(NotReplicated):
                await log.append("chat", {"update_id": 2}, "webhook")
            with pytest.raises(NotReplicated):
                await calls.submit(CallEntry("c2", "sendMessage", {}), 60)
        assert not await log.append("chat", {"update_id": 2}, "webhook"), "it was taken the first time"


async def test_a_broken_connection_fails_what_waits_and_is_made_again(
    own_valkey: EmbeddedValkey, broker: Broker, replica: EmbeddedValkey
) -> None:
    async with Bus(broker, "n1") as bus:
        with _frozen(replica):
            write = asyncio.create_task(_publish(bus, broker, 1))
            await bus.publish("x", b"x")
            await broker.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            (outcome,) = await asyncio.gather(write, return_exceptions=True)
            assert isinstance(outcome, Exception)
        await eventually(lambda: bus.trouble() is None, what="the bus being back")

        async def goes() -> bool:
            with contextlib.suppress(NotReplicated):
                return await _publish(bus, broker, 2) > 0
            return False

        await eventually(goes, what="a publish that a replica confirmed")
