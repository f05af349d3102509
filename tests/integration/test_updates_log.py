"""The update log against a real Valkey."""

import asyncio

import pytest

from shared.broker import Broker, BrokerUnavailable
from shared.bus import Bus
from shared.lifecycle import StartError
from shared.updates import SEEN_SECONDS, BadUpdate, Overloaded, UpdateLog, agree_on_lanes, lane_of


def message(update_id: int, chat: int = 7, text: str = "hi") -> dict:
    return {"update_id": update_id, "message": {"chat": {"id": chat}, "text": text}}


async def test_an_update_is_taken_once_and_kept_as_it_came(broker: Broker) -> None:
    keys = broker.keys.app("counter")
    raw = b'{ "update_id": 12, "message": {"chat":{"id":7}}, "new_field": "\\u00e9" }'
    async with Bus(broker, "n1") as bus:
        log = UpdateLog(broker, bus, 16)
        assert await log.append("counter", raw, "webhook") is True
        assert await log.append("counter", raw, "polling") is False
        assert await log.append("other", raw, "webhook") is True  # apps have windows of their own
    lane = lane_of(message(12), 16)
    [(_, fields)] = await broker.client.xrange(keys.updates(lane))
    assert fields[b"update"] == raw
    assert (fields[b"id"], fields[b"via"]) == (b"12", b"webhook")
    assert int(fields[b"received"]) > 1_700_000_000_000
    assert SEEN_SECONDS - 60 <= await broker.client.ttl(keys.seen(lane, 12)) <= SEEN_SECONDS


async def test_one_chat_keeps_its_order_when_appends_share_a_turn(broker: Broker) -> None:
    keys = broker.keys.app("counter")
    async with Bus(broker, "n1") as bus:
        log = UpdateLog(broker, bus, 4)
        # 70,000 ids cross the blocks of the window twice
        await asyncio.gather(*(log.append("counter", message(number * 70), "webhook") for number in range(1000)))
    entries = await broker.client.xrange(keys.updates(lane_of(message(1), 4)))
    assert [int(fields[b"id"]) for _, fields in entries] == [number * 70 for number in range(1000)]


async def test_a_full_lane_refuses_and_takes_again_later(broker: Broker) -> None:
    keys = broker.keys.app("counter")
    async with Bus(broker, "n1") as bus:
        log = UpdateLog(broker, bus, 1, bound=2)
        for number in (1, 2):
            await log.append("counter", message(number), "webhook")
        with pytest.raises(Overloaded, match=r"counter.*2 updates already wait"):
            await log.append("counter", message(3), "webhook")
        [first, _] = await broker.client.xrange(keys.updates(0))
        await broker.client.xdel(keys.updates(0), first[0])
        assert await log.append("counter", message(3), "webhook") is True  # the refusal did not mark it as seen


async def test_no_update_is_appended_for_nonsense(broker: Broker, prefix: str) -> None:
    async with Bus(broker, "n1") as bus:
        log = UpdateLog(broker, bus, 16)
        for nonsense in (b"[]", b"{}", b"x"):
            with pytest.raises(BadUpdate):
                await log.append("counter", nonsense, "webhook")
    assert [key async for key in broker.client.scan_iter(f"{prefix}:*")] == []


async def test_a_script_redis_forgot_is_taught_again(broker: Broker) -> None:
    async with Bus(broker, "n1") as bus:
        log = UpdateLog(broker, bus, 16)
        await log.append("counter", message(1), "webhook")
        await broker.client.script_flush()
        assert await log.append("counter", message(2), "webhook") is True


async def test_without_redis_nothing_is_said_to_be_taken(own_valkey, tmp_path) -> None:
    from shared.settings import load

    (tmp_path / "s.toml").write_text("")
    settings = load(tmp_path / "s.toml", {"MINI_APPS__REDIS__URL": own_valkey.url})
    async with Broker(settings.redis) as broker, Bus(broker, "n1") as bus:
        log = UpdateLog(broker, bus, 16)
        await log.append("counter", message(1), "webhook")
        own_valkey.kill()
        with pytest.raises(BrokerUnavailable):
            await log.append("counter", message(2), "webhook")


async def test_processes_agree_on_the_number_of_lanes(broker: Broker) -> None:
    await agree_on_lanes(broker, "counter", 16)
    await agree_on_lanes(broker, "counter", 16)
    with pytest.raises(StartError, match=r"bot\.lanes = 16"):
        await agree_on_lanes(broker, "counter", 8)
