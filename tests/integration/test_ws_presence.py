"""Presence on real nodes: one user once, no false leaves, no ghosts, whoever dies or freezes."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, Page, RunningNode
from shared.broker import Broker
from shared.nodes import live_nodes
from shared.settings import load
from support import TOKEN, eventually
from ws_server.node import Node

ROOM = "room:1"
HALL = "hall"
ADA, BEN, CID = 1001, 1002, 1003
LEASE = 3.0
GRACE = 1.0
LONG = 600.0
ROOT = Path(__file__).parents[2]


def _settings(grace: float) -> dict[str, str]:
    return {
        "APPS__CHAT__CLASS": "presence_app:Present",
        "REDIS__LEASE_SECONDS": f"{LEASE:g}",
        "WS__PRESENCE_GRACE": f"{grace:g}",
    }


@contextlib.asynccontextmanager
async def _nodes(
    valkey: EmbeddedValkey, prefix: str, folder: Path, grace: float = GRACE
) -> AsyncIterator[tuple[RunningNode, RunningNode]]:
    cluster = Cluster(folder, valkey.url, prefix, **_settings(grace))
    try:
        yield await cluster.node("ws-1"), await cluster.node("ws-2")
    finally:
        await cluster.aclose()


async def _enter(page: Page, room: str = ROOM) -> None:
    await page.send(type="subscribe", channel=room, id="enter")
    await page.receive("joined", id="enter")


async def _who(page: Page, room: str = ROOM) -> list[int]:
    await page.send(type="who", room=room, id="who")
    answer: list[int] = (await page.receive("reply", id="who"))["data"]
    return answer


def _news(page: Page) -> list[tuple[str, int]]:
    return [(m["event"], m["user"]["telegram_id"]) for m in page.messages if m["type"] == "presence"]


async def _hear(page: Page, event: str, user: int) -> dict[str, Any]:
    """Wait for the news, and take everything up to it out; it must be the first of its kind."""

    def found() -> bool:
        return (event, user) in _news(page)

    await eventually(found, seconds=300, what=f"{event} of {user}")
    return await page.receive("presence", event=event)


async def _holder(broker: Broker, user: int, room: str = ROOM) -> str:
    raw: Any = await broker.client.hget(broker.keys.app("chat").holders(room), str(user))
    return (raw or b"").decode()


async def _let_go(broker: Broker, user: int) -> None:
    async def gone() -> bool:
        return (await _holder(broker, user)).startswith("leaves ")

    await eventually(gone, seconds=300, what=f"the grace of {user}")


async def _offline(broker: Broker) -> list[int]:
    return [int(raw) for raw in await broker.client.lrange(broker.keys.app("chat").own("offline"), 0, -1)]


async def _nothing_left(broker: Broker) -> bool:
    """Whether Redis holds no trace of anybody."""
    base = broker.keys.app("chat").base
    found = [key.decode().removeprefix(base) async for key in broker.client.scan_iter(f"{base}*")]
    return not [key for key in found if key.startswith(("presence:", "holders:", "holds:", "{online}", "leaving"))]


async def test_a_user_is_counted_once_over_tabs_and_nodes(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async with _nodes(valkey, prefix, tmp_path) as (one, two), one.user(ADA) as ada:
        await _enter(ada)
        assert await _who(ada) == [ADA]
        async with two.user(BEN) as first:
            await _enter(first)
            join = await _hear(ada, "join", BEN)
            assert join == {
                "type": "presence",
                "channel": ROOM,
                "event": "join",
                "user": {"telegram_id": BEN, "name": f"User {BEN}", "is_admin": False},
            }
            async with one.user(BEN) as second:
                await _enter(second)
                assert await _who(second) == await _who(ada) == [ADA, BEN]
            async with two.user(CID) as cid:  # whose coming and going shows that Ben's tab went unannounced
                await _enter(cid)
                await _hear(ada, "join", CID)
            await _hear(ada, "leave", CID)
            assert _news(ada) == []
            assert [news for news in _news(first) if news[1] == BEN] == []
            await eventually(lambda: _went(broker, CID), what="on_user_offline")
            assert await _offline(broker) == [CID]
        await _hear(ada, "leave", BEN)
        assert await _who(ada) == [ADA]
        await eventually(lambda: _went(broker, BEN), what="on_user_offline")
        assert await _offline(broker) == [CID, BEN]


async def _went(broker: Broker, user: int) -> bool:
    return user in await _offline(broker)


async def test_who_leaves_by_themselves_leave_at_once(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async with _nodes(valkey, prefix, tmp_path, LONG) as (one, two), one.user(ADA) as ada, two.user(BEN) as ben:
        for room in (ROOM, "both:1"):
            await _enter(ada, room)
            await _enter(ben, room)
            await _hear(ada, "join", BEN)
            await ben.send(type="unsubscribe", channel=room)
            news = await _hear(ada, "leave", BEN)
            assert news["channel"] == room
            assert "offset" not in news
            assert await _who(ada, room) == [ADA]
        assert await _offline(broker) == []


async def test_a_channel_of_thousands_is_counted_and_nobody_is_told_of_each(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async with _nodes(valkey, prefix, tmp_path, LONG) as (one, two), one.user(ADA) as ada, two.user(BEN) as ben:
        await _enter(ada, HALL)
        await _enter(ben, HALL)
        assert await _count(ada) == await _count(ben) == 2
        assert await _who(ada, HALL) == [ADA, BEN]
        await ben.send(type="unsubscribe", channel=HALL)
        await eventually(lambda: _counts(ada, 1), what="Ben leaving")
        await _enter(ben)
        await _enter(ada)
        await ben.send(type="unsubscribe", channel=ROOM)
        await _hear(ada, "leave", BEN)
        assert [m for m in ada.messages if m.get("channel") == HALL] == []


async def _count(page: Page) -> int:
    await page.send(type="count", room=HALL, id="count")
    return int((await page.receive("reply", id="count"))["data"])


async def _counts(page: Page, number: int) -> bool:
    return await _count(page) == number


async def test_a_phone_that_comes_back_to_another_node_in_time_never_left(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async with _nodes(valkey, prefix, tmp_path, 3.0) as (one, two), one.user(ADA) as ada:
        await _enter(ada)
        async with one.user(BEN) as ben, one.user(CID) as cid:
            await _enter(ben)
            await _enter(cid)
        await _let_go(broker, BEN)
        assert BEN in await _who(ada)
        async with two.user(BEN) as ben:
            await _enter(ben)
            await _hear(ada, "join", BEN)
            await _hear(ada, "leave", CID)  # who left together with Ben
            assert _news(ada) == [("join", CID)]
            assert await _who(ada) == [ADA, BEN]


async def test_the_last_node_takes_everybody_along(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What a stopped deployment leaves behind, the next one clears."""
    async with _nodes(valkey, prefix, tmp_path) as (one, _), one.user(ADA) as ada:
        await _enter(ada)
        await one.stop()
        assert await ada.closed() == 4005
    async with _nodes(valkey, prefix, tmp_path):
        await eventually(lambda: _nothing_left(broker), seconds=300, what="the end of every trace")
    assert await _offline(broker) == [ADA]


@contextlib.contextmanager
def _process(valkey: EmbeddedValkey, prefix: str, folder: Path) -> Any:
    """Run a node as a process of its own."""
    content = {
        "redis": {"url": valkey.url, "prefix": prefix, "lease-seconds": LEASE},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/users.sqlite"},
        "ws": {"port": 0, "node-id": "victim", "presence-grace": GRACE},
        "apps": {"chat": {"class": "presence_app:Present", "bot-token": TOKEN}},
    }
    file = folder / "victim.json"
    file.write_text(json.dumps(content))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    with (folder / "victim.log").open("wb") as log:
        command = [sys.executable, "-m", "ws_server", "--settings", str(file)]
        process = subprocess.Popen(command, env=env, cwd=folder, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _address(broker: Broker, process: subprocess.Popen[bytes]) -> str:
    async def found() -> str | None:
        assert process.poll() is None
        return next((node.address for node in await live_nodes(broker, "ws") if node.id == "victim"), None)

    address: str = await eventually(found, seconds=300, what="the process's address")
    return address


async def test_the_users_of_a_killed_node_leave_and_those_who_found_another_stay(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async with _nodes(valkey, prefix, tmp_path) as (one, two), one.user(ADA) as ada:
        await _enter(ada)
        with _process(valkey, prefix, tmp_path) as process:
            victim = RunningNode(one.process, await _address(broker, process))
            async with victim.user(BEN) as ben, victim.user(CID) as cid:
                await _enter(ben)
                await _enter(cid)
                await _hear(ada, "join", BEN)
                await _hear(ada, "join", CID)
                process.kill()
                await ben.closed()
            async with two.user(CID) as cid:
                await _enter(cid)
                await _hear(ada, "leave", BEN)
                await eventually(lambda: _went(broker, BEN), what="on_user_offline")
                assert await _who(ada) == [ADA, CID]
                assert _news(ada) == []
                assert await _offline(broker) == [BEN]
            await _hear(ada, "leave", CID)
        holds = [key async for key in broker.client.scan_iter(f"{broker.keys.app('chat').base}holds:victim*")]
        assert holds == []


async def test_a_node_that_slept_longer_than_its_lease_finds_its_users_again(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async with _nodes(valkey, prefix, tmp_path) as (one, _), one.user(ADA) as ada:
        await _enter(ada)
        with _process(valkey, prefix, tmp_path) as process:
            victim = RunningNode(one.process, await _address(broker, process))
            async with victim.user(BEN) as ben:
                await _enter(ben)
                await _hear(ada, "join", BEN)
                process.send_signal(signal.SIGSTOP)
                await _hear(ada, "leave", BEN)
                process.send_signal(signal.SIGCONT)
                await _hear(ada, "join", BEN)
                assert await _who(ben) == [ADA, BEN]
            await _hear(ada, "leave", BEN)


async def test_a_frozen_redis_makes_nobody_leave(own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    async with _nodes(own_valkey, prefix, tmp_path) as (one, two), one.user(ADA) as ada, two.user(BEN) as ben:
        await _enter(ada)
        await _enter(ben)
        await _hear(ada, "join", BEN)
        async with two.user(CID) as cid:
            await _enter(cid)
            await _hear(ada, "join", CID)
            os.kill(own_valkey.process.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(2 * (LEASE + GRACE))  # the fault itself: longer than any lease
            finally:
                os.kill(own_valkey.process.pid, signal.SIGCONT)
            for node in (one, two):
                await eventually(lambda node=node: not node.process.troubles(), seconds=300, what="readiness")
            await ada.receive("resync", channel=ROOM)
        await _hear(ada, "leave", CID)  # comes after the leases that expired meanwhile would have been noticed
        assert _news(ada) == []
        assert await _who(ada) == await _who(ben) == [ADA, BEN]
        async with Broker(load(None, _redis(own_valkey, prefix)).redis) as broker:
            await eventually(lambda: _went(broker, CID), what="on_user_offline")
            assert await _offline(broker) == [CID]


async def test_a_redis_that_lost_everything_learns_it_anew(
    own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    async with _nodes(own_valkey, prefix, tmp_path, LONG) as (one, two), one.user(ADA) as ada, two.user(BEN) as ben:
        await _enter(ada)
        await _enter(ben)
        async with Broker(load(None, _redis(own_valkey, prefix)).redis) as broker:
            await broker.client.flushall()
            await broker.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

            async def found() -> bool:
                return bool(await _holder(broker, ADA) and await _holder(broker, BEN))

            await eventually(found, seconds=300, what="both users")


async def test_clients_learn_that_news_may_be_missing(own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    async with _nodes(own_valkey, prefix, tmp_path) as (one, _), one.user(ADA) as ada:
        for room in (ROOM, "both:1", "kept:1", HALL):
            await _enter(ada, room)
        async with Broker(load(None, _redis(own_valkey, prefix)).redis) as broker:
            await broker.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert (await ada.receive("resync", channel=ROOM))["reason"] == "broker"
        assert (await ada.receive("resync", channel="both:1"))["reason"] == "presence"
        await eventually(lambda: _answers(ada), what="Redis")
        assert [m for m in ada.messages if m.get("channel") in ("kept:1", HALL)] == []


async def _answers(page: Page) -> bool:
    await page.send(type="who", room=ROOM, id="who")

    def answered() -> list[dict[str, Any]]:
        return [message for message in page.messages if message.get("id") == "who"]

    answers = await eventually(answered)
    page.messages.remove(answers[0])
    return answers[0]["type"] == "reply"


def _redis(valkey: EmbeddedValkey, prefix: str) -> dict[str, str]:
    found = {"REDIS__URL": valkey.url, "REDIS__PREFIX": prefix, **_settings(GRACE)}
    return {f"MINI_APPS__{key}": value for key, value in found.items()}


async def test_who_comes_in_the_moment_after_an_interruption_is_let_in(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path, nodes: list[Node]
) -> None:
    cluster = Cluster(tmp_path, valkey.url, prefix, **_settings(GRACE))
    try:
        node = await cluster.node("ws-1")
        (roster,) = nodes[0].presence._rosters.values()
        roster._vigil.interrupted()  # as when the bus was rebuilt, and the next renewal is still to come
        async with node.user(ADA) as ada, node.user(BEN) as ben:
            await _enter(ada)
            await _enter(ben)
            assert await _who(ben) == [ADA, BEN]
    finally:
        await cluster.aclose()
