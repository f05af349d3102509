"""A node that stops: nobody is sent to it, everybody is sent on, and nobody misses a message."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, Page, RunningNode
from shared.broker import Broker
from shared.nodes import live_nodes
from support import eventually
from ws_server.drain import GOODBYES_PER_SECOND, latest_return, pace

ROOM = "long:room"
CLIENTS = 200


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix, WS__MESSAGES_PER_SECOND="0")
    yield cluster
    await cluster.aclose()


def test_the_time_a_drain_takes_grows_with_the_clients_up_to_its_deadline() -> None:
    assert pace(0, 22.5) == 0
    assert pace(500, 22.5) == 0.5
    assert pace(10_000, 22.5) == 10
    assert pace(100_000, 22.5) == 13.5
    for count in (1, 1_000, 10_000, 100_000):
        assert count / max(pace(count, 22.5), latest_return(count)) <= GOODBYES_PER_SECOND


async def test_nobody_is_sent_to_a_node_before_it_sends_the_first_away(cluster: Cluster, broker: Broker) -> None:
    one = await cluster.node("ws-1")
    async with one.user(1) as page:
        await one.stop()
        await page.receive("reconnect")
        assert one.process.troubles() == ["draining"]
        assert [node.draining for node in await live_nodes(broker, "ws")] in ([True], [])
        assert await page.closed() == 4005


class Follower:
    """A client that goes where it is sent, and counts what it gets in the room."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.sent_away: list[float] = []
        self.recovered: list[bool] = []
        self._back: dict[str, Any] = {}

    async def follow(self, first: RunningNode, then: RunningNode, user: int, last: int) -> None:
        node = first
        while last not in self.got:
            async with connect(node.url, max_size=None) as socket, Page(socket) as page:
                await self._enter(page, user)
                wait = await self._listen(page, last)
            await asyncio.sleep(wait)
            node = then

    async def _enter(self, page: Page, user: int) -> None:
        if not self._back:
            self._back["session"] = (await page.login(user))["session"]
            await page.send(type="subscribe", channel=ROOM, id="enter")
            joined = await page.receive("joined", id="enter")
            self._back |= {"offset": joined["offset"], "grant": joined["grant"]}
            return
        position = {"offset": self._back["offset"], "grant": self._back["grant"]}
        await page.send(type="login", app="chat", session=self._back["session"], channels={ROOM: position})
        self.recovered.append((await page.receive("welcome"))["channels"][ROOM]["recovered"])

    async def _listen(self, page: Page, last: int) -> float:
        while True:
            await eventually(lambda: page.messages, seconds=300, what="a message")
            message = page.messages.pop(0)
            if message["type"] == "reconnect":
                self.sent_away.append(message["retry_after"])
                return float(message["retry_after"])
            if message["type"] == "said":
                self.got.append(message["n"])
                self._back["offset"] = message["offset"]
                if message["n"] == last:
                    return 0.0


async def test_everybody_moves_to_another_node_and_gets_every_message_once(cluster: Cluster) -> None:
    one, two = await cluster.node("ws-1"), await cluster.node("ws-2")
    followers = [Follower() for _ in range(CLIENTS)]
    last = 10**9
    async with asyncio.TaskGroup() as group, two.user(1) as page:
        for number, follower in enumerate(followers):
            group.create_task(follower.follow(one, two, 1000 + number, last))

        async def post(count: int) -> None:
            await page.send(type="post", room=ROOM, n=count, id=count)
            await page.receive("reply", id=count)

        count = 0
        while not all(follower.got for follower in followers):
            await post(count := count + 1)
        await one.stop()
        while not all(follower.recovered for follower in followers):
            await post(count := count + 1)
        await post(last)
    for follower in followers:
        assert follower.recovered == [True]
        assert follower.got == [*range(follower.got[0], count + 1), last]
    waits = {wait for follower in followers for wait in follower.sent_away}
    assert len(waits) > CLIENTS / 5, "each has its own time to come back"
    assert max(waits) <= latest_return(CLIENTS)


async def test_who_comes_late_is_sent_on(cluster: Cluster) -> None:
    one = await cluster.node("ws-1", WS__DRAIN_SECONDS="5")
    async with contextlib.AsyncExitStack() as stack:
        first, *_ = [await stack.enter_async_context(one.user(number)) for number in range(30)]
        async with connect(one.url) as raw, Page(raw) as late:
            await late.receive("connect")
            await one.stop()
            assert (await late.receive("reconnect"))["code"] == 4005
        assert await first.closed() == 4005
