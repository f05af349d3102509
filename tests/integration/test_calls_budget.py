"""The rate budget over a real Valkey: its script by a clock of the test's own, and budgets that share it."""

import asyncio
import contextlib
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_worker.calls import budget as module
from bot_worker.calls.budget import Budget, TooLate
from bot_worker.calls.rates import SECOND, Rates
from shared.broker import BrokerUnavailable
from shared.bus import Bus
from shared.scripts import Script
from shared.updates import Overloaded
from support import eventually

START = 1_795_328_095_871_553  # µs of a real clock: 16 digits, which Lua would round
TICK = "local now = tonumber(table.remove(ARGV))"
ADMIT = Script(TICK + module.ADMIT)
PAUSE = Script(TICK + module.PAUSE)
numbers = count()


@pytest.fixture
async def bus(broker):
    async with Bus(broker, "test") as opened:
        yield opened


class Clocked:
    """The script at times the test names."""

    def __init__(self, bus, keys, rates):
        self.bus, self.keys, self.rates = bus, keys, rates.arguments()

    async def ask(self, now, *calls):
        keys = [self.keys.budget]
        for chat, _ in calls:
            keys += [self.keys.budget_chat(str(chat)), self.keys.budget_group(str(chat))]
        reply = await ADMIT.run(self.bus, keys, *self.rates, *(kinds for _, kinds in calls), START + int(now))
        return list(zip(reply[::2], reply[1::2], strict=True))

    async def pause(self, now, seconds, chat=None):
        key = self.keys.budget if chat is None else self.keys.budget_chat(str(chat))
        await PAUSE.run(self.bus, (key,), int(seconds * SECOND), START + int(now))


@pytest.fixture
def clocked(bus, broker):
    def make(**rates):
        return Clocked(bus, broker.keys.app(f"app{next(numbers)}"), Rates(**rates))

    return make


async def test_a_burst_then_the_rate_to_the_microsecond(clocked):
    script = clocked(overall=10, chat=0)  # five at once, then one each 100 ms
    answers = await script.ask(0, *((chat, "c") for chat in range(7)))
    assert answers == [(0, 0)] * 5 + [(2, 100_000)] * 2
    assert await script.ask(99_999, (8, "c")) == [(2, 1)]
    assert await script.ask(100_000, (8, "c"), (9, "c")) == [(0, 0), (2, 100_000)]


async def test_a_chat_waits_for_itself_and_not_for_others(clocked):
    script = clocked()
    assert await script.ask(0, (1, "c"), (1, "c"), (1, "c"), (2, "c")) == [(0, 0), (0, 0), (1, SECOND), (0, 0)]
    assert await script.ask(SECOND, (1, "c"), (1, "c")) == [(0, 0), (1, SECOND)]


async def test_a_group_gets_so_many_in_any_minute(clocked):
    script = clocked(chat=0, group=3)
    answers = await script.ask(0, *[("-5", "cg")] * 4)
    assert answers == [(0, 0)] * 3 + [(1, 61 * SECOND)]
    assert await script.ask(60 * SECOND, ("-5", "cg"), ("-6", "cg")) == [(1, SECOND), (0, 0)]
    assert await script.ask(61 * SECOND, ("-5", "cg")) == [(0, 0)]


async def test_bulk_leaves_room_for_interactive_calls_and_uses_all_the_rest(clocked):
    script = clocked(chat=0)
    answers = await script.ask(0, *((chat, "cb") for chat in range(20)))
    assert [verdict for verdict, _ in answers] == [0] * 10 + [2] * 10
    assert [verdict for verdict, _ in await script.ask(0, *((chat, "c") for chat in range(6)))] == [0] * 5 + [2]
    now, went, until = 0, 0, 20 * SECOND
    while now < until:
        ((verdict, wait),) = await script.ask(now, (1, "cb"))
        went += verdict == 0
        now += wait
    assert 0.98 * 30 * 20 <= went <= 30 * 20


async def test_paid_calls_have_a_limit_of_their_own(clocked):
    script = clocked(overall=2, paid=1000, chat=0)
    assert [v for v, _ in await script.ask(0, (1, "c"), (2, "c"), (3, "cp"), (4, "cbp"))] == [0, 2, 0, 0]


async def test_a_pause_stops_what_telegram_named_and_the_longest_counts(clocked):
    script = clocked()
    await script.pause(0, 5, chat=1)
    await script.pause(SECOND, 1, chat=1)
    assert await script.ask(2 * SECOND, (1, "c"), (2, "c"), ("", "-")) == [(3, 3 * SECOND), (0, 0), (0, 0)]
    await script.pause(2 * SECOND, 10)
    assert await script.ask(3 * SECOND, (2, "c"), ("", "-")) == [(4, 9 * SECOND)] * 2
    assert await script.ask(12 * SECOND, (1, "c"), (2, "c"), ("", "-")) == [(0, 0)] * 3


async def test_a_clock_that_is_put_back_does_not_silence_the_bot(clocked):
    script = clocked(group=2)
    hour = 3600 * SECOND
    await script.ask(hour, ("-1", "cg"), ("-1", "cg"), ("-1", "cg"))
    now = 0
    while (answer := (await script.ask(now, ("-1", "cg")))[0]) != (0, 0):
        now += answer[1]
    assert now <= 3 * SECOND


async def test_without_limits_everything_goes(clocked):
    script = clocked(overall=0, paid=0, chat=0, group=0)
    assert await script.ask(0, *[("-1", "cg"), ("1", "cb"), ("1", "cp")] * 50) == [(0, 0)] * 150


async def test_what_is_kept_ends_by_itself(clocked, broker):
    script = clocked()
    await script.ask(0, (1, "c"), ("-1", "cg"))
    await script.pause(0, 90, chat=2)
    await script.pause(0, 30)
    left = [raw async for raw in broker.client.scan_iter(f"{script.keys.base}*")]
    lives = {raw.decode().removeprefix(script.keys.budget): await broker.client.pttl(raw) for raw in left}
    assert set(lives) == {"", ":chat:1", ":chat:-1", ":group:-1", ":chat:2"}
    assert all(0 < life <= 91_000 for life in lives.values())
    assert lives[":chat:1"] <= 2_000


calls = st.tuples(st.integers(0, 200_000), st.sampled_from([1, 2, 3, -1, -2]), st.sampled_from(["c", "cb"]))


async def test_no_window_ever_holds_too_many(clocked):
    loop = asyncio.get_running_loop()

    async def run(steps, overall, burst, group):
        script = clocked(overall=overall, chat=2, chat_burst=burst, group=group)
        now, went = 0, []
        for pause, chat, kinds in steps:
            now += pause
            ((verdict, _),) = await script.ask(now, (chat, kinds + "g" * (chat < 0)))
            went += [(now, chat)] * (verdict == 0)
        for at, (since, _) in enumerate(went):
            for until, _ in went[at:]:
                inside = [chat for time, chat in went if since <= time <= until]
                seconds = (until - since) / SECOND
                assert len(inside) <= max(1, overall // 2) + overall * seconds
                assert all(inside.count(chat) <= burst + 2 * seconds for chat in (1, 2, 3, -1, -2))
                assert all(inside.count(chat) <= group for chat in (-1, -2) if seconds < 60)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(calls, max_size=40), st.integers(1, 40), st.integers(1, 4), st.integers(1, 5))
    def check(steps, overall, burst, group):
        asyncio.run_coroutine_threadsafe(run(steps, overall, burst, group), loop).result()

    await asyncio.to_thread(check)


async def test_workers_share_one_budget_and_keep_each_chats_order(broker):
    """Three workers at once: never more than the burst and the rate, and a chat's calls in their order."""
    keys, loop = broker.keys.app("shared"), asyncio.get_running_loop()
    began, went = loop.time(), []

    async def send(budget, chat, number):
        await budget.admit(chat, bulk=chat % 2 == 0)
        went.append((loop.time() - began, chat, number))

    async with contextlib.AsyncExitStack() as stack:
        buses = [await stack.enter_async_context(Bus(broker, f"worker-{at}")) for at in range(3)]
        budgets = [Budget(opened, keys, Rates(overall=100, chat=1000, chat_burst=1000)) for opened in buses]
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                for chat in range(15):
                    group.create_task(send(budgets[chat % 3], chat, number))
    assert len(went) == 150
    assert all(at <= 50 + 100 * time + 1 for at, (time, _, _) in enumerate(went, 1))
    for chat in range(15):
        assert [number for _, of, number in went if of == chat] == list(range(10))


async def test_interactive_calls_pass_bulk_ones_that_wait(bus, broker):
    budget = Budget(bus, broker.keys.app("shared"), Rates(overall=20, chat=0))
    went = []

    async def send(chat, bulk):
        await budget.admit(chat, bulk=bulk)
        went.append(bulk)

    async with asyncio.TaskGroup() as group:
        for chat in range(20):
            group.create_task(send(chat, bulk=True))
        await eventually(lambda: len(went) >= 7)
        before = len(went)
        for chat in range(3):
            group.create_task(send(chat, bulk=False))
    *_, last = (at for at, bulk in enumerate(went) if not bulk)
    assert last <= before + 3  # one that waited may have been let through before it could say so


async def test_one_paused_chat_blocks_nobody_else_in_any_worker(bus, broker):
    keys = broker.keys.app("paused")
    async with Bus(broker, "other") as other_bus:
        one, other = Budget(bus, keys), Budget(other_bus, keys)
        await one.pause(60, 7)
        waiting = asyncio.create_task(other.admit(7))
        for _ in range(10):
            await other.admit(None)
        await other.admit(8)
        assert not waiting.done()
        loop = asyncio.get_running_loop()
        with pytest.raises(TooLate, match="pause"):
            await other.admit(7, deadline=loop.time() + 30)  # known at once, not after 30 s
        await one.pause(60, None)
        with pytest.raises(TooLate, match="pause"):
            await one.admit(None, deadline=loop.time() + 30)
        waiting.cancel()


async def test_a_deadline_and_the_bound_are_kept(bus, broker):
    budget = Budget(bus, broker.keys.app("late"), Rates(chat_burst=1), bound=2)
    loop = asyncio.get_running_loop()
    await budget.admit(7)
    with pytest.raises(TooLate, match="deadline"):
        await budget.admit(7, deadline=loop.time() + 0.05)
    waiting = [asyncio.create_task(budget.admit(7)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await budget.admit(8)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await budget.admit(8)
    await eventually(lambda: budget._asker is not None and budget._asker.done(), what="an end of asking")


async def test_redis_that_is_gone_is_said_and_waited_for_by_nobody(own_valkey, tmp_path):
    from shared.broker import Broker
    from shared.settings import load

    (tmp_path / "empty.toml").write_text("")
    loaded = load(tmp_path / "empty.toml", {"MINI_APPS__REDIS__URL": own_valkey.url})
    async with Broker(loaded.redis) as opened, Bus(opened, "alone") as alone:
        budget = Budget(alone, opened.keys.app("gone"))
        await budget.admit(7)
        own_valkey.kill()

        async def refused():
            with contextlib.suppress(BrokerUnavailable):
                await budget.admit(None)
                return False
            return True

        await eventually(refused)
