"""The one connection of the services' own commands."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.settings import RedisSettings
from support import eventually


async def own_id(broker: Broker) -> int:
    return int(await broker.steady.execute_command("CLIENT", "ID"))


async def test_all_go_over_one_connection_in_order(broker: Broker, prefix: str) -> None:
    ids = await asyncio.gather(*(own_id(broker) for _ in range(50)))
    assert len(set(ids)) == 1
    pushed = await broker.together(*(("RPUSH", prefix, number) for number in range(50)))
    assert pushed == list(range(1, 51))
    assert await broker.steady.execute_command("LRANGE", prefix, 0, -1) == [b"%d" % number for number in range(50)]


async def test_a_refusal_is_raised_or_stands_in_the_place_of_its_reply(broker: Broker, prefix: str) -> None:
    commands = (("SET", prefix, "text"), ("INCR", prefix), ("GET", prefix))
    with pytest.raises(ResponseError, match="not an integer"):
        await broker.together(*commands)
    done, refusal, value = await broker.together(*commands, refusals=True)
    assert (done, value) == (b"OK", b"text")
    assert isinstance(refusal, ResponseError)
    with pytest.raises(NoScriptError):
        await broker.steady.execute_command("EVALSHA", "0" * 40, 0)
    assert await broker.together() == []


async def test_a_broken_connection_fails_who_waits_and_is_made_anew(broker: Broker, prefix: str) -> None:
    first = await own_id(broker)
    waiting = asyncio.create_task(broker.steady.execute_command("BLPOP", prefix, 60))

    async def blocked() -> bool:
        return any(int(one["id"]) == first and "b" in one["flags"] for one in await clients(broker))

    await eventually(blocked)
    await broker.client.client_kill_filter(_id=str(first))
    with pytest.raises(RedisConnectionError):
        await waiting
    assert await own_id(broker) != first


async def test_who_gives_up_waiting_does_not_disturb_the_others(broker: Broker, prefix: str) -> None:
    first = await own_id(broker)
    waiting = asyncio.create_task(broker.steady.execute_command("BLPOP", prefix, 60))
    behind = asyncio.create_task(broker.steady.execute_command("ECHO", "behind"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await broker.client.rpush(prefix, "done")  # type: ignore[misc]  # redis-py's hint is for both of its clients
    assert await behind == b"behind"
    assert await own_id(broker) == first


async def test_a_server_with_too_many_clients_is_waited_for(own_valkey: EmbeddedValkey) -> None:
    settings = RedisSettings.model_validate({"url": own_valkey.url, "prefix": "t"})
    async with Broker(settings) as broker:
        await broker.client.config_set("maxclients", 2)  # both are ours
        opening = asyncio.create_task(Broker(settings).__aenter__())

        async def refused() -> bool:
            return int((await broker.client.info("stats"))["rejected_connections"]) > 1

        await eventually(refused)
        assert not opening.done()
        await broker.client.config_set("maxclients", 100)
        other = await asyncio.wait_for(opening, 20)
        await other.__aexit__(None, None, None)


async def clients(broker: Broker) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await broker.client.client_list()
    return found
