"""The inbox of a process: answers of others find who asked, and what may have been missed is said."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker, BrokerUnavailable
from shared.bus import Bus
from shared.inbox import AnswersMissed, Inbox, InboxFull, answer
from shared.settings import RedisSettings
from support import eventually


def _settings(url: str, prefix: str) -> RedisSettings:
    return RedisSettings.model_validate({"url": url, "prefix": prefix})


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[Bus]:
    async with Bus(broker, "n1") as opened:
        yield opened


@pytest.fixture
def inbox(bus: Bus, broker: Broker) -> Inbox:
    return Inbox(bus, broker.keys, "n1")


async def test_an_answer_comes_to_who_asked(inbox: Inbox, bus: Bus, broker: Broker) -> None:
    async with inbox.expect("a") as first, inbox.expect("b") as second:
        assert await answer(bus, broker.keys, "n1", "b", b"two\nlines \x00\xff")
        assert await second == b"two\nlines \x00\xff"
        assert not first.done()
        assert await answer(bus, broker.keys, "n1", "a", b"")
        assert await first == b""


async def test_the_first_answer_counts_and_others_harm_nobody(inbox: Inbox, bus: Bus, broker: Broker) -> None:
    async with inbox.expect("a") as coming:
        await answer(bus, broker.keys, "n1", "a", b"1")
        await answer(bus, broker.keys, "n1", "a", b"2")
        await answer(bus, broker.keys, "n1", "unknown", b"3")
        assert await coming == b"1"
    await answer(bus, broker.keys, "n1", "a", b"late")
    async with inbox.expect("b") as after:  # so the late one was heard
        await answer(bus, broker.keys, "n1", "b", b"4")
        await after
    async with inbox.expect("a") as again:
        await answer(bus, broker.keys, "n1", "a", b"new")
        assert await again == b"new"


async def test_several_may_wait_for_one_answer(inbox: Inbox, bus: Bus, broker: Broker) -> None:
    async with inbox.expect("a") as one, inbox.expect("a") as other:
        await answer(bus, broker.keys, "n1", "a", b"x")
        assert await asyncio.gather(one, other) == [b"x", b"x"]


async def test_many_ask_at_once_over_one_subscription(inbox: Inbox, bus: Bus, broker: Broker) -> None:
    async def ask(number: int) -> bytes:
        async with inbox.expect(f"q{number}") as coming:
            await answer(bus, broker.keys, "n1", f"q{number}", b"%d" % number)
            return await coming

    assert await asyncio.gather(*map(ask, range(1000))) == [b"%d" % number for number in range(1000)]
    heard: Any = await broker.client.pubsub_numsub(broker.keys.inbox("n1"))
    assert heard[0][1] == 1


async def test_who_answers_learns_that_nobody_listens(bus: Bus, broker: Broker) -> None:
    assert not await answer(bus, broker.keys, "gone", "a", b"x")


async def test_questions_are_bounded(bus: Bus, broker: Broker) -> None:
    inbox = Inbox(bus, broker.keys, "n1", limit=2)
    async with inbox.expect("a"):
        async with inbox.expect("b"):
            with pytest.raises(InboxFull, match="2 questions"):
                async with inbox.expect("c"):
                    pytest.fail("one too many")
        async with inbox.expect("c") as coming:
            await answer(bus, broker.keys, "n1", "c", b"x")
            assert await coming == b"x"


@pytest.mark.parametrize("id_", ["", "a\nb"])
async def test_an_id_is_one_line(inbox: Inbox, id_: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        async with inbox.expect(id_):
            pytest.fail("it cannot be told from the answer")


async def test_a_gap_ends_what_waits_and_new_questions_are_answered(own_valkey: EmbeddedValkey, prefix: str) -> None:
    async with Broker(_settings(own_valkey.url, prefix)) as broker, Bus(broker, "n1") as bus:
        inbox = Inbox(bus, broker.keys, "n1")
        async with inbox.expect("a") as coming, inbox.expect("b") as ignored:
            own_valkey.kill()
            await eventually(lambda: bus.trouble() is not None)
            with pytest.raises(BrokerUnavailable):
                await answer(bus, broker.keys, "n1", "a", b"lost")
            assert not coming.done()
            own_valkey.start()
            with pytest.raises(AnswersMissed):
                await coming
            assert ignored.done()
        async with inbox.expect("a") as again:
            assert await answer(bus, broker.keys, "n1", "a", b"kept")
            assert await again == b"kept"


async def test_a_question_without_redis_is_refused_and_asked_later(own_valkey: EmbeddedValkey, prefix: str) -> None:
    async with Broker(_settings(own_valkey.url, prefix)) as broker, Bus(broker, "n1") as bus:
        inbox = Inbox(bus, broker.keys, "n1", limit=1)
        own_valkey.kill()
        await eventually(lambda: bus.trouble() is not None)
        with pytest.raises(BrokerUnavailable):
            async with inbox.expect("a"):
                pytest.fail("nobody would hear the answer")
        own_valkey.start()
        await eventually(lambda: bus.trouble() is None)
        async with inbox.expect("a") as coming:
            assert await answer(bus, broker.keys, "n1", "a", b"x")
            assert await coming == b"x"


def _answering(url: str, prefix: str) -> None:
    async def run() -> None:
        async with Broker(_settings(url, prefix)) as broker, Bus(broker, "other") as bus:
            inbox = Inbox(bus, broker.keys, "other")
            async with inbox.expect("stop") as stop:
                for number in range(100):
                    await answer(bus, broker.keys, "n1", f"q{number}", b"from the other process")
                assert await stop == b"now"

    asyncio.run(run())


async def test_two_processes_answer_each_other(
    inbox: Inbox, bus: Bus, broker: Broker, valkey: EmbeddedValkey, prefix: str
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_answering, args=(valkey.url, prefix))
    async with inbox.expect("q0") as first, inbox.expect("q99") as last:
        process.start()
        try:
            async with asyncio.timeout(30):
                assert await asyncio.gather(first, last) == [b"from the other process"] * 2

            await eventually(lambda: answer(bus, broker.keys, "other", "stop", b"now"))
            await asyncio.to_thread(process.join, 10)
            assert process.exitcode == 0
        finally:
            process.kill()
