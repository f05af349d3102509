"""`App.notify`: a client that confirms in time, else one message of the bot, and never more than that one."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mini_apps import Notice, Way
from mini_apps.embedded import EmbeddedValkey
from nodes import metric
from reach_rig import APP, PATIENCE, Rig, confirm, reach, running_worker
from sandbox_desk import ADA, APP_URL, BEN
from shared.broker import Broker
from support import eventually


@pytest.fixture
async def rig(valkey: EmbeddedValkey, broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with reach(valkey, broker, tmp_path) as made:
        yield made


async def test_a_page_that_confirms_gets_it_and_the_bot_is_silent(rig: Rig) -> None:
    one, two = await rig.cluster.node("ws-1"), await rig.cluster.node("ws-2")
    await rig.start_bot()
    async with one.user(ADA) as phone, two.user(ADA) as laptop, two.user(BEN) as ben:
        await rig.command(f"/notify_ {ADA} - your turn", BEN)
        for page in (phone, laptop):
            message = await page.receive("notify")
            assert (message["text"], message["n"]) == ("your turn", 1)
        await confirm(laptop, message)
        assert await rig.ways(1) == ["socket"]
        await confirm(phone, message)
        assert not [m for m in await ben.settle() if m["type"] == "notify"]
    assert await rig.written() == []


async def test_nobody_there_and_the_bot_writes_at_once(rig: Rig) -> None:
    await rig.start_bot()
    await rig.command(f"/notify_ {ADA} - at once")
    assert await rig.ways(1) == ["bot"]
    assert await rig.written() == ["at once"]


async def test_a_node_whose_last_client_just_left_says_so(rig: Rig) -> None:
    node = await rig.cluster.node()
    await rig.start_bot()
    async with node.user(ADA):
        pass  # the node hears the user for a while longer

    async def alone() -> bool:  # with the connection that asks for the metric
        return await metric(node, "mini_apps_ws_connections") == 1

    await eventually(alone)
    await rig.command(f"/notify_ {ADA} - at once")
    assert await rig.ways(1) == ["bot"]
    assert await rig.written() == ["at once"]


async def test_a_client_that_never_confirms_counts_as_offline(rig: Rig) -> None:
    node = await rig.cluster.node()
    await rig.start_bot()
    async with node.user(ADA) as page:
        await rig.command(f"/notify_ {ADA} - hurry up")
        message = await page.receive("notify")
        assert await rig.ways(1) == ["bot"]
        await confirm(page, message)  # too late, and no harm
        assert await page.settle() is not None
    assert await rig.written() == ["hurry up"]


async def test_an_ack_of_somebody_else_does_not_count(rig: Rig) -> None:
    node = await rig.cluster.node()
    await rig.start_bot()
    async with node.user(ADA) as ada, node.user(BEN) as ben, node.page() as stranger:
        before = await metric(node, "mini_apps_ws_acks_total", 'outcome="unasked"')
        await rig.command(f"/notify_ {ADA} - hurry up")
        message = await ada.receive("notify")
        await confirm(ben, message)
        await confirm(stranger, message)
        await ben.send(type="ack", ack="made-up")
        await ben.settle()
        assert await rig.ways(1) == ["bot"]
        assert await metric(node, "mini_apps_ws_acks_total", 'outcome="unasked"') == before + 2
    assert await rig.written() == ["hurry up"]


@pytest.mark.parametrize("text", ["Nachricht <b>fett</b>", "button"])
async def test_the_bots_message_is_as_asked_for(rig: Rig, text: str) -> None:
    await rig.start_bot()
    await rig.command(f"/notify_ {ADA} - {text}")
    await rig.ways(1)
    message = (await rig.telegram.chat(ADA))["messages"][-1]
    if text == "button":
        assert message["reply_markup"]["inline_keyboard"] == [[{"text": "Open", "web_app": {"url": APP_URL}}]]
    else:
        assert message["text"] == text


async def test_who_blocked_the_bot_is_not_tried_until_they_return(rig: Rig) -> None:
    await rig.start_bot()
    await rig.telegram.act(ADA, "block", blocked=True)

    async def out() -> bool:
        return await rig.audience.may_write(APP, ADA) is False

    await eventually(out)
    await rig.command(f"/notify_ {ADA} - one", BEN)
    assert await rig.ways(1) == ["unreachable"]
    await rig.telegram.act(ADA, "block", blocked=False)
    await eventually(lambda: rig.audience.may_write(APP, ADA))
    await rig.command(f"/notify_ {ADA} - two", BEN)
    assert await rig.ways(2) == ["unreachable", "bot"]
    assert await rig.written() == ["two"]


async def test_a_refusal_of_telegram_is_remembered(rig: Rig) -> None:
    await rig.command(f"/notify_ {BEN} - one")  # Ben never wrote to the bot, and nothing is known of him
    assert await rig.ways(1) == ["unreachable"]
    assert await rig.audience.may_write(APP, BEN) is False


async def test_a_login_without_permission_is_respected(rig: Rig) -> None:
    node = await rig.cluster.node()
    async with node.user(BEN):  # init data without allows_write_to_pm

        async def known() -> bool:
            return await rig.audience.may_write(APP, BEN) is False

        await eventually(known)
    await rig.command(f"/notify_ {BEN} - one")
    assert await rig.ways(1) == ["unreachable"]


async def test_a_repeat_under_the_same_id_sends_nothing(rig: Rig) -> None:
    node = await rig.cluster.node()
    await rig.start_bot()
    for count in (1, 2):
        await rig.command(f"/notify_ {ADA} turn-7 your turn")
        assert await rig.ways(count) == ["bot"] * count
    await rig.command(f"/notify_ {ADA} turn-8 another")
    await rig.ways(3)
    async with node.user(ADA) as page:
        await rig.command(f"/notify_ {ADA} turn-9 to the page")
        await confirm(page, await page.receive("notify"))
        await rig.ways(4)
    await rig.command(f"/notify_ {ADA} turn-9 to the page")
    assert await rig.ways(5) == ["bot", "bot", "bot", "socket", "socket"]
    assert await rig.written() == ["your turn", "another"]


async def test_a_node_notifies_as_well(rig: Rig) -> None:
    node = await rig.cluster.node()
    await rig.start_bot()
    async with node.user(BEN) as ben:
        await ben.send(type="notify", user=ADA, text="from a node", id=1)
        assert (await ben.receive("reply", id=1))["data"] == "bot"
    assert await rig.written() == ["from a node"]


async def test_whoever_died_before_it_knew_that_the_bot_wrote(rig: Rig) -> None:
    """The call has an id that follows from the notice's, so a repeat finds it made, from whichever process."""
    node = await rig.cluster.node()
    await rig.start_bot()
    async with node.user(BEN) as ben:
        for count in (1, 2):
            await ben.send(type="notify", user=ADA, text="once", key="turn-7", id=count)
            assert (await ben.receive("reply", id=count))["data"] == "bot"
            assert await rig.broker.client.delete(rig.keys.notice("turn-7")) == 1
    await rig.command(f"/notify_ {ADA} turn-7 once")
    assert await rig.ways(3) == ["bot"] * 3
    assert await rig.written() == ["once"]


async def test_a_hook_that_is_tried_again_notifies_once(rig: Rig) -> None:
    await rig.start_bot()
    await rig.command(f"/notify_ {ADA} - stumble")
    assert await rig.ways(2) == ["bot", "bot"]
    assert await rig.written() == ["stumble"]


async def test_any_message_that_telegram_refuses_for_good_is_remembered(rig: Rig) -> None:
    node = await rig.cluster.node()
    await rig.start_bot()
    (bot,) = rig.telegram.runtime.world.bots.values()
    bot.dialogs[ADA].blocked = True  # and the update that says so is lost
    async with node.user(BEN) as ben:
        await ben.send(type="write", user=ADA, text="hello", id=1)
        await ben.receive("error", id=1)
    assert await rig.audience.may_write(APP, ADA) is False
    await rig.command(f"/notify_ {ADA} - one", BEN)
    assert await rig.ways(1) == ["unreachable"]


async def test_a_node_that_dies_before_its_client_confirms(rig: Rig) -> None:
    await rig.start_bot()
    with rig.node_process() as process:
        node = await rig.victim(process)
        async with node.user(ADA) as page:
            await rig.command(f"/notify_ {ADA} - hurry up")
            await page.receive("notify")
            process.kill()
            assert await rig.ways(1) == ["bot"]
    assert await rig.written() == ["hurry up"]


async def test_a_notice_that_reached_nobody_goes_out_later_under_its_id(
    valkey: EmbeddedValkey, broker: Broker, tmp_path: Path
) -> None:
    async with reach(valkey, broker, tmp_path, worker=False) as rig:
        node = await rig.cluster.node()
        async with node.user(BEN) as ben:
            await ben.send(type="notify", user=ADA, text="your turn", key="turn-7", hasty=True, id=1)
            await ben.receive("error", id=1)  # no worker took the call in time, so it will not be made
            async with running_worker(rig.cluster):
                await ben.send(type="notify", user=ADA, text="your turn", key="turn-7", id=2)
                assert (await ben.receive("reply", id=2))["data"] == "unreachable"  # Ada never started the bot
                await rig.start_bot()
                for number in (3, 4):
                    await ben.send(type="notify", user=ADA, text="your turn", key="turn-7", id=number)
                    assert (await ben.receive("reply", id=number))["data"] == "bot"
        assert await rig.written() == ["your turn"]


async def test_a_worker_killed_behind_its_notice_sends_no_second(
    valkey: EmbeddedValkey, broker: Broker, tmp_path: Path
) -> None:
    async with reach(valkey, broker, tmp_path, worker=False) as rig:
        with rig.bot_process() as first:
            await rig.start_bot()
            await rig.command(f"/notify_ {ADA} - die now")
            await eventually(lambda: first.poll() is not None, seconds=PATIENCE, what="the worker's death")
        assert await rig.written() == ["die now"]
        with rig.bot_process():
            assert await rig.ways(2) == ["bot", "bot"]
        assert await rig.written() == ["die now"]


async def test_a_worker_killed_while_it_waits_for_a_page(
    valkey: EmbeddedValkey, broker: Broker, tmp_path: Path
) -> None:
    """The next one asks the page again; the bot has not written meanwhile."""
    async with reach(valkey, broker, tmp_path, worker=False) as rig:
        node = await rig.cluster.node()
        async with node.user(ADA) as page:
            with rig.bot_process() as first:
                await rig.start_bot()
                await rig.command(f"/notify_ {ADA} - your turn")
                await page.receive("notify")
                first.kill()
            with rig.bot_process():
                await eventually(lambda: page.messages, seconds=PATIENCE, what="the second try")
                await confirm(page, await page.receive("notify"))
                assert await rig.ways(1) == ["socket"]
        assert await rig.written() == []


async def test_redis_restarts_while_an_ack_is_awaited(own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    """The ack may be lost with it; the bot then writes, once, when Redis is back."""
    from shared.settings import RedisSettings

    settings = RedisSettings.model_validate({"url": own_valkey.url, "prefix": prefix})
    async with Broker(settings) as broker, reach(own_valkey, broker, tmp_path) as rig:
        node = await rig.cluster.node()
        await rig.start_bot()
        async with node.user(ADA) as page:
            await rig.command(f"/notify_ {ADA} turn-1 your turn")
            await page.receive("notify")
            own_valkey.kill()
            own_valkey.start()
            assert "bot" in await rig.ways(1)
            await eventually(rig.written)
        assert await rig.written() == ["your turn"]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"id": "a\nb"}, "one line"),
        ({"id": "x" * 200}, "at most 128"),
        ({"button": "Open", "reply_markup": {}}, "not both"),
        ({"wait": 61}, "0 to 60"),
    ],
)
def test_what_no_notice_can_be(options: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        Notice(**options)


def test_a_way_is_its_text() -> None:
    assert [*Way] == ["socket", "bot", "unreachable"]
