"""A node in development tells the sandbox what it and one page say to each other; elsewhere it tells nobody."""

import asyncio
import json
from pathlib import Path

from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster
from shared.broker import Broker


async def test_what_a_page_and_its_node_say_is_told_without_what_lets_somebody_in(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, valkey.url, prefix, GATEWAY__SANDBOX_URL="http://127.0.0.1:8083/")
    try:
        node = await cluster.node("ws-1")
        async with broker.blocking.pubsub() as pubsub, asyncio.timeout(180):
            await pubsub.subscribe(broker.keys.tap)
            told = pubsub.listen()
            assert (await anext(told))["type"] == "subscribe"
            async with node.user(1001) as page:
                await page.send(type="echo", id=7)
                await page.receive("reply", id=7)
                heard = [json.loads((await anext(told))["data"]) for _ in range(4)]

    finally:
        await cluster.aclose()
    welcome, hello, echo, reply = heard
    assert (hello["title"], hello["trace"]) == ("hello", welcome["trace"])
    assert (welcome["title"], welcome["to"], welcome["detail"]["session"]) == ("welcome", "page of 1001", "…")
    assert (echo["title"], echo["from"], echo["to"], echo["detail"]["type"]) == ("echo", "page of 1001", "ws-1", "echo")
    assert (reply["trace"], reply["detail"]["id"]) == (echo["trace"], 7)


async def test_elsewhere_nothing_is_told(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    try:
        node = await cluster.node("ws-1")
        assert node.process.serves.tap is None
    finally:
        await cluster.aclose()
