"""What becomes of calls when Telegram, Redis or a worker fails under them."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from aiogram.exceptions import TelegramNetworkError, TelegramRetryAfter, TelegramServerError

from app_mesh import in_process
from bot_rig import Rig, rig
from mini_apps import OutcomeUnknown
from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.settings import load
from support import eventually

ADA, BEN = 1001, 1002


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def _started(deployment: Rig, *users: int) -> None:
    for user in users or (ADA,):
        await deployment.say("/start", user=user)
        await eventually(lambda user=user: deployment.answers(user=user))


@pytest.mark.parametrize("kind", ["cut", "silence"])
async def test_what_may_have_arrived_is_not_sent_again(deployment: Rig, kind: str) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment)
        await deployment.fault(kind=kind, method="sendMessage", seconds=1)
        with pytest.raises(OutcomeUnknown, match="sendMessage: Telegram may have done it or not") as unknown:
            await app.telegram.send_message(ADA, "once")
        assert unknown.value.method == "sendMessage"
        assert (await deployment.answers()).count("once") == 1
        await deployment.fault(kind="error", code=502, method="sendMessage")
        with pytest.raises(OutcomeUnknown, match="Telegram answered 502"):
            await app.telegram.send_message(ADA, "or not")
        assert "or not" not in await deployment.answers()


async def test_what_may_be_repeated_is(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment)
        sent = await app.telegram.send_message(ADA, "before")
        await deployment.fault(kind="reset", method="editMessageText")
        await deployment.fault(kind="error", code=500, method="editMessageText")
        assert (await sent.edit_text("after")).text == "after"
        await deployment.fault(kind="error", code=500, method="getMe", times=0)
        with pytest.raises(TelegramServerError):
            await app.telegram.get_me(request_timeout=2)


async def test_a_flood_of_one_chat_holds_up_nobody_else(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment, ADA, BEN)
        await deployment.fault(kind="flood", method="sendMessage", chat=ADA, seconds=3)
        slow = asyncio.create_task(app.telegram.send_message(ADA, "later"))
        await eventually(lambda: _paused(deployment), what="the pause of the chat")
        other = await app.telegram.send_message(BEN, "at once")
        assert other.text == "at once"
        assert not slow.done()
        assert (await slow).text == "later"
        assert (await deployment.answers()).count("later") == 1


async def _paused(deployment: Rig) -> bool:
    return await deployment.broker.client.hexists(deployment.keys.budget_chat(str(ADA)), "until")


async def test_a_flood_without_a_chat_stops_that_call_only(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment)
        await deployment.fault(kind="flood", method="getMyCommands", seconds=2)
        slow = asyncio.create_task(app.telegram.get_my_commands())
        await eventually(lambda: deployment.bot().refusals[429], what="the 429")
        assert (await app.telegram.send_message(ADA, "at once")).text == "at once"
        assert not slow.done()
        assert await slow


async def test_a_flood_that_outlasts_the_deadline_is_told(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment)
        await deployment.fault(kind="flood", method="sendMessage", chat=ADA, seconds=40)
        with pytest.raises(TelegramRetryAfter) as flood:
            await app.telegram.send_message(ADA, "later", request_timeout=5)
        assert flood.value.retry_after == 40


async def test_a_server_that_is_not_there(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment)
        await deployment.telegram_closes()
        try:
            with pytest.raises(TelegramNetworkError, match="cannot be reached"):
                await app.telegram.send_message(ADA, "anybody?", request_timeout=2)
        finally:
            await deployment.telegram_opens()
        assert "anybody?" not in await deployment.answers()
        assert (await app.telegram.send_message(ADA, "there you are")).text == "there you are"


async def test_a_worker_killed_under_a_call(deployment: Rig) -> None:
    victim = deployment.start_worker()
    await eventually(deployment.runs, seconds=300)
    await _started(deployment)
    await deployment.fault(kind="slow", method="sendMessage", seconds=30)
    async with in_process(deployment.settings()) as app:
        begun = asyncio.create_task(app.telegram.send_message(ADA, "begun"))
        await eventually(lambda: _answered(deployment, "begun"))
        victim.send_signal(signal.SIGSTOP)  # so that it takes nothing more
        waiting = [asyncio.create_task(app.telegram.send_message(ADA, f"waiting {n}")) for n in range(5)]
        await eventually(lambda: _length(deployment, 6))
        victim.send_signal(signal.SIGKILL)
        async with deployment.worker():
            with pytest.raises(OutcomeUnknown, match="ended before it had an answer"):
                await begun
            assert [message.text for message in await asyncio.gather(*waiting)] == [f"waiting {n}" for n in range(5)]
        answers = await deployment.answers()
        assert [answers.count(text) for text in ("begun", *(f"waiting {n}" for n in range(5)))] == [1] * 6


async def test_a_worker_killed_under_many_calls(deployment: Rig) -> None:
    """Each call is made once, or nobody knows; none is made twice, and none is lost."""
    victim = deployment.start_worker()
    await eventually(deployment.runs, seconds=300)
    await _started(deployment)
    deployment.bot_settings["calls-in-flight"] = 10
    async with in_process(deployment.settings(), kind="ws") as app:
        texts = [f"call {n}" for n in range(150)]
        calls = [asyncio.create_task(app.telegram.send_message(ADA, text)) for text in texts]
        await eventually(lambda: _at_least(deployment, 20))
        victim.send_signal(signal.SIGKILL)
        async with deployment.worker():
            ended = await asyncio.gather(*calls, return_exceptions=True)
        answers = await deployment.answers()
        for text, result in zip(texts, ended, strict=True):
            if isinstance(result, OutcomeUnknown):
                assert answers.count(text) <= 1
            else:
                assert not isinstance(result, BaseException), result
                assert answers.count(text) == 1, text
        assert await _length(deployment, 0)


async def test_a_worker_that_sleeps_past_its_lease_sends_nothing_it_lost(deployment: Rig) -> None:
    sleeper = deployment.start_worker()
    await eventually(deployment.runs, seconds=300)
    await _started(deployment)
    await deployment.fault(kind="slow", method="sendMessage", seconds=1)
    async with in_process(deployment.settings()) as app:
        first = asyncio.create_task(app.telegram.send_message(ADA, "first"))
        await eventually(lambda: _answered(deployment, "first"))
        sleeper.send_signal(signal.SIGSTOP)
        async with deployment.worker():
            with pytest.raises(OutcomeUnknown):
                await first
            assert (await app.telegram.send_message(ADA, "second")).text == "second"
        sleeper.send_signal(signal.SIGCONT)
        async with deployment.worker():
            await eventually(deployment.runs)
            assert (await app.telegram.send_message(ADA, "third")).text == "third"
    answers = await deployment.answers()
    assert [answers.count(text) for text in ("first", "second", "third")] == [1, 1, 1]


async def test_a_worker_that_stops_leaves_what_it_has_not_begun(deployment: Rig) -> None:
    async with in_process(deployment.settings()) as app:
        async with deployment.worker():
            await _started(deployment)
            await deployment.fault(kind="flood", method="sendMessage", chat=ADA, seconds=3)
            call = asyncio.create_task(app.telegram.send_message(ADA, "in a while"))
            await eventually(lambda: _paused(deployment))
        assert await _length(deployment, 1)
        async with deployment.worker():
            assert (await call).text == "in a while"
    assert (await deployment.answers()).count("in a while") == 1


async def test_redis_restarts_under_calls(own_valkey: EmbeddedValkey, tmp_path) -> None:
    (tmp_path / "broker.toml").write_text("")
    redis = load(tmp_path / "broker.toml", {"MINI_APPS__REDIS__URL": own_valkey.url}).redis
    async with Broker(redis) as broker, rig(broker, tmp_path) as deployment, deployment.worker():
        await _started(deployment)
        async with in_process(deployment.settings()) as app:
            await deployment.fault(kind="slow", method="sendMessage", seconds=2)
            begun = asyncio.create_task(app.telegram.send_message(ADA, "begun"))
            await eventually(lambda: _answered(deployment, "begun"))
            texts = [f"call {n}" for n in range(100)]
            calls = [asyncio.create_task(app.telegram.send_message(ADA, text)) for text in texts]
            await eventually(lambda: _at_least(deployment, 10))
            own_valkey.kill()
            await eventually(begun_at_telegram(deployment))
            own_valkey.start()
            assert (await begun).text == "begun"
            ended = await asyncio.gather(*calls, return_exceptions=True)
            answers = await deployment.answers()
            for text, result in zip(texts, ended, strict=True):
                known = not isinstance(result, BaseException)
                assert answers.count(text) == 1 if known else answers.count(text) <= 1, (text, result)
            assert answers.count("begun") == 1
            assert sum(not isinstance(result, BaseException) for result in ended) > 50


def begun_at_telegram(deployment: Rig):
    """Wait until the sandbox has answered whatever it got before."""

    async def settled() -> bool:
        before = len(await deployment.answers())
        await asyncio.sleep(0.3)
        return len(await deployment.answers()) == before

    return settled


async def _answered(deployment: Rig, text: str) -> bool:
    return text in await deployment.answers()


async def _at_least(deployment: Rig, count: int) -> bool:
    return len(await deployment.answers()) >= count


async def _length(deployment: Rig, wanted: int) -> bool:
    return await deployment.broker.client.xlen(deployment.keys.calls) == wanted
