"""Redis goes away and comes back, workers die, settings disagree."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import RedisError

from bot_rig import LANES, Rig, message, rig
from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.lifecycle import StartError
from shared.settings import load
from support import eventually


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def test_redis_restarts_and_everything_resumes(own_valkey: EmbeddedValkey, tmp_path) -> None:
    (tmp_path / "broker.toml").write_text("")
    redis = load(tmp_path / "broker.toml", {"MINI_APPS__REDIS__URL": own_valkey.url}).redis
    async with Broker(redis) as broker, rig(broker, tmp_path) as deployment, deployment.worker() as process:
        await eventually(deployment.runs)
        await deployment.feed(message(1, 5, "before"))
        await eventually(lambda: deployment.listed("done"))
        own_valkey.kill()
        await eventually(lambda: process.troubles() != [], what="readiness to fail")
        await deployment.say("meanwhile")  # waits at Telegram
        own_valkey.start()
        await eventually(lambda: process.troubles() == [], what="readiness to come back")

        async def both() -> bool:
            try:
                return "1001:meanwhile" in await deployment.listed("done")
            except ConnectionError:
                return False

        await eventually(both, seconds=300)
        await deployment.feed(message(2, 5, "after"))

        async def all_three() -> bool:
            return len(await deployment.listed("done")) == 3

        await eventually(all_three, seconds=300)


async def test_a_redis_that_forgot_an_acknowledgement_is_told_it_again(own_valkey: EmbeddedValkey, tmp_path) -> None:
    (tmp_path / "broker.toml").write_text("")
    redis = load(tmp_path / "broker.toml", {"MINI_APPS__REDIS__URL": own_valkey.url}).redis
    before, now = tmp_path / "before", own_valkey.folder / "appendonlydir"
    async with Broker(redis) as broker, rig(broker, tmp_path) as deployment:
        broker.lease_seconds = 60  # the lanes stay with their owner
        async with deployment.worker():
            await eventually(deployment.runs)
            await deployment.feed(message(1, 5, "wait for it"))
            await eventually(lambda: deployment.listed("tried"))
            shutil.copytree(now, before)
            await broker.client.rpush(deployment.keys.own("go"), "go")

            async def acknowledged() -> bool:
                return await deployment.waiting() == 0

            await eventually(acknowledged)
            own_valkey.kill()
            shutil.rmtree(now)
            shutil.copytree(before, now)
            own_valkey.start()

            async def known() -> bool:
                try:
                    return await acknowledged()
                except RedisError:
                    return False

            await eventually(known)
            await deployment.feed(message(2, 5, "after"))
            await eventually(lambda: deployment.listed("done"))
            assert len(await deployment.listed("tried")) == 2  # neither was tried again


async def test_server_tasks_move_when_their_worker_is_killed(deployment: Rig) -> None:
    deployment.apps = {"silent": {"class": "bot_apps:Tasked"}}
    first = deployment.start_worker()
    [run] = await eventually(lambda: deployment.listed("runs", "silent"), seconds=300)
    assert run == f"{first.pid}:1"
    second = deployment.start_worker()
    await eventually(lambda: b"ready" in (deployment.path / "worker-1.log").read_bytes(), seconds=300)
    assert await deployment.listed("runs", "silent") == [run]
    first.send_signal(signal.SIGKILL)

    async def moved() -> bool:
        return len(await deployment.listed("runs", "silent")) == 2

    await eventually(moved)
    assert (await deployment.listed("runs", "silent"))[1] == f"{second.pid}:2"
    second.send_signal(signal.SIGTERM)
    assert second.wait(90) == 0


async def test_a_worker_that_counts_lanes_differently_does_not_start(deployment: Rig) -> None:
    await deployment.broker.client.set(deployment.keys.lanes, LANES + 3)
    with pytest.raises(StartError, match=rf"bot\.lanes = {LANES + 3}"):
        async with deployment.worker():
            pass


async def test_a_taken_health_port_is_one_clear_line(deployment: Rig) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    deployment.bot_settings["port"] = port
    with pytest.raises(StartError, match=rf"bot: 127\.0\.0\.1:{port} is already in use; choose another with bot\.port"):
        async with deployment.worker():
            pass
    server.close()


async def test_the_surviving_worker_speaks_for_the_bot(deployment: Rig) -> None:
    async with deployment.worker():
        await eventually(deployment.runs)
        mine = (await deployment.status())["worker"]
        fields = {"status": "running", "worker": "bot-dead"}
        await deployment.broker.client.hset(deployment.keys.bot, mapping=fields)  # as a worker killed since left it

        async def taken_over() -> bool:
            return (await deployment.status())["worker"] == mine

        await eventually(taken_over)
