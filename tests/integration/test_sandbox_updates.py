"""How bots get their updates from the sandbox: aiogram's own polling and webhook, conflicts, retries."""

import asyncio
import ctypes
import socket
import struct
import sys

import pytest
from aiogram import Bot, Dispatcher
from aiogram.exceptions import TelegramBadRequest, TelegramConflictError
from aiogram.filters import Command
from aiogram.types import Message
from aiogram.webhook.aiohttp_server import SimpleRequestHandler
from aiohttp import web

from sandbox import webhook
from sandbox.config import BotConfig, RetryPolicy, SandboxConfig
from sandbox_desk import ADA, APP_URL, BEN, TOKEN, desk
from support import eventually

SECRET = "s3cret-Token_"


def echo_bot():
    dispatcher = Dispatcher()

    @dispatcher.message(Command("start"))
    async def start(message: Message):
        await message.answer(f"Hello {message.from_user.first_name}")

    @dispatcher.message()
    async def echo(message: Message):
        return message.answer(f"echo {message.text}")  # a returned method goes back in the webhook's answer

    return dispatcher


async def texts(running, user):
    return [message["text"] for message in (await running.chat(user))["messages"]]


@pytest.fixture
async def hook():
    """A web server whose answers the test decides: `answer(request) -> web.Response`, and what it got."""
    got = []
    state = {"answer": lambda _update: web.Response(text="ok")}

    async def handle(request):
        update = await request.json()
        got.append((update, request.headers.get("X-Telegram-Bot-Api-Secret-Token")))
        result = state["answer"](update)
        return await result if asyncio.iscoroutine(result) else result

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", got, state
    await runner.cleanup()


async def test_aiogram_polls():
    async with desk() as running, running.bot() as bot:
        dispatcher = echo_bot()
        polling = asyncio.create_task(dispatcher.start_polling(bot, handle_signals=False))
        try:
            await running.act(ADA, "messages", text="/start")
            await running.act(BEN, "messages", text="hi")
            await eventually(lambda: _has(running, ADA, "Hello Ada"), what="the answer to /start")
            await eventually(lambda: _has(running, BEN, "echo hi"), what="the echo")
        finally:
            await dispatcher.stop_polling()
            await polling


async def _has(running, user, text):
    return text in await texts(running, user)


async def test_a_long_poll_returns_with_the_first_update():
    async with desk() as running, running.bot() as bot:
        poll = asyncio.create_task(bot.get_updates(timeout=30))
        await eventually(lambda: running.runtime._wakers[42], what="the poll waits")
        await running.act(ADA, "messages", text="now")
        (update,) = await asyncio.wait_for(poll, 90)
        assert update.message.text == "now"
        assert [again.update_id for again in await bot.get_updates()] == [update.update_id], "not confirmed yet"
        assert await bot.get_updates(offset=update.update_id + 1) == []


async def test_limit_is_kept():
    async with desk() as running, running.bot() as bot:
        for n in range(3):
            await running.act(ADA, "messages", text=str(n))
        first = await bot.get_updates(limit=2)
        assert [update.message.text for update in first] == ["0", "1"]
        rest = await bot.get_updates(offset=first[-1].update_id + 1, limit=2)
        assert [update.message.text for update in rest] == ["2"]


async def test_a_second_poller_ends_the_first():
    async with desk() as running, running.bot() as first, running.bot() as second:
        waiting = asyncio.create_task(first.get_updates(timeout=30))
        await eventually(lambda: running.runtime._wakers[42], what="the first poll waits")
        newer = asyncio.create_task(second.get_updates(timeout=30))
        with pytest.raises(TelegramConflictError, match="terminated by other getUpdates request"):
            await asyncio.wait_for(waiting, 90)
        await running.act(ADA, "messages", text="for the second")
        assert (await asyncio.wait_for(newer, 90))[0].message.text == "for the second"


async def test_allowed_updates_are_remembered():
    async with desk() as running, running.bot() as bot:
        await bot.get_updates(allowed_updates=["callback_query"])
        await running.act(ADA, "messages", text="not wanted")
        await bot.get_updates()
        await running.act(ADA, "messages", text="still not wanted")
        assert await bot.get_updates() == []
        assert (await bot.get_webhook_info()).allowed_updates == ["callback_query"]
        await bot.get_updates(allowed_updates=[])
        await running.act(ADA, "messages", text="wanted")
        assert [update.message.text for update in await bot.get_updates()] == ["wanted"]


async def test_aiogram_webhook_with_secret_and_reply_in_the_answer():
    async with desk() as running, running.bot() as bot:
        app = web.Application()
        handler = SimpleRequestHandler(echo_bot(), bot, handle_in_background=False, secret_token=SECRET)
        handler.register(app, path="/hook")
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await bot.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", secret_token=SECRET)
            await running.act(ADA, "messages", text="/start")
            await running.act(ADA, "messages", text="hi")
            await eventually(lambda: _has(running, ADA, "echo hi"), what="the echo")
            assert await texts(running, ADA) in (
                ["/start", "hi", "Hello Ada", "echo hi"], ["/start", "Hello Ada", "hi", "echo hi"],
            )  # fmt: skip
            info = await bot.get_webhook_info()
            assert (info.pending_update_count, info.last_error_date) == (0, None)
        finally:
            await runner.cleanup()


async def test_a_failing_webhook_is_tried_again_in_order_and_others_go_on(hook):
    url, got, state = hook
    failures = iter([500, 302, 404])
    state["answer"] = lambda update: web.Response(
        status=next(failures, 200) if update["message"]["from"]["id"] == ADA else 200
    )
    config = SandboxConfig(bots=(BotConfig("counter", TOKEN),), retry=RetryPolicy(base=0.01))
    async with desk(config) as running, running.bot() as bot:
        await bot.set_webhook(url, secret_token=SECRET, allowed_updates=["message"])
        for text in ("first", "second"):
            await running.act(ADA, "messages", text=text)
        await running.act(BEN, "messages", text="other")
        await eventually(lambda: len(got) == 6, what="all deliveries")
        assert [u["message"]["text"] for u, _ in got if u["message"]["from"]["id"] == ADA] == ["first"] * 4 + ["second"]
        assert {secret for _, secret in got} == {SECRET}
        info = await eventually(lambda: _delivered(bot), what="an empty queue")
        assert info.last_error_message == "Wrong response from the webhook: 404 Not Found"
        assert (info.max_connections, info.allowed_updates) == (40, ["message"])


async def _delivered(bot: Bot):
    info = await bot.get_webhook_info()
    return info if info.pending_update_count == 0 else None


async def test_retry_after_of_the_webhook_is_honoured(hook):
    url, got, state = hook
    state["answer"] = lambda _update: web.Response(status=503, headers={"Retry-After": "3600"})
    config = SandboxConfig(bots=(BotConfig("counter", TOKEN),), retry=RetryPolicy(base=0.0))
    async with desk(config) as running, running.bot() as bot:
        await bot.set_webhook(url)
        await running.act(ADA, "messages", text="x")
        info = await eventually(lambda: _failed(bot), what="the failure")
        assert info.last_error_message == "Wrong response from the webhook: 503 Service Unavailable"
        await running.act(BEN, "messages", text="y")  # another chat is delivered after the retry would have been
        await eventually(lambda: len(got) == 2, what="the other chat's update")
        assert [update["message"]["text"] for update, _ in got] == ["x", "y"]


async def _failed(bot: Bot):
    info = await bot.get_webhook_info()
    return info if info.last_error_date else None


async def test_an_unreachable_webhook_is_told():
    config = SandboxConfig(bots=(BotConfig("counter", TOKEN),), retry=RetryPolicy(base=0.05, longest=0.05))
    async with desk(config) as running, running.bot() as bot:
        await bot.set_webhook("http://127.0.0.1:1/hook")
        await running.act(ADA, "messages", text="x")
        info = await eventually(lambda: _failed(bot), what="the failure")
        assert (info.last_error_message, info.pending_update_count) == ("Connection refused", 1)


async def test_a_webhook_that_takes_no_connection_is_not_waited_for_long(monkeypatch):
    """A listener whose queue is full lets SYN packets go unanswered, as a host that is gone does."""
    monkeypatch.setattr(webhook, "PEER_SECONDS", 0.2)
    config = SandboxConfig(bots=(BotConfig("counter", TOKEN),), retry=RetryPolicy(base=0.05, longest=0.05))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as first:
        first.connect(listener.getsockname())
        async with desk(config) as running, running.bot() as bot:
            await bot.set_webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/hook")
            await running.act(ADA, "messages", text="x")
            info = await eventually(lambda: _failed(bot), what="the failure")
            assert (info.last_error_message, info.pending_update_count) == ("Connection timed out", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a packet filter")
async def test_a_connection_whose_host_is_gone_is_not_waited_for_long(monkeypatch):
    assert webhook.PEER_SECONDS <= 5
    monkeypatch.setattr(webhook, "PEER_SECONDS", 0.3)
    got = []

    async def handle(request):
        got.append((await request.json(), request.transport.get_extra_info("socket")))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = SandboxConfig(bots=(BotConfig("counter", TOKEN),), retry=RetryPolicy(base=0.05, longest=0.05))
    try:
        async with desk(config) as running, running.bot() as bot:
            await bot.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
            await running.act(ADA, "messages", text="x")
            await eventually(lambda: _delivered(bot), what="the first update")
            _hear_nothing(got[0][1])
            await running.act(ADA, "messages", text="y")
            await eventually(lambda: len(got) == 2, what="the update on another connection")
            info = await eventually(lambda: _delivered(bot), what="an empty queue")
            assert (got[1][0]["message"]["text"], info.last_error_message) == ("y", "Connection timed out")
    finally:
        await runner.cleanup()


def _hear_nothing(connected):
    """Drop all that comes in for a socket, before anything of it is acknowledged."""
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0 bytes of the packet
    program = struct.pack("HL", 1, ctypes.addressof(drop))
    connected.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER, which Python has no name for


async def test_at_most_max_connections_at_once(hook):
    url, got, state = hook
    now, most = 0, 0

    async def slow(_update):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)  # the work of the bot, during which others may come
        now -= 1
        return web.Response()

    state["answer"] = slow
    async with desk() as running, running.bot() as bot:
        for user in (ADA, BEN):
            await running.act(user, "messages", text="x")
        await bot.set_webhook(url, max_connections=1)
        await eventually(lambda: len(got) == 2, what="both deliveries")
        assert most == 1


async def test_polling_and_webhook_exclude_each_other(hook):
    url, _, _ = hook
    async with desk() as running, running.bot() as bot:
        poll = asyncio.create_task(bot.get_updates(timeout=30))
        await eventually(lambda: len(running.runtime._wakers[42]) > 1, what="the poll waits beside the webhook task")
        await bot.set_webhook(url)
        with pytest.raises(TelegramConflictError, match="terminated by setWebhook request"):
            await asyncio.wait_for(poll, 90)
        with pytest.raises(TelegramConflictError, match="can't use getUpdates method while webhook is active"):
            await bot.get_updates()
        assert await bot.delete_webhook()
        assert await bot.get_updates() == []


async def test_drop_pending_updates():
    async with desk() as running, running.bot() as bot:
        await running.act(ADA, "messages", text="x")
        assert (await bot.get_webhook_info()).pending_update_count == 1
        await bot.delete_webhook(drop_pending_updates=True)
        assert await bot.get_updates() == []


@pytest.mark.parametrize(
    ("arguments", "description"),
    [
        ({"url": "http://example.com/hook"}, "An HTTPS URL must be provided for webhook"),
        ({"url": "nonsense"}, "An HTTPS URL must be provided for webhook"),
        ({"url": "https://e.com/", "secret_token": "no spaces"}, "secret token contains unallowed characters"),
        ({"url": "https://e.com/", "secret_token": "x" * 257}, "secret token is too long"),
    ],
)
async def test_bad_webhooks(arguments, description):
    async with desk() as running, running.bot() as bot:
        with pytest.raises(TelegramBadRequest, match=description):
            await bot.set_webhook(**arguments)
        assert (await bot.get_webhook_info()).url == ""


async def test_another_bots_updates_stay_its_own():
    config = SandboxConfig(bots=(BotConfig("counter", TOKEN, APP_URL), BotConfig("other", "43:x")))
    async with desk(config) as running, running.bot() as bot, running.bot("43:x") as other:
        await running.act(ADA, "messages", bot="other", text="for other")
        assert await bot.get_updates() == []
        assert [update.message.text for update in await other.get_updates()] == ["for other"]
