"""`App.telegram` outside the bot worker: real results, real errors, through a worker and the sandbox's Bot API."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramNetworkError
from aiogram.types import Message

from app_mesh import in_process
from bot_rig import TOKEN, Rig, rig
from mini_apps import Overloaded
from mini_apps.telegram_session import MethodRefused
from nodes import RunningNode
from shared.call_id import call_as
from shared.lifecycle import Process
from support import eventually

ADA = 1001


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def test_a_remote_send_returns_the_typed_message(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await deployment.say("/start")
        await eventually(deployment.answers)
        sent = await app.telegram.send_message(ADA, "<b>over</b> here")
        assert isinstance(sent, Message)
        assert sent.text == "over here"
        assert sent.entities is not None
        assert sent.chat.id == ADA
        assert "over here" in await deployment.answers()
        assert app.telegram.token == "42:remote"
        edited = await sent.edit_text("changed")  # bound to the remote bot
        assert isinstance(edited, Message)
        assert (await app.telegram.me()).username == "bot_bot"


async def test_a_remote_error_is_the_real_one(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        with pytest.raises(TelegramBadRequest, match="chat not found"):
            await app.telegram.send_message(77, "nobody")
        await deployment.say("/start")
        await eventually(deployment.answers)
        async with deployment.web.post(
            f"{deployment.sandbox}/sandbox/api/bots/bot/users/{ADA}/block", json={"blocked": True}
        ) as response:
            assert response.status == 200
        with pytest.raises(TelegramForbiddenError, match="blocked by the user"):
            await app.telegram.send_message(ADA, "hello?")


async def test_a_page_of_a_node_makes_the_bot_write(deployment: Rig) -> None:
    """A page, a WebSocket node, a bot worker and Telegram, each in a process of its own but the page."""
    deployment.apps = {"bot": {"class": "bot_calls_app:Paged", "bot-token": TOKEN, "parse-mode": "HTML"}}
    deployment.start_worker()
    await eventually(deployment.runs, seconds=300)
    await deployment.say("/start")  # from now on the bot may write
    node = RunningNode(Process("ws", drain_seconds=1), await deployment.start_node())
    async with node.page() as page:
        await page.login(ADA, app="bot", token=TOKEN)
        await page.send(type="tell", text="<i>from</i> the page", id=1)
        reply = await page.receive("reply", id=1)
        assert (reply["data"]["class"], reply["data"]["entities"]) == ("Message", 1)
        assert await deployment.answers() == ["from the page"]
        await page.send(type="tell", text="nobody", to=77, id=2)
        assert (await page.receive("error", id=2))["msg"] == "Internal server error"
        assert page.messages == []
    log = b"".join(path.read_bytes() for path in deployment.path.glob("worker-*.log"))
    assert b"chat not found" in log
    assert b"sandbox-bot" not in log


async def test_a_call_with_an_id_is_made_once(deployment: Rig) -> None:
    async with in_process(deployment.settings()) as app:
        with call_as("greeting"), pytest.raises(TelegramNetworkError, match="no bot worker took it"):
            await app.telegram.send_message(ADA, "hello", request_timeout=1)
        async with deployment.worker():
            await deployment.say("/start")
            await eventually(deployment.answers)
            ids = []
            for _ in range(2):
                with call_as("greeting"):
                    ids.append((await app.telegram.send_message(ADA, "hello")).message_id)
            assert ids[0] == ids[1]
            assert (await deployment.answers()).count("hello") == 1


async def test_two_that_ask_for_the_same_call_at_once(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await deployment.say("/start")
        await eventually(deployment.answers)
        await deployment.fault(kind="slow", method="sendMessage", seconds=0.5)
        with call_as("twins"):
            sent = await asyncio.gather(*(app.telegram.send_message(ADA, "twins") for _ in range(3)))
        assert len({message.message_id for message in sent}) == 1
        assert (await deployment.answers()).count("twins") == 1
        await eventually(lambda: _length(deployment, 0))


async def test_server_tasks_of_a_worker_without_the_token(deployment: Rig, tmp_path) -> None:
    app = {"class": "bot_calls_app:Reporting"}
    deployment.apps = {"bot": {**app, "bot-id": 42}}
    async with deployment.worker():  # has the tasks, and no token
        await eventually(lambda: _length(deployment, 1))
        deployment.apps = {"bot": {**app, "bot-token": TOKEN}}
        deployment.path = tmp_path / "other"  # the first worker reads its own settings again when they change
        deployment.path.mkdir()
        worker = deployment.start_worker()

        async def reported() -> list[str]:
            assert worker.poll() is None
            return await deployment.listed("reported")

        [line] = await eventually(reported, seconds=300)
    assert line == f"{os.getpid()}:42:42:remote"


async def test_nobody_knows_the_bot_until_a_worker_has_connected(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "mini_apps:App", "webapp-key": "00" * 32}}
    settings = deployment.settings()
    deployment.apps = {}
    async with in_process(settings) as app:
        with pytest.raises(RuntimeError, match=r"start one, or set apps\.bot\.bot-id"):
            _ = app.telegram
        async with deployment.worker():
            await eventually(deployment.runs)
            await app.learn_telegram_me()
            assert (await app.telegram.get_me()).id == 42


async def test_the_projects_own_methods_are_refused(deployment: Rig) -> None:
    async with in_process(deployment.settings()) as app:
        for call in (
            app.telegram.get_updates,
            lambda: app.telegram.set_webhook("https://example.com"),
            app.telegram.delete_webhook,
            app.telegram.log_out,
            app.telegram.close,
        ):
            with pytest.raises(MethodRefused, match="is not for apps"):
                await call()


async def test_without_a_worker_a_call_waits_for_one_until_its_deadline(deployment: Rig) -> None:
    async with in_process(deployment.settings()) as app:
        with pytest.raises(TelegramNetworkError, match=r"no answer within 1 s: no bot worker took it"):
            await app.telegram.get_me(request_timeout=1)
        assert await deployment.broker.client.xlen(deployment.keys.calls) == 0  # nobody will make it later
        waits = asyncio.create_task(app.telegram.get_me())
        await eventually(lambda: deployment.broker.client.xlen(deployment.keys.calls))
        async with deployment.worker():
            assert (await waits).id == 42


async def test_too_many_waiting_calls_are_refused(deployment: Rig) -> None:
    deployment.bot_settings["calls-waiting"] = 3
    async with in_process(deployment.settings()) as app:
        waiting = [asyncio.create_task(app.telegram.get_me()) for _ in range(3)]
        await eventually(lambda: _length(deployment, 3))
        with pytest.raises(Overloaded, match="3 Bot API calls already wait"):
            await app.telegram.get_me()
        async with deployment.worker():
            assert [me.id for me in await asyncio.gather(*waiting)] == [42] * 3
        assert await _length(deployment, 0)


async def test_a_cancelled_call_is_not_made(deployment: Rig) -> None:
    async with in_process(deployment.settings()) as app:
        call = asyncio.create_task(app.telegram.send_message(ADA, "never"))
        await eventually(lambda: _length(deployment, 1))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    async with deployment.worker():
        await eventually(lambda: _length(deployment, 0))  # at once, or when a worker finds it was withdrawn
        assert await deployment.answers(user=ADA) == []


async def _length(deployment: Rig, wanted: int) -> bool:
    return await deployment.broker.client.xlen(deployment.keys.calls) == wanted
