"""Calls of hooks that are tried again: what was sent once is not sent a second time."""

from collections.abc import AsyncIterator

import pytest

from bot_rig import Rig, message, rig
from support import eventually

ADA = 1001


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        app = {"class": "bot_calls_app:Forgetful", "bot-token": "42:sandbox-bot"}
        made.apps = {"bot": app}
        made.bot_settings["retry-delays"] = [0.05, 0.5, 1, 2, 4]
        yield made


async def _started(deployment: Rig) -> None:
    await deployment.say("hello")
    await eventually(lambda: deployment.listed("sent"))


async def test_a_hook_that_is_tried_again_sends_once(deployment: Rig) -> None:
    async with deployment.worker():
        await _started(deployment)
        await deployment.feed(message(1, ADA, "again 2"))
        await eventually(lambda: _count(deployment, "sent", 4))  # once for hello, three tries
        assert (await deployment.answers()).count("re: again 2") == 1
        sent = await deployment.listed("sent")
        assert len(set(sent[1:])) == 1  # each try got the same message


async def test_the_same_call_twice_in_one_hook_is_two_calls(deployment: Rig) -> None:
    async with deployment.worker():
        await _started(deployment)
        await deployment.feed(message(1, ADA, "twice 1"))
        await eventually(lambda: _count(deployment, "sent", 3))
        assert (await deployment.answers()).count("one") == 2


async def test_a_try_that_leaves_a_call_out_finds_the_others(deployment: Rig) -> None:
    async with deployment.worker():
        await _started(deployment)
        await deployment.feed(message(1, ADA, "skip 1"))
        await eventually(lambda: _count(deployment, "sent", 3))
        answers = await deployment.answers()
        assert answers.count("only the first time") == 1
        assert answers.count("re: skip 1") == 1


async def test_a_call_of_which_nobody_knows_is_not_waited_for(deployment: Rig) -> None:
    """Each further try would find the same; meanwhile the chat would stand still."""
    async with deployment.worker():
        await _started(deployment)
        await deployment.fault(kind="error", code=502, method="sendMessage")
        await deployment.feed(message(1, ADA, "careless"), message(2, ADA, "next"))
        await eventually(lambda: _count(deployment, "sent", 2))
        [letter] = await deployment.dead()
        assert (letter["error"], letter["tries"]) == ("OutcomeUnknown", "1")
        assert await deployment.broker.client.get(deployment.keys.own("tries:careless")) == b"1"


async def test_what_only_asks_is_asked_again_and_not_kept(deployment: Rig) -> None:
    async with deployment.worker():
        await _started(deployment)
        await deployment.feed(message(1, ADA, "ask 1"))
        await eventually(lambda: _count(deployment, "asked", 2))
        kept = [key async for key in deployment.broker.client.scan_iter(f"{deployment.keys.call_done('1-')}*")]
        assert len(kept) == 1  # that of sendMessage


async def test_another_worker_finds_what_a_killed_one_has_sent(deployment: Rig) -> None:
    first = deployment.start_worker()
    await eventually(deployment.runs, seconds=300)
    await _started(deployment)
    await deployment.feed(message(1, ADA, "die"))
    await eventually(lambda: first.poll() is not None, seconds=300, what="the worker's end")
    assert (await deployment.answers()).count("re: die") == 1
    async with deployment.worker():
        await eventually(lambda: _count(deployment, "sent", 3), seconds=300)
        assert (await deployment.answers()).count("re: die") == 1
        sent = await deployment.listed("sent")
        assert sent[1] == sent[2]


async def test_a_hook_that_is_cut_off_in_a_call_does_not_send_twice(deployment: Rig) -> None:
    deployment.bot_settings["hook-timeout"] = 1
    async with deployment.worker():
        await _started(deployment)
        await deployment.fault(kind="slow", method="sendMessage", seconds=1.5)
        await deployment.feed(message(1, ADA, "late"))
        await eventually(lambda: _count(deployment, "sent", 2))
        assert (await deployment.answers()).count("re: late") == 1


async def test_what_may_have_been_sent_stays_unknown_for_each_try(deployment: Rig) -> None:
    async with deployment.worker():
        await _started(deployment)
        await deployment.fault(kind="cut", method="sendMessage")
        await deployment.feed(message(1, ADA, "doubt 2"))
        await eventually(lambda: _count(deployment, "unknown", 3))
        assert await deployment.listed("unknown") == ["doubt 2"] * 3
        assert (await deployment.answers()).count("re: doubt 2") == 1


async def test_a_refusal_is_no_result_that_is_kept(deployment: Rig) -> None:
    async with deployment.worker():
        await deployment.feed(message(1, ADA, "early"))  # nobody has started the bot yet
        await eventually(lambda: deployment.broker.client.get(deployment.keys.own("tries:early")))
        await deployment.say("hello")
        await eventually(lambda: _count(deployment, "sent", 2))
        assert (await deployment.answers()).count("re: early") == 1


async def _count(deployment: Rig, name: str, wanted: int) -> bool:
    return len(await deployment.listed(name)) >= wanted
