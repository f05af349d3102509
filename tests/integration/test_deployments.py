"""Two deployments on one Redis under one prefix: the second says so in one line and leaves everything alone."""

import asyncio
from pathlib import Path

import pytest

from bot_worker import worker
from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster
from shared.broker import Broker
from shared.lifecycle import Process, StartError
from shared.nodes import Node, Registration
from shared.settings import load


async def test_a_second_deployment_does_not_start(
    valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    first = Cluster(tmp_path, valkey.url, prefix)
    try:
        await first.node("ws-1")
        before = {key async for key in broker.client.scan_iter(f"{prefix}:*")}
        second = Cluster(tmp_path, valkey.url, prefix, APPS__CHAT__BOT_TOKEN="43:sandbox-other")
        try:
            with pytest.raises(
                StartError, match=rf"redis.prefix '{prefix}' .*ws ws-1 serves app 'chat' with the bot 42, "
            ):
                await second.node("ws-2")
        finally:
            await second.aclose()
        environ = {f"MINI_APPS__{name}": value for name, value in second.settings.items()}
        settings = load(None, {**environ, "MINI_APPS__BOT__PORT": "0"})
        async with asyncio.timeout(20):
            with pytest.raises(StartError, match="another deployment uses it"):
                await worker.serve(Process("bot", drain_seconds=1), settings)
        assert {key async for key in broker.client.scan_iter(f"{prefix}:*")} == before
    finally:
        await first.aclose()


async def test_of_two_that_start_at_once_one_sees_the_other(broker: Broker) -> None:
    nodes = [Node(name, "ws", "", apps=f"app={bot}") for bot, name in enumerate(("a", "b"), start=1)]
    registrations = [Registration(broker, node) for node in nodes]
    outcomes = await asyncio.gather(*(one.__aenter__() for one in registrations), return_exceptions=True)
    assert any(isinstance(outcome, StartError) for outcome in outcomes)
    for registration, outcome in zip(registrations, outcomes, strict=True):
        if not isinstance(outcome, BaseException):
            await registration.__aexit__(None, None, None)
    async with Registration(broker, nodes[0]):
        pass  # who left is nobody's obstacle


async def test_another_bot_for_an_app_is_told_at_once(broker: Broker) -> None:
    async with Registration(broker, Node("a", "ws", "", apps="app=1")) as registration:
        with pytest.raises(StartError, match="bot 1, we with 2"):
            async with Registration(broker, Node("b", "ws", "", apps="app=2")):
                pytest.fail("it was let in")
        await registration.serves("app=2")
        async with Registration(broker, Node("b", "ws", "", apps="app=2")):
            pass
