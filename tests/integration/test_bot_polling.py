"""Bringing updates in: one leader, nothing confirmed before it is kept, and clear words when Telegram says no."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from bot_rig import TOKEN, Rig, message, rig
from sandbox.server import RUNTIME
from sandbox.state import Webhook
from support import eventually


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def offset_of(deployment: Rig) -> int:
    return int(await deployment.broker.client.get(deployment.keys.offset("poller")) or 0)


async def test_another_worker_polls_when_the_leader_is_killed(deployment: Rig) -> None:
    async def leader() -> bytes | None:
        return await deployment.broker.client.get(deployment.keys.lease("poller"))

    processes = [deployment.start_worker(), deployment.start_worker()]
    await eventually(leader, seconds=300)
    await deployment.say("one")
    await eventually(lambda: deployment.listed("done"))
    first = await leader()
    line = b"this worker brings the updates in"
    polling = [line in (deployment.path / f"worker-{n}.log").read_bytes() for n in range(2)]
    assert sorted(polling) == [False, True]
    processes[polling.index(True)].send_signal(signal.SIGKILL)
    await deployment.say("two")

    async def both() -> bool:
        return len(await deployment.listed("done")) == 2

    await eventually(both, seconds=300)
    assert await deployment.listed("done") == ["1001:one", "1001:two"]
    assert await leader() not in (None, first)


async def test_the_offset_is_kept_and_nothing_comes_twice(deployment: Rig) -> None:
    async with deployment.worker():
        await deployment.say("one")
        await eventually(lambda: deployment.listed("done"))
        offset = await eventually(lambda: offset_of(deployment))
    await deployment.say("two")
    async with deployment.worker():

        async def both() -> bool:
            return len(await deployment.listed("done")) == 2

        await eventually(both)

        async def moved() -> bool:
            return await offset_of(deployment) == offset + 1

        await eventually(moved)
    assert await deployment.listed("done") == ["1001:one", "1001:two"]


async def test_an_update_that_comes_by_both_ways_runs_its_hook_once(deployment: Rig) -> None:
    async with deployment.worker():
        await deployment.say("one")
        await eventually(lambda: deployment.listed("done"))
        offset = await eventually(lambda: offset_of(deployment))
        await deployment.feed(message(offset - 1, 1001, "again"), message(offset + 1000, 1001, "two"))

        async def both() -> bool:
            return "1001:two" in await deployment.listed("done")

        await eventually(both)
    assert await deployment.listed("done") == ["1001:one", "1001:two"]


async def test_a_webhook_from_before_is_deleted_for_polling(deployment: Rig, capfd) -> None:
    deployment.bot().webhook = Webhook("https://old.example.com/hook")
    async with deployment.worker():
        await deployment.say("hello")
        await eventually(lambda: deployment.listed("done"))
    assert deployment.bot().webhook is None
    assert "had a webhook; it is deleted because ingest is polling" in "".join(capfd.readouterr())


@pytest.mark.parametrize("kind", ["webhook", "poller"])
async def test_a_conflict_is_explained_in_one_line(deployment: Rig, kind: str, capfd) -> None:
    expected = {"webhook": "mini-apps webhook delete", "poller": "somebody else polls with this bot's token"}[kind]
    seen = ""
    async with deployment.worker():
        await deployment.say("hello")
        await eventually(lambda: deployment.listed("done"))
        if kind == "webhook":
            deployment.bot().webhook = Webhook("https://other.example.com/hook")
            deployment.telegram[RUNTIME].world.woken.add(42)
            deployment.telegram[RUNTIME].settle()
        stop = asyncio.Event()

        async def rival() -> None:
            while not stop.is_set():
                async with deployment.web.get(f"{deployment.sandbox}/bot{TOKEN}/getUpdates?timeout=0") as response:
                    await response.read()
                await asyncio.sleep(0.02)

        rivalry = asyncio.create_task(rival())

        def told() -> bool:
            nonlocal seen
            seen += "".join(capfd.readouterr())
            return expected in seen

        await eventually(told)
        stop.set()
        await rivalry
        deployment.bot().webhook = None
    assert TOKEN not in seen


async def test_a_revoked_token_shows_as_crashed(deployment: Rig) -> None:
    async with deployment.worker():
        await eventually(deployment.runs)
        tokens = deployment.telegram[RUNTIME].world._tokens
        revoked = tokens.pop(TOKEN)

        async def crashed() -> bool:
            deployment.telegram[RUNTIME].world.woken.add(42)
            deployment.telegram[RUNTIME].settle()
            return (await deployment.status())["status"] == "crashed"

        # The waiting poll ends with an update, the next one finds the token gone.
        tokens[TOKEN] = revoked
        await deployment.say("last words")
        del tokens[TOKEN]
        await eventually(crashed)
        assert "Telegram refused the bot token" in (await deployment.status())["reason"]
        tokens[TOKEN] = revoked
        await eventually(deployment.runs)  # it comes back by itself


async def test_telegram_out_of_reach_at_the_start_is_waited_for(deployment: Rig) -> None:
    tokens = deployment.telegram[RUNTIME].world._tokens
    assert tokens
    async with deployment.worker(telegram={"api-server": "http://127.0.0.1:9"}):

        async def told() -> bool:
            return "not reachable" in (await deployment.status()).get("reason", "")

        await eventually(told)
        assert (await deployment.status())["status"] == "starting"
        assert TOKEN not in str(await deployment.status())


async def test_webhook_mode_tells_telegram_once(deployment: Rig) -> None:
    apps = {"bot": {"class": "bot_apps:Recorder", "bot-token": TOKEN, "ingest": "webhook"}}
    deployment.apps = apps
    gateway = {"gateway": {"public-url": "http://127.0.0.1:9/base"}}
    settings = deployment.settings(**gateway)
    app = settings.apps["bot"]
    async with deployment.worker(**gateway):
        webhook = await eventually(lambda: deployment.bot().webhook)
        assert webhook.url == f"http://127.0.0.1:9/base/webhook/{app.webhook_path()}"
        assert webhook.secret == app.effective_webhook_secret()
        await eventually(lambda: deployment.broker.client.hexists(deployment.keys.bot, "webhook"))
    assert deployment.bot().webhook is webhook  # stopping leaves it: Telegram keeps what comes meanwhile
    assert webhook.secret not in str(await deployment.status())
    async with deployment.worker(**gateway):
        await eventually(deployment.runs)
        await eventually(lambda: deployment.broker.client.get(deployment.keys.lease("poller")))
        await deployment.broker.client.hdel(deployment.keys.bot, "unknown")
    assert deployment.bot().webhook is webhook  # not set again


async def test_webhook_mode_without_a_public_url_says_what_is_missing(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "bot_apps:Recorder", "bot-token": TOKEN, "ingest": "webhook"}}
    async with deployment.worker():

        async def crashed() -> bool:
            return "gateway.public-url is not set" in (await deployment.status()).get("reason", "")

        await eventually(crashed)


async def test_pending_updates_are_dropped_at_the_first_start_only(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "bot_apps:Recorder", "bot-token": TOKEN, "drop-pending-updates": True}}
    await deployment.say("before the first start")
    async with deployment.worker():

        async def dropped() -> bool:
            return len(deployment.bot().queue) == 0

        await eventually(dropped)
        await deployment.say("one")
        await eventually(lambda: deployment.listed("done"))
    await deployment.say("two")
    async with deployment.worker():

        async def both() -> bool:
            return len(await deployment.listed("done")) == 2

        await eventually(both)
    assert await deployment.listed("done") == ["1001:one", "1001:two"]


async def test_a_first_start_that_ended_before_it_dropped_anything_is_made_up_for(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "bot_apps:Recorder", "bot-token": TOKEN, "drop-pending-updates": True}}
    await deployment.say("before the first start")
    await deployment.fault(kind="error", code=500, method="deleteWebhook")
    async with deployment.worker():
        await eventually(lambda: not deployment.bot().faults.rules, what="the failed try to drop")
    assert len(deployment.bot().queue) == 1
    async with deployment.worker():
        await eventually(lambda: len(deployment.bot().queue) == 0)
        await deployment.say("one")
        await eventually(lambda: deployment.listed("done"))
    assert await deployment.listed("done") == ["1001:one"]
