"""The register of live processes."""

import asyncio

import pytest
from redis.exceptions import RedisError

from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.nodes import Node, Registration, live_nodes
from shared.settings import RedisSettings
from support import eventually


def quick(valkey: EmbeddedValkey, prefix: str) -> Broker:
    return Broker(RedisSettings.model_validate({"url": valkey.url, "prefix": prefix, "lease_seconds": 0.6}))


async def test_nobody_there(broker: Broker) -> None:
    assert await live_nodes(broker) == []


async def test_who_is_there_as_what(broker: Broker) -> None:
    first = Node("ws-1", "ws", "ws://a/ws", capacity=10, version="1.0", started=7)
    async with Registration(broker, Node("bot-1", "bot", "http://b")), Registration(broker, first):
        assert await live_nodes(broker) == [Node("bot-1", "bot", "http://b"), first]
        assert await live_nodes(broker, "ws") == [first]
        assert await live_nodes(broker, "gateway") == []
    assert await live_nodes(broker) == []
    assert await broker.client.exists(broker.keys.nodes) == 0


async def test_connections_are_told_at_each_renewal(valkey: EmbeddedValkey, prefix: str) -> None:
    sockets = [1, 2]
    node = Node("ws-1", "ws", "ws://a/ws")
    async with quick(valkey, prefix) as broker, Registration(broker, node, connections=lambda: len(sockets)):
        assert [node.connections for node in await live_nodes(broker)] == [2]
        sockets.append(3)

        async def told() -> bool:
            return [node.connections for node in await live_nodes(broker)] == [3]

        await eventually(told)


async def test_draining(broker: Broker) -> None:
    async with Registration(broker, Node("ws-1", "ws", "ws://a/ws")) as registration:
        assert [node.draining for node in await live_nodes(broker)] == [False]
        await registration.drain()
        assert [node.draining for node in await live_nodes(broker)] == [True]


async def test_a_process_that_died_disappears_and_a_live_one_stays(valkey: EmbeddedValkey, prefix: str) -> None:
    async with quick(valkey, prefix) as broker, Registration(broker, Node("ws-2", "ws", "ws://b/ws")):
        dead = Registration(broker, Node("ws-1", "ws", "ws://a/ws"))
        await dead.__aenter__()
        assert dead._task is not None
        dead._task.cancel()  # as kill -9 would: nothing is renewed, nobody says goodbye

        async def gone() -> bool:
            return [node.id for node in await live_nodes(broker)] == ["ws-2"]

        await eventually(gone)
        await asyncio.sleep(0.7)  # more than a lease, so the other one is there by renewal only
        await eventually(gone)


async def test_the_register_comes_back_after_a_restart_without_data(own_valkey: EmbeddedValkey, prefix: str) -> None:
    async with quick(own_valkey, prefix) as broker, Registration(broker, Node("ws-1", "ws", "ws://a/ws")):
        await broker.client.flushall()

        async def back() -> bool:
            return [node.id for node in await live_nodes(broker)] == ["ws-1"]

        await eventually(back)


async def test_redis_may_be_away_when_one_registers(own_valkey: EmbeddedValkey, prefix: str) -> None:
    async with quick(own_valkey, prefix) as broker:
        own_valkey.kill()
        async with Registration(broker, Node("ws-1", "ws", "ws://a/ws")):
            own_valkey.start()

            async def there() -> bool:
                try:
                    return [node.id for node in await live_nodes(broker)] == ["ws-1"]
                except RedisError:
                    return False

            await eventually(there)


@pytest.mark.parametrize("signal_", ["kill", "stop"])
async def test_leaving_without_redis_says_nothing(own_valkey: EmbeddedValkey, prefix: str, signal_: str) -> None:
    async with quick(own_valkey, prefix) as broker, Registration(broker, Node("ws-1", "ws", "ws://a/ws")):
        getattr(own_valkey, signal_)()
