"""Channels with history on real nodes: who comes back with a position misses nothing and gets nothing twice."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, Page, RunningNode
from shared.broker import Broker
from support import eventually

ROOM = "kept:room"


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix, WS__MESSAGES_PER_SECOND="0")
    yield cluster
    await cluster.aclose()


@pytest.fixture
async def one(cluster: Cluster) -> RunningNode:
    return await cluster.node("ws-1")


@pytest.fixture
async def two(cluster: Cluster, one: RunningNode) -> RunningNode:
    return await cluster.node("ws-2")


async def _enter(page: Page, room: str = ROOM, **position: Any) -> dict[str, Any]:
    await page.send(type="subscribe", channel=room, id="enter", **position)
    return await page.receive("joined", id="enter")


async def _post(page: Page, numbers: range, room: str = ROOM) -> list[int]:
    offsets = []
    for number in numbers:
        await page.send(type="post", room=room, n=number, id=f"p{number}")
        offsets.append((await page.receive("reply", id=f"p{number}"))["data"])
    return offsets


def _numbers(page: Page, room: str = ROOM) -> list[int]:
    return [message["n"] for message in page.messages if message["type"] == "said" and message["channel"] == room]


async def _all(page: Page, last: int, room: str = ROOM) -> list[int]:
    await eventually(lambda: last in _numbers(page, room), what=f"message {last}")
    return _numbers(page, room)


async def _back(page: Page, session: str, position: dict[str, Any], room: str = ROOM) -> dict[str, Any]:
    await page.send(type="login", app="chat", session=session, channels={room: position})
    welcome: dict[str, Any] = (await page.receive("welcome"))["channels"].get(room)
    return welcome


async def test_live_messages_carry_growing_offsets(one: RunningNode, two: RunningNode) -> None:
    async with one.user(1) as ada, two.user(2) as ben:
        joined = await _enter(ben)
        offsets = await _post(ada, range(5))
        assert await _all(ben, 4) == [0, 1, 2, 3, 4]
        seen = [message["offset"] for message in ben.messages if message["type"] == "said"]
        assert seen == offsets == sorted(set(offsets))
        assert joined["offset"] < offsets[0]


async def test_coming_back_to_another_node_brings_what_was_missed_then_what_is_live(
    one: RunningNode, two: RunningNode
) -> None:
    async with one.user(1) as ada:
        async with one.page() as ben:
            session = (await ben.login(2))["session"]
            grant = (await _enter(ben))["grant"]
            await _post(ada, range(3))
            await _all(ben, 2)
            position = {"offset": ben.messages[-1]["offset"], "grant": grant}
        await _post(ada, range(3, 10))
        async with two.page() as ben:
            told = await _back(ben, session, position)
            assert told["recovered"] is True
            assert told["offset"] == position["offset"]
            assert "grant" in told
            await _post(ada, range(10, 13))
            assert await _all(ben, 12) == list(range(3, 13))


@pytest.mark.parametrize(
    ("room", "offset", "reason"),
    [("brief:room", None, "too old"), (ROOM, 12345, "too old"), (ROOM, 2**52, "unknown position")],
)
async def test_a_gap_is_said_and_why(one: RunningNode, room: str, offset: int | None, reason: str) -> None:
    async with one.user(1) as ada, one.page() as ben:
        session = (await ben.login(2))["session"]
        joined = await _enter(ben, room)
        await _post(ada, range(9), room)
        async with one.page() as again:
            told = await _back(again, session, {"offset": offset or joined["offset"]}, room)
            assert (told["recovered"], told["reason"]) == (False, reason)
            await _post(ada, range(9, 11), room)
            assert await _all(again, 10, room) == [9, 10]


async def test_too_much_is_not_replayed(cluster: Cluster) -> None:
    node = await cluster.node("ws-1", WS__RECOVERY_MAX_BYTES="200")
    async with node.user(1) as ada, node.page() as ben:
        session = (await ben.login(2))["session"]
        joined = await _enter(ben)
        await _post(ada, range(20))
        async with node.page() as again:
            told = await _back(again, session, {"offset": joined["offset"]})
            assert (told["recovered"], told["reason"]) == (False, "too much")


async def test_subscribing_again_with_a_position_recovers_too(one: RunningNode) -> None:
    async with one.user(1) as ada, one.user(2) as ben:
        await _enter(ben)
        offsets = await _post(ada, range(4))
        await _all(ben, 3)
        await ben.send(type="unsubscribe", channel=ROOM)
        await ben.receive("left")
        ben.messages.clear()
        await _post(ada, range(4, 6))
        joined = await _enter(ben, offset=offsets[1])
        assert joined["recovered"] is True
        assert await _all(ben, 5) == [2, 3, 4, 5]


async def test_a_grant_lets_in_where_the_app_would_not_and_can_be_revoked(cluster: Cluster, one: RunningNode) -> None:
    other = await cluster.node("ws-3", APPS__CHAT__CLASS="chat_app:Strict")
    async with one.page() as ben, one.user(1) as ada:
        session = (await ben.login(2))["session"]
        joined = await _enter(ben)
        position = {"offset": joined["offset"], "grant": joined["grant"]}
        async with other.page() as page:
            assert (await _back(page, session, position))["recovered"] is True
        async with other.page() as page:
            assert await _back(page, session, {**position, "grant": "1." + "x" * 43}) is None
        await ada.send(type="dismiss", user=2, room=ROOM)
        await ben.receive("left")
        async with other.page() as page:
            assert await _back(page, session, position) is None


async def test_a_revoke_voids_the_grants_of_every_channel(cluster: Cluster, one: RunningNode) -> None:
    other = await cluster.node("ws-3", APPS__CHAT__CLASS="chat_app:Strict")
    async with one.page() as ben, one.user(1) as ada:
        await ben.login(2)
        joined = await _enter(ben)
        position = {"offset": joined["offset"], "grant": joined["grant"]}
        async with other.page() as page:
            assert ROOM in (await page.login(2, channels={ROOM: position}))["channels"]
        await ada.send(type="revoke", user=2)
        assert await ben.closed() == 4006
        async with other.page() as page:
            assert (await page.login(2, channels={ROOM: position}))["channels"] == {}


async def test_a_repeat_under_the_same_id_is_not_appended_twice(one: RunningNode) -> None:
    async with one.user(1) as ada:
        await _enter(ada)
        for number in (1, 2):
            await ada.send(type="post", room=ROOM, n=7, key="same", id=number)
        first, second = [(await ada.receive("reply", id=number))["data"] for number in (1, 2)]
        assert first == second
        await _post(ada, range(8, 9))
        assert await _all(ada, 8) == [7, 8]


async def test_history_can_be_read_by_the_app(one: RunningNode) -> None:
    async with one.user(1) as ada:
        offsets = await _post(ada, range(4))
        await ada.send(type="look", room=ROOM, since=offsets[1], id=1)
        kept = (await ada.receive("reply", id=1))["data"]
        assert [(m["n"], m["offset"], m["channel"]) for m in kept] == [(2, offsets[2], ROOM), (3, offsets[3], ROOM)]


async def test_a_node_that_missed_a_message_reads_it_from_the_stream(one: RunningNode, broker: Broker) -> None:
    """A message appended but never published is what a lost pub/sub message looks like to a node."""
    keys = broker.keys.app("chat")
    async with one.user(1) as ada:
        await _enter(ada)
        offsets = await _post(ada, range(1))
        lost = offsets[0] + 1
        await broker.client.xadd(keys.channel_stream(ROOM), {"data": _said(1), "prev": offsets[0]}, id=f"{lost}-0")
        await broker.client.hset(keys.channel_meta(ROOM), "last", lost)
        await _post(ada, range(2, 4))
        assert await _all(ada, 3) == [0, 1, 2, 3]


async def test_a_tail_that_a_failover_lost_is_announced_and_never_looks_like_a_recovery(
    one: RunningNode, broker: Broker
) -> None:
    keys = broker.keys.app("chat")
    async with one.user(1) as ada, one.page() as ben:
        session = (await ben.login(2))["session"]
        await _enter(ada)
        await _enter(ben)
        offsets = await _post(ada, range(3))
        await _all(ben, 2)
        await broker.client.xdel(keys.channel_stream(ROOM), f"{offsets[2]}-0")
        await broker.client.hset(keys.channel_meta(ROOM), "last", offsets[1])
        await _post(ada, range(3, 4))
        assert (await ada.receive("resync", channel=ROOM))["reason"] == "unknown position"
        await _post(ada, range(4, 5))
        assert await _all(ada, 4) == [0, 1, 2, 4]
        async with one.page() as again:
            told = await _back(again, session, {"offset": offsets[2]})
            assert (told["recovered"], told["reason"]) == (False, "unknown position")


async def test_two_messages_share_no_offset_though_both_servers_clocks_are_behind(
    one: RunningNode, broker: Broker
) -> None:
    keys = broker.keys.app("chat")
    async with one.user(1) as ada, one.page() as ben:
        session = (await ben.login(2))["session"]
        future = 1_000_000 * int(time.time() + 3600)
        await broker.client.hset(keys.channel_meta(ROOM), "last", future)
        await _enter(ben)
        offsets = await _post(ada, range(3))
        assert future < offsets[0] < offsets[1] < offsets[2]
        entries: Any = await broker.client.xrange(keys.channel_stream(ROOM))
        await broker.client.delete(keys.channel_stream(ROOM))
        for entry, fields in entries[:2]:  # as a replica has it that did not get the last one
            await broker.client.xadd(keys.channel_stream(ROOM), fields, id=entry)
        await broker.client.hset(keys.channel_meta(ROOM), "last", offsets[1])
        (offset,) = await _post(ada, range(3, 4))
        assert offsets[1] < offset != offsets[2]
        async with one.page() as again:
            assert (await _back(again, session, {"offset": offsets[2]}))["recovered"] is False


async def test_members_miss_nothing_when_the_brokers_connection_breaks(
    own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, own_valkey.url, prefix, WS__MESSAGES_PER_SECOND="0")
    try:
        one, two = await cluster.node("ws-1"), await cluster.node("ws-2")
        async with one.user(1) as ada, two.user(2) as ben:
            await _enter(ben)
            await _post(ada, range(3))
            own_valkey.kill()
            await eventually(lambda: one.process.troubles() and two.process.troubles(), what="both telling of it")
            own_valkey.start()
            await eventually(lambda: not one.process.troubles(), what="readiness of the first")
            await _post(ada, range(3, 6))
            assert await _all(ben, 5) == list(range(6))
            assert ROOM not in [m.get("channel") for m in ben.messages if m["type"] == "resync"]
    finally:
        await cluster.aclose()


async def test_clients_that_come_and_go_all_the_time_end_with_everything_once(
    one: RunningNode, two: RunningNode
) -> None:
    """Members reconnect at random to random nodes while messages are published in waves the history can hold."""
    waves, size, draw = 12, 40, random.Random(11)
    got: dict[int, list[int]] = {user: [] for user in range(100, 130)}

    async def member(user: int) -> None:
        async with one.page() as page:
            session = (await page.login(user))["session"]
            position = (await _enter(page))["offset"]
        inside.append(user)
        while len(got[user]) < waves * size:
            async with draw.choice((one, two)).page() as page:
                told = await _back(page, session, {"offset": position})
                assert told["recovered"] is True, told
                wanted = min(draw.randint(1, 30), waves * size - len(got[user]))
                await eventually(lambda page=page, wanted=wanted: len(_numbers(page)) >= wanted, what="messages")
                for message in page.messages:
                    if message["type"] == "said":
                        got[user].append(message["n"])
                        position = message["offset"]

    inside: list[int] = []
    async with asyncio.TaskGroup() as group, one.user(1) as ada:
        for user in got:
            group.create_task(member(user))
        await eventually(lambda: len(inside) == len(got), what="everybody inside")
        for wave in range(waves):
            numbers = range(wave * size, (wave + 1) * size)
            await asyncio.gather(*(ada.send(type="post", room=ROOM, n=number) for number in numbers))
            # 50 messages are kept, so a wave goes out when everybody has nearly all of the one before.
            await eventually(lambda end=numbers.stop: min(map(len, got.values())) >= end - 30, what=f"wave {wave}")
    for numbers in got.values():
        assert numbers == list(range(waves * size))


def _said(number: int) -> bytes:
    return b'{"type":"said","n":%d,"channel":"kept:room"}' % number
