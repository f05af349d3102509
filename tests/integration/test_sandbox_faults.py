"""What goes wrong on purpose at the local Telegram, and the crowd that only counts."""

import asyncio

import aiohttp
import pytest
from aiogram.exceptions import TelegramForbiddenError, TelegramRetryAfter, TelegramServerError

from sandbox.__main__ import _config, _parser
from sandbox.config import BotConfig, ConfigError, SandboxConfig
from sandbox.faults import Fault
from sandbox_desk import ADA, BEN, TOKEN, desk

API = "/sandbox/api/bots/counter"


@pytest.fixture
async def table():
    async with desk() as running, running.bot() as bot:
        await running.act(ADA, "messages", text="/start")
        await running.act(BEN, "messages", text="/start")
        yield running, bot


async def fault(running, expect=200, **fields):
    async with running.http.post(f"{running.base}{API}/faults", json=fields) as answer:
        assert answer.status == expect, await answer.text()
        return await answer.json()


async def texts(running, user=ADA):
    return [message["text"] for message in (await running.chat(user))["messages"] if message["from"]["is_bot"]]


async def counts(running):
    async with running.http.get(f"{running.base}{API}/counts") as answer:
        return await answer.json()


async def test_an_error_has_no_effect_and_strikes_as_often_as_asked(table):
    running, bot = table
    assert (await fault(running, kind="error", method="sendMessage", code=502, times=2))["faults"][0]["times"] == 2
    for _ in range(2):
        with pytest.raises(TelegramServerError, match="Bad Gateway"):
            await bot.send_message(ADA, "x")
    await bot.send_message(ADA, "y")
    assert await texts(running) == ["y"]
    assert await counts(running) == {"calls": {"sendmessage": 1}, "refused": {"502": 2}, "limited": {}}


async def test_a_fault_of_one_chat_strikes_no_other(table):
    running, bot = table
    await fault(running, kind="flood", chat=ADA, seconds=7, times=0)
    await bot.send_message(BEN, "x")
    for _ in range(2):
        with pytest.raises(TelegramRetryAfter) as caught:
            await bot.send_message(ADA, "x")
        assert caught.value.retry_after == 7
    async with running.http.delete(f"{running.base}{API}/faults") as answer:
        assert await answer.json() == {"faults": []}
    await bot.send_message(ADA, "x")


@pytest.mark.parametrize(("kind", "done"), [("reset", []), ("cut", ["x"])])
async def test_a_broken_connection_comes_before_or_after_the_effect(table, kind, done):
    running, _ = table
    await fault(running, kind=kind, method="sendMessage")
    with pytest.raises(aiohttp.ClientError):
        await running.raw("sendMessage", json={"chat_id": ADA, "text": "x"})
    assert await texts(running) == done


async def test_silence_comes_after_the_effect(table):
    running, _ = table
    await fault(running, kind="silence", method="sendMessage", seconds=60)
    call = asyncio.create_task(running.raw("sendMessage", json={"chat_id": ADA, "text": "x"}))
    async with running.events() as events:
        assert call.done() is False
        if not await texts(running):
            await anext(events)
    assert await texts(running) == ["x"]
    assert call.done() is False
    call.cancel()


async def test_a_slow_answer_comes(table):
    running, _ = table
    await fault(running, kind="slow", method="sendMessage", seconds=0.05)
    status, _ = await running.raw("sendMessage", json={"chat_id": ADA, "text": "x"})
    assert status == 200


async def test_a_flood_wait_at_the_start_by_the_configuration():
    bots = (BotConfig("counter", TOKEN),)
    config = SandboxConfig(bots=bots, faults=(Fault("flood", method="getMe", seconds=3),))
    async with desk(config) as running, running.bot() as bot:
        with pytest.raises(TelegramRetryAfter) as caught:
            await bot.get_me()
        assert caught.value.retry_after == 3
        assert (await bot.get_me()).id == 42
    assert config.faults[0].times == 1


def test_flags_switch_limits_and_faults_on():
    flags = ["--limits", "--fault", '{"kind":"error","share":0.5,"times":0}', "--app", f"counter={TOKEN},"]
    config = _config(_parser().parse_args(flags))
    assert (config.limits, config.faults) == (True, (Fault("error", share=0.5, times=0),))
    for wrong in ("{", '{"kind":"storm"}', '{"kind":"error","code":200}'):
        with pytest.raises(ConfigError, match="--fault takes JSON"):
            _config(_parser().parse_args(["--fault", wrong]))


async def test_a_wrong_fault_is_refused_with_a_reason(table):
    running, _ = table
    assert "share" in (await fault(running, 400, kind="error", share=2))["error"]
    assert "kind" in (await fault(running, 400))["error"]


async def test_a_crowd_is_counted_and_some_have_blocked_the_bot(table):
    running, bot = table
    crowd = {"first": 500_000, "count": 1000, "blocked_every": 100}
    async with running.http.post(f"{running.base}{API}/crowd", json=crowd) as answer:
        assert (await answer.json())["got"] == {"0": 1000}
    with pytest.raises(TelegramForbiddenError, match="blocked"):
        await bot.send_message(500_100, "x")
    for chat in (500_001, 500_001, 500_002):
        await bot.send_message(chat, "x")
    async with running.http.get(f"{running.base}{API}/crowd") as answer:
        told = await answer.json()
    assert (told["got"], told["more_than_one"]) == ({"0": 998, "1": 1, "2": 1}, [500_001])
    assert told["without"][:2] == [500_003, 500_004]
    assert 500_100 not in told["without"]
