"""A user writes to the bot in the sandbox, and the app's hooks answer."""

from collections.abc import AsyncIterator

import pytest

from bot_rig import TOKEN, Rig, message, rig
from mini_apps.bot_status import BotStatus, read_status
from support import eventually


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def test_start_gets_its_answer_and_the_status_follows(deployment: Rig) -> None:
    broker = deployment.broker
    assert await read_status(broker.client, broker.keys, "bot") is BotStatus.Disconnected
    async with deployment.worker():
        await eventually(deployment.runs)
        await deployment.say("/start x")
        assert await eventually(deployment.answers) == ["hello Ada x"]  # parse-mode is HTML
        assert await read_status(broker.client, broker.keys, "bot") is BotStatus.Running
        status = await deployment.status()
        assert (status["id"], status["username"]) == ("42", "bot_bot")
        assert deployment.bot().commands  # the menu
        assert await broker.client.get(deployment.keys.own("connected")) == b"1"
    assert await read_status(broker.client, broker.keys, "bot") is BotStatus.Offline
    assert await deployment.waiting() == 0
    leases = [key async for key in broker.client.scan_iter(f"{deployment.keys.base}*lease")]
    assert leases == []  # a clean stop leaves nothing to wait for


async def test_the_router_has_states_and_other_kinds(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "bot_apps:Routed", "bot-token": TOKEN}}
    async with deployment.worker():
        await eventually(deployment.runs)
        await deployment.say("form")
        await eventually(deployment.answers)
        await deployment.say("Ada")
        await eventually(lambda: _count(deployment, 2))
        assert await deployment.answers() == ["your name, please (bot)", "nice name, Ada"]
        await deployment.feed(message(7, 1001, "corrected", "edited_message"))
        await eventually(lambda: deployment.listed("done"))
        assert await deployment.listed("done") == ["edited:corrected"]
        await deployment.feed(message(8, 1001, "boom", "edited_message"))
        [letter] = await eventually(deployment.dead)
        assert (letter["error"], letter["tries"]) == ("RuntimeError", "3")
        assert await deployment.broker.client.get(deployment.keys.own("exceptions")) == b"3"


async def _count(deployment: Rig, number: int) -> bool:
    return len(await deployment.answers()) >= number


async def test_a_banned_user_does_not_reach_the_bot(deployment: Rig) -> None:
    await deployment.broker.client.sadd(deployment.keys.banned, 5)
    async with deployment.worker():
        await deployment.feed(message(1, 5, "banned"), message(2, 6, "welcome"))
        await eventually(lambda: deployment.listed("done"))
        await eventually(lambda: _empty(deployment))
    assert await deployment.listed("done") == ["6:welcome"]


async def _empty(deployment: Rig) -> bool:
    return await deployment.waiting() == 0


async def test_an_exception_that_was_looked_after_acknowledges(deployment: Rig) -> None:
    async with deployment.worker():
        await deployment.feed(message(1, 5, "boom forgiven"))
        await eventually(lambda: deployment.listed("tried"))
        await eventually(lambda: _empty(deployment))
    assert await deployment.dead() == []
    assert len(await deployment.listed("tried")) == 1


async def test_two_bots_in_one_worker_and_one_with_a_bad_token(deployment: Rig) -> None:
    deployment.apps = {
        "bot": {"class": "bot_apps:Recorder", "bot-token": TOKEN},
        "other": {"class": "bot_apps:Recorder", "bot-token": "43:wrong"},
        "silent": {"class": "bot_apps:Tasked"},
        "stubborn": {"class": "bot_apps:Stubborn", "bot-token": "43:sandbox-other"},
    }
    async with deployment.worker():
        await eventually(deployment.runs)
        other = await eventually(lambda: _crashed(deployment, "other"))
        assert "Telegram refused the bot token" in other["reason"]
        assert "43:wrong" not in str(other)
        stubborn = await eventually(lambda: _crashed(deployment, "stubborn"))
        assert "super().run_bot()" in stubborn["reason"]
        await deployment.say("/start")
        await eventually(deployment.answers)
        [run] = await eventually(lambda: deployment.listed("runs", "silent"))
        assert run.endswith(":1")  # the fence
        await eventually(lambda: _stumbled(deployment))


async def _crashed(deployment: Rig, app: str) -> dict[str, str] | None:
    status = await deployment.status(app)
    return status if status.get("status") == "crashed" else None


async def _stumbled(deployment: Rig) -> bool:
    return await deployment.broker.client.get(deployment.broker.keys.app("silent").own("stumbles")) == b"2"


async def test_health_and_metrics(deployment: Rig, capfd) -> None:
    async with deployment.worker() as process:
        await eventually(deployment.runs)
        [node] = await eventually(lambda: _nodes(deployment))
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404)):
            async with deployment.web.get(node.address + path) as response:
                assert response.status == status, path
                text = await response.text()
            if path == "/metrics":
                assert 'mini_apps_bot_lanes{app="bot"}' in text
        assert process.troubles() == []


async def _nodes(deployment: Rig) -> list:
    from shared.nodes import live_nodes

    return await live_nodes(deployment.broker, "bot")
