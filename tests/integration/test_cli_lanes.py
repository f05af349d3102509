"""`mini-apps dead` and `mini-apps lanes` against a deployment that has dead letters and waiting updates."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot_rig import LANES, Rig, message, rig
from bot_worker.resize import CannotResize, Resize
from dev_support import environment, run
from shared.broker import BrokerUnavailable
from shared.bus import Bus
from shared.dead_letters import DeadLetters
from shared.keys import FAST_LANE
from shared.lifecycle import StartError
from shared.updates import LanesChanging, UpdateLog, agree_on_lanes, lane_of
from support import eventually


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def cli(deployment: Rig, *words: str) -> Any:
    deployment.settings()
    env = {**environment(deployment.path), "PYTHONPATH": ""}
    more = ("--settings", str(deployment.path / "settings.json"))
    return await asyncio.to_thread(run, *words, *more, cwd=deployment.path, env=env)


async def bury(deployment: Rig, *texts: str) -> None:
    """Let updates of chat 7 die in a worker."""
    deployment.bot_settings["retry-delays"] = []
    async with deployment.worker():
        await deployment.feed(*(message(number, 7, text) for number, text in enumerate(texts, start=100)))

        async def dead() -> bool:
            return len(await deployment.dead()) == len(texts)

        await eventually(dead)


async def test_dead_letters_are_listed_shown_tried_again_and_dropped(deployment: Rig) -> None:
    nothing = await cli(deployment, "dead", "list")
    assert (nothing.returncode, nothing.stdout) == (0, "bot has no dead letters\n")
    await bury(deployment, "boom one", "boom two", "boom three")
    listed = await cli(deployment, "dead", "list", "--limit", "2")
    assert listed.returncode == 0, listed.stderr
    heads, *rows = listed.stdout.splitlines()
    assert heads.split() == ["id", "died", "(UTC)", "update", "kind", "chat", "tries", "why"]
    assert rows[0].split()[3:9] == ["101", "message", "7", "1", "RuntimeError:", "cannot"]
    assert "the newest 2 of 3" in listed.stdout
    found = json.loads((await cli(deployment, "dead", "list", "--json")).stdout)
    assert (found["count"], [one["update_id"] for one in found["letters"]]) == (3, [100, 101, 102])
    assert found["letters"][0]["update"]["message"]["text"] == "boom one"
    one, two, three = (letter["id"] for letter in found["letters"])
    shown = (await cli(deployment, "dead", "show", one)).stdout
    assert '"text": "boom one"' in shown
    assert "on_telegram_message" in shown
    assert json.loads((await cli(deployment, "dead", "show", one, "--json")).stdout)["error"] == "RuntimeError"
    assert (await cli(deployment, "dead", "drop", three)).stdout.endswith(": 1\n")
    assert (await cli(deployment, "dead", "retry", one)).stdout == "put back into the lanes of bot: 1\n"
    assert (await cli(deployment, "dead", "retry", "--all")).stdout == "put back into the lanes of bot: 1\n"
    assert (await deployment.waiting(), await deployment.dead()) == (2, [])
    for words, code in (
        (("retry",), 2),
        (("drop", "nonsense"), 2),
        (("show", three), 1),
        (("drop", "--all", one), 2),
    ):
        refused = await cli(deployment, "dead", *words)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (code, 1), refused.stderr
    assert two


async def test_what_is_tried_again_runs_though_its_id_was_taken_before_and_once(deployment: Rig) -> None:
    await bury(deployment, "boom")
    async with Bus(deployment.broker, "cli") as bus:
        letters = DeadLetters(deployment.broker, bus, "bot")
        [letter] = await letters.newest(5)
        await letters.put_back(letter)
        await letters.put_back(letter)  # as after a crash between the two steps
    assert await deployment.waiting() == 1
    tried = len(await deployment.listed("tried"))
    async with deployment.worker():

        async def again() -> bool:
            return len(await deployment.dead()) == 1

        await eventually(again)
    assert len(await deployment.listed("tried")) == tried + 1


async def test_lanes_are_shown_with_what_waits(deployment: Rig) -> None:
    async with deployment.worker():
        await deployment.feed(message(1, 7, "deaf"))
        await eventually(lambda: deployment.listed("tried"))
        plain, found = await cli(deployment, "lanes", "show"), await cli(deployment, "lanes", "show", "--json")
        await deployment.broker.client.set(deployment.keys.own("listen"), 1)
    assert "bot: 4 lanes and the fast one; 1 updates wait" in plain.stdout
    each = {lane["lane"]: lane for lane in json.loads(found.stdout)["each"]}
    assert set(each) == {"fast", "0", "1", "2", "3"}
    lane = each[str(lane_of(message(1, 7, ""), LANES))]
    assert (lane["waiting"], lane["pending"]) == (1, 1)
    assert all(lane["owner"].startswith("bot-") for lane in each.values())


async def test_lanes_are_not_changed_under_a_worker(deployment: Rig) -> None:
    async with deployment.worker():
        await eventually(deployment.runs)
        refused = await cli(deployment, "lanes", "resize", "8")
        assert refused.returncode == 1
        assert "stop every gateway and bot worker first" in refused.stderr
        assert await deployment.broker.client.get(deployment.keys.lanes) == b"4"


@pytest.mark.parametrize("lanes", [1, 3, 9])
async def test_updates_move_in_order_and_stay_known(deployment: Rig, lanes: int) -> None:
    broker, keys = deployment.broker, deployment.keys
    await agree_on_lanes(broker, "bot", LANES)
    chats = range(1, 41)
    await deployment.feed(*(message(n * 1000 + chat, chat, f"{n}") for n in range(5) for chat in chats))
    checkout = {"update_id": 9999, "pre_checkout_query": {"from": {"id": 1}}}
    await deployment.feed(checkout)
    done = await cli(deployment, "lanes", "resize", str(lanes))
    assert done.returncode == 0, done.stderr
    assert f"now set bot.lanes = {lanes}" in done.stdout
    assert await broker.client.get(keys.lanes) == b"%d" % lanes
    order = defaultdict(list)
    for lane in range(max(lanes, LANES)):
        for _, fields in await broker.client.xrange(keys.updates(lane)):
            update = json.loads(fields[b"update"])
            assert lane == lane_of(update, lanes)
            order[update["message"]["chat"]["id"]].append(update["message"]["text"])
    assert dict(order) == {chat: list("01234") for chat in chats}
    assert await broker.client.xlen(keys.updates(FAST_LANE)) == 1
    async with Bus(broker, "feeder") as bus:  # what Telegram repeats is known wherever it comes to now
        log = UpdateLog(broker, bus, lanes)
        assert not any([await log.append("bot", message(4000 + chat, chat, "4"), "webhook") for chat in chats])


async def test_an_interrupted_change_is_finished_by_the_same_command(
    deployment: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, keys = deployment.broker, deployment.keys
    await agree_on_lanes(broker, "bot", LANES)
    await deployment.feed(*(message(number, number, "text") for number in range(1, 101)))
    move, moved = Resize._move, 0

    async def breaking(self: Resize, *of_what: object) -> None:
        nonlocal moved
        moved += 1
        if moved == 20:
            monkeypatch.setattr("bot_worker.resize.REMOVE.run", _broken)  # placed, and not removed
        await move(self, *of_what)

    async def _broken(*_: object) -> None:
        raise BrokerUnavailable

    async with Bus(broker, "cli") as bus:
        with monkeypatch.context() as patched:
            patched.setattr(Resize, "_move", breaking)
            with pytest.raises(BrokerUnavailable):
                await Resize(broker, bus, "bot", "cli-1").run(7)
        monkeypatch.undo()
        with pytest.raises(StartError, match="lanes resize 7"):
            await agree_on_lanes(broker, "bot", LANES)
        with pytest.raises(LanesChanging):
            raise LanesChanging("bot", await broker.client.get(keys.lanes))
        with pytest.raises(CannotResize, match="lanes resize 7"):
            await Resize(broker, bus, "bot", "cli-2").run(5)
        assert await Resize(broker, bus, "bot", "cli-2").run(7) == LANES
    counts = [await broker.client.xlen(keys.updates(lane)) for lane in range(7)]
    assert sum(counts) == 100
    await agree_on_lanes(broker, "bot", 7)
