"""Updates in the lanes: in order per chat, none lost, whatever hooks and workers do."""

import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator

import pytest

from bot_rig import LANES, Rig, message, rig
from shared.bus import Bus
from shared.leases import Lease, Names
from shared.streams import FIRST, NEW, LaneLost, LaneStream
from shared.updates import UpdateLog, lane_of
from support import eventually


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def done(deployment: Rig, number: int) -> bool:
    return len(await deployment.listed("done")) >= number


async def empty(deployment: Rig) -> bool:
    return await deployment.waiting() == 0


def first_of_each(done_list: list[str]) -> dict[str, list[str]]:
    """Return per chat what was done, repeats left out."""
    chats: defaultdict[str, list[str]] = defaultdict(list)
    for line in done_list:
        chat, text = line.split(":")
        if text not in chats[chat]:
            chats[chat].append(text)
    return chats


async def test_killed_worker_loses_nothing_and_keeps_the_order(deployment: Rig) -> None:
    first, second = deployment.start_worker(), deployment.start_worker()

    async def owners() -> Counter[bytes | None]:
        keys = [deployment.keys.lane_lease(lane) for lane in range(LANES)]
        return Counter(await deployment.broker.client.mget(keys))

    async def shared() -> bool:
        found = await owners()
        return None not in found and sorted(found.values()) == [2, 2]

    await eventually(shared, seconds=300, what="two workers with two lanes each")
    chats, each = range(100, 120), 20
    updates = [message(number * 100 + chat, chat, f"slow {number}") for number in range(each) for chat in chats]
    await deployment.feed(*updates)
    await eventually(lambda: done(deployment, 60))
    first.send_signal(signal.SIGKILL)
    first.wait()
    await eventually(lambda: empty(deployment), seconds=300, what="empty lanes after the kill")
    order = first_of_each(await deployment.listed("done"))
    assert len(order) == len(chats)
    assert all(texts == [f"slow {number}" for number in range(each)] for texts in order.values())
    repeated = len(await deployment.listed("done")) - len(chats) * each
    assert repeated <= len(chats)  # at most what was in flight, one of each chat
    assert len(await owners()) == 1
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0
    assert (await deployment.status())["status"] == "offline"


async def test_a_failing_update_holds_up_its_own_chat_only(deployment: Rig) -> None:
    deployment.bot_settings["retry-delays"] = [0.3, 0.3]
    async with deployment.worker():
        # All in one lane: chat 1 and a neighbour of it.
        lane = lane_of(message(1, 1, ""), LANES)
        other = next(chat for chat in range(2, 100) if lane_of(message(1, chat, ""), LANES) == lane)
        await deployment.feed(message(1, 1, "boom"), message(2, 1, "after"), message(3, other, "neighbour"))
        await eventually(lambda: done(deployment, 2))
        await eventually(lambda: empty(deployment))
    assert await deployment.listed("done") == [f"{other}:neighbour", "1:after"]
    tried = [line.rsplit(":", 1)[0] for line in await deployment.listed("tried")]
    assert tried.count("1:boom") == 3
    [letter] = await deployment.dead()
    assert (letter["error"], letter["tries"], letter["id"], letter["lane"]) == ("RuntimeError", "3", "1", str(lane))
    assert "cannot digest boom" in letter["reason"]
    assert "on_telegram_message" in letter["traceback"]
    assert '"text":"boom"' in letter["update"]
    assert "sandbox-bot" not in str(letter)  # the token, which the error mentioned
    assert await deployment.broker.client.exists(deployment.keys.tries(lane)) == 0


@pytest.mark.parametrize(
    ("text", "error"), [("hang", "HookTimeout"), ("exit", "SystemExit"), ("cancel", "CancelledError")]
)
async def test_hooks_that_hang_exit_or_are_cancelled_inside(deployment: Rig, text: str, error: str) -> None:
    deployment.bot_settings["hook-timeout"] = 0.3
    async with deployment.worker():
        await deployment.feed(message(1, 1, text), message(2, 1, "after"))
        await eventually(lambda: done(deployment, 1))
        assert await deployment.listed("done") == ["1:after"]
    [letter] = await deployment.dead()
    assert letter["error"] == error
    assert letter["tries"] == "3"


async def test_what_nobody_can_handle_is_kept_as_a_dead_letter(deployment: Rig) -> None:
    keys, client = deployment.keys, deployment.broker.client
    await client.xadd(keys.updates(0), {"update": "not json", "note": "kept"})
    await client.xadd(keys.updates(0), {"nothing": "here"})
    await deployment.feed(
        {"update_id": 1, "kind_of_next_year": {"chat": {"id": 1}, "x": 1}},
        {"update_id": 2, "message": {"chat": {"id": 1}}},
        message(3, 1, "fine"),
    )
    async with deployment.worker():
        await eventually(lambda: done(deployment, 1))
        await eventually(lambda: empty(deployment))
    letters = {letter.get("id", letter["lane"] + letter["entry"]): letter for letter in await deployment.dead()}
    assert len(letters) == 4
    assert "kind_of_next_year" in letters["1"]["reason"]
    assert "message.message_id" in letters["2"]["reason"]
    assert letters["1"]["update"] == '{"update_id":1,"kind_of_next_year":{"chat":{"id":1},"x":1}}'
    assert {letter["tries"] for letter in letters.values()} == {"1"}
    assert any(letter.get("note") == "kept" and "not JSON" in letter["reason"] for letter in letters.values())


async def test_one_chat_in_order_others_at_the_same_time(deployment: Rig) -> None:
    async with deployment.worker():
        # Each waits for a word of its own: they must all be running together.
        await deployment.feed(*(message(chat, chat, "wait") for chat in range(1, 31)))

        async def all_wait() -> bool:
            return len(await deployment.listed("tried")) == 30

        await eventually(all_wait)
        await deployment.broker.client.rpush(deployment.keys.own("go"), *range(30))
        await eventually(lambda: done(deployment, 30))


async def test_updates_from_before_the_first_worker_are_handled(deployment: Rig) -> None:
    await deployment.feed(*(message(number, 5, f"t{number}") for number in range(1, 251)))  # more than one read
    async with deployment.worker():
        await eventually(lambda: done(deployment, 250))
    assert await deployment.listed("done") == [f"5:t{number}" for number in range(1, 251)]


async def test_a_chat_that_fails_does_not_fill_the_lane(deployment: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """More updates of a stuck chat than are kept decoded; the others still pass, and nothing is lost."""
    monkeypatch.setattr("bot_worker.lane.UPDATES_BOUND", 10)
    deployment.bot_settings["retry-delays"] = [1.5]
    lane = lane_of(message(1, 1, ""), LANES)
    other = next(chat for chat in range(2, 100) if lane_of(message(1, chat, ""), LANES) == lane)
    stuck = [message(number, 1, f"t{number}") for number in range(2, 302)]
    async with deployment.worker():
        await deployment.feed(message(1, 1, "boom"), *stuck, message(400, other, "neighbour"))
        await eventually(lambda: done(deployment, 1))
        assert (await deployment.listed("done"))[0] == f"{other}:neighbour"
        await eventually(lambda: done(deployment, 301))
    assert first_of_each(await deployment.listed("done"))["1"] == [f"t{number}" for number in range(2, 302)]


async def test_a_stop_lets_the_running_hook_finish_and_leaves_the_rest(deployment: Rig) -> None:
    async with deployment.worker() as process:
        await deployment.feed(message(1, 1, "wait"), message(2, 1, "next"))
        await eventually(lambda: deployment.listed("tried"))
        process.stopping.set()
        await deployment.broker.client.rpush(deployment.keys.own("go"), 1)
    assert await deployment.listed("done") == ["1:wait"]
    assert await deployment.waiting() == 1
    async with deployment.worker():
        await eventually(lambda: done(deployment, 2))
    assert len(await deployment.listed("tried")) == 2


async def test_a_successor_sees_what_was_handed_out_and_the_old_owner_is_refused(deployment: Rig) -> None:
    broker, keys = deployment.broker, deployment.keys
    names = Names(keys.lane_lease(0), keys.lane_fence(0))
    old, new = Lease(broker, names, "old"), Lease(broker, names, "new")
    async with Bus(broker, "test") as bus:
        log = UpdateLog(broker, bus, 1)
        await old.take()
        before = LaneStream(broker, bus, keys, 0, old.fence)
        await before.open()
        await log.append("bot", message(1, 1, "a"), "webhook")
        [entry] = (await before.read(NEW, 10)).entries
        assert await before.count(entry.id) == 1
        await broker.client.delete(keys.lane_lease(0))  # it ran out
        await new.take()
        after = LaneStream(broker, bus, keys, 0, new.fence)
        await log.append("bot", message(2, 1, "b"), "webhook")
        for step in (before.read(NEW, 10), before.ack(entry.id), before.count(entry.id)):
            with pytest.raises(LaneLost):
                await step
        [again] = (await after.read(FIRST, 10)).entries
        assert (again.id, again.tries, again.again) == (entry.id, 1, True)
        assert [one.fields[b"id"] for one in (await after.read(NEW, 10)).entries] == [b"2"]
        nothing = await after.read(NEW, 10)
        assert not nothing.entries
        await log.append("bot", message(3, 1, "c"), "webhook")
        await after.wait(nothing.news_after)
        letter = {"reason": "x", "lane": "0", "entry": again.id}
        await after.bury(again.id, letter, again=False)
        await after.bury(again.id, letter, again=True)  # as after a lost answer
        assert len(await deployment.dead()) == 1
        assert await broker.client.xlen(keys.updates(0)) == 2
