"""A task that talks to Redis ends when it is cancelled, whenever that happens."""

import asyncio

import pytest

from shared.broker import Broker


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancellation_is_heeded_at_any_point_of_a_command(broker: Broker, turns: int) -> None:
    async def read() -> None:
        await broker.blocking.xread({"nothing-here": "$"}, block=1500)

    await read_once(broker)  # a connection is there, so that the turns below fall into sending
    task = asyncio.create_task(read())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await broker.blocking.ping() is True  # and no reply is left over for the next command


async def read_once(broker: Broker) -> None:
    await broker.blocking.ping()
