"""Updates that kill or hold up a worker, and those that must go ahead of everything."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot_rig import LANES, TOKEN, Rig, message, rig
from shared.keys import FAST_LANE
from shared.updates import lane_of
from support import eventually


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


def checkout(number: int, user: int, payload: str) -> dict[str, Any]:
    """Make an update of somebody who is about to pay."""
    person = {"id": user, "is_bot": False, "first_name": "P"}
    query = {"id": str(number), "from": person, "currency": "XTR", "total_amount": 1, "invoice_payload": payload}
    return {"update_id": number, "pre_checkout_query": query}


def neighbour(chat: int) -> int:
    """Find another chat of the same lane."""
    lane = lane_of(message(1, chat, ""), LANES)
    return next(other for other in range(chat + 1, 200) if lane_of(message(1, other, ""), LANES) == lane)


async def test_an_update_that_kills_its_worker_each_time_ends_among_the_dead(deployment: Rig) -> None:
    """Whoever starts the worker again, as an operator's supervisor would, the update is given up after some deaths."""
    deployment.bot_settings["retry-delays"] = [0.05]
    other = neighbour(1)
    await deployment.feed(message(1, 1, "kill"), message(2, other, "wait"), message(3, 1, "after"))
    deaths: list[int] = []

    def again() -> subprocess.Popen[bytes]:
        worker = deployment.start_worker()
        deployment.processes.remove(worker)
        return worker

    worker = again()
    try:

        async def over() -> bool:
            nonlocal worker
            if worker.poll() is not None:
                deaths.append(worker.returncode)
                worker = again()
            return "1:after" in await deployment.listed("done")

        await eventually(over, seconds=300, what="the update after the one that kills")
        await deployment.broker.client.rpush(deployment.keys.own("go"), *range(9))
        await eventually(lambda: _empty(deployment), what="empty lanes")
    finally:
        worker.kill()
        worker.wait()
    [letter] = await deployment.dead()
    assert (letter["id"], letter["error"]) == ("1", "WorkerDied")
    assert deaths == [-signal.SIGKILL] * 3  # one try that nobody counted, and one more than there are delays
    assert f"{other}:wait" in await deployment.listed("done")  # though it was in its hook at each death


async def _empty(deployment: Rig) -> bool:
    return await deployment.waiting() == 0


async def test_a_hook_that_ignores_its_end_is_told_of_and_holds_up_its_chat_only(deployment: Rig, capfd) -> None:
    deployment.bot_settings["hook-timeout"] = 0.2
    seen = ""

    def told() -> bool:
        nonlocal seen
        seen += "".join(capfd.readouterr())
        return "a hook ignores that it was cut off" in seen

    async with deployment.worker():
        await deployment.feed(message(1, 1, "deaf"), message(2, 1, "after"), message(3, neighbour(1), "neighbour"))
        await eventually(told)
        assert "_listen_to_nobody" in seen
        assert await deployment.listed("done") == [f"{neighbour(1)}:neighbour"]
        await deployment.broker.client.set(deployment.keys.own("listen"), 1)
        await eventually(lambda: _empty(deployment))
        assert (await deployment.listed("done"))[1:] == [
            "1:deaf",
            "1:after",
        ]  # it came to its end, so it counts as done
    assert await deployment.dead() == []


async def test_a_large_text_a_strange_kind_and_nonsense_hold_up_nobody(deployment: Rig) -> None:
    large = "x" * 1_000_000
    strange = {"update_id": 2, "mind_reading": {"chat": {"id": 1, "type": "private"}, "thought": 42}}
    async with deployment.worker():
        await deployment.feed(message(1, 1, large), strange, {"update_id": 3, "message": [1]}, message(4, 1, "fine"))
        await eventually(lambda: _empty(deployment))
    assert await deployment.listed("done") == [f"1:{large}", "1:fine"]
    assert {letter["id"]: letter["error"] for letter in await deployment.dead()} == {
        "2": "Undeliverable",
        "3": "Undeliverable",
    }


async def test_a_checkout_overtakes_what_its_user_has_waiting(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "bot_apps:Shop", "bot-token": TOKEN}}
    assert lane_of(checkout(1, 1, ""), LANES) == FAST_LANE
    async with deployment.worker():
        await deployment.feed(message(1, 1, "wait"), *(message(number, 1, "next") for number in range(2, 50)))
        await eventually(lambda: deployment.listed("tried"))
        await deployment.feed(checkout(50, 1, "now"))
        await eventually(lambda: deployment.listed("checkouts"))
        assert await deployment.listed("done") == []
        await deployment.broker.client.rpush(deployment.keys.own("go"), 1)
        await eventually(lambda: _empty(deployment))
    assert await deployment.broker.client.xlen(deployment.keys.updates(FAST_LANE)) == 0


async def test_a_checkout_is_tried_while_telegram_takes_the_answer_and_then_recorded(
    deployment: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_worker.lane.FAST_SECONDS", 1.0)
    deployment.apps = {"bot": {"class": "bot_apps:Shop", "bot-token": TOKEN}}
    async with deployment.worker():
        began = time.monotonic()
        await deployment.feed(checkout(1, 1, "fail"), checkout(2, 2, "hang"), checkout(3, 3, "fine"))

        async def two() -> bool:
            return len(await deployment.dead()) == 2

        await eventually(two)
        assert time.monotonic() - began >= 0.9
    tried = await deployment.listed("checkouts")
    assert (tried.count("hang"), tried.count("fine")) == (1, 1)
    assert tried.count("fail") > 1
    letters = await deployment.dead()
    assert {letter["error"] for letter in letters} == {"TooLate"}
    assert {letter["lane"] for letter in letters} == {"fast"}


async def test_an_old_checkout_is_recorded_without_bothering_the_hook(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "bot_apps:Shop", "bot-token": TOKEN}}
    await deployment.feed(checkout(1, 1, "old"))
    keys, client = deployment.keys, deployment.broker.client
    [(entry, fields)] = await client.xrange(keys.updates(FAST_LANE))
    await client.xdel(keys.updates(FAST_LANE), entry)
    await client.xadd(keys.updates(FAST_LANE), {**fields, b"received": str(int((time.time() - 11) * 1000))})
    async with deployment.worker():
        [letter] = await eventually(deployment.dead)
    assert letter["error"] == "TooLate"
    assert await deployment.listed("checkouts") == []


async def test_the_fast_lane_has_an_owner_among_several_workers(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "bot_apps:Shop", "bot-token": TOKEN}}
    first, second = deployment.start_worker(), deployment.start_worker()
    lease = deployment.keys.lane_lease(FAST_LANE)

    async def owner() -> bytes | None:
        found: bytes | None = await deployment.broker.client.get(lease)
        return found

    async def shared() -> bool:
        keys = [deployment.keys.lane_lease(lane) for lane in range(LANES)]
        owners = await deployment.broker.client.mget(keys)
        return None not in owners and len(set(owners)) == 2

    await eventually(shared, seconds=300)
    holder = await eventually(owner)
    nodes = {process: process.pid for process in (first, second)}
    assert len(nodes) == 2
    status = await deployment.broker.client.hgetall(deployment.broker.keys.node(holder.decode()))
    killed = await _process_of(deployment, status[b"address"].decode(), (first, second))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    began = time.monotonic()
    await deployment.feed(checkout(1, 1, "after the death"))
    await eventually(lambda: deployment.listed("checkouts"))
    assert time.monotonic() - began < 10
    assert await owner() != holder


async def _process_of(deployment: Rig, address: str, processes: Any) -> "subprocess.Popen[bytes]":
    for process in processes:
        log = deployment.path / f"worker-{deployment.processes.index(process)}.log"
        if address in await asyncio.to_thread(log.read_text):
            found: subprocess.Popen[bytes] = process
            return found
    raise AssertionError(address)
