"""The steps of presence on a real Valkey: each can be repeated, and whoever dies in between, somebody finishes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared import presence
from shared.broker import Broker
from shared.bus import Bus
from shared.bus_frames import Message, pack, unpack
from shared.keys import AppKeys
from shared.presence import EVERYWHERE, Seat
from support import eventually

SEAT = Seat(1001, "room with spaces")
ADA = b'{"telegram_id":1001}'
HEAD = b'{"user":'


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[Bus]:
    async with Bus(broker, "presence-test") as opened:
        yield opened


@pytest.fixture
def keys(broker: Broker) -> AppKeys:
    return broker.keys.app("chat")


@pytest.fixture
async def heard(bus: Bus, keys: AppKeys) -> list[Any]:
    frames: list[Any] = []
    await bus.subscribe(keys.channel(SEAT.channel), lambda data: frames.append(unpack(data)))
    return frames


async def _enter(bus: Bus, keys: AppKeys, owner: str, seat: Seat = SEAT) -> bool:
    return await presence.enter(bus, keys, seat, owner, ADA, pack(Message(HEAD, exclude="c1")))


async def _sweep(bus: Bus, keys: AppKeys, seat: Seat = SEAT) -> list[str]:
    claim = await presence.claim(bus, seat.queue(keys), 10, 60)
    verdicts = [await presence.leave(bus, keys, due, pack(Message(HEAD))) for due in claim.seats]
    await presence.done(bus, claim, claim.seats)
    return list(verdicts)


async def test_a_user_held_by_two_leaves_after_the_second(bus: Bus, keys: AppKeys, heard: list[Any]) -> None:
    assert [await _enter(bus, keys, owner) for owner in ("a.1", "a.1", "b.1")] == [True, False, False]
    assert await presence.present(bus, keys, SEAT.channel) == [ADA]
    for _ in range(2):
        await presence.exit_(bus, keys, SEAT, "a.1", 0)
    assert await _sweep(bus, keys) == []
    await presence.exit_(bus, keys, SEAT, "b.1", 0)
    assert await _sweep(bus, keys) == ["left"]
    assert await presence.present(bus, keys, SEAT.channel) == []
    await eventually(lambda: len(heard) == 2)
    assert heard == [Message(HEAD + ADA + b"}", exclude="c1"), Message(HEAD + ADA + b"}")]


async def test_who_comes_back_in_the_grace_stays_unannounced(bus: Bus, keys: AppKeys, heard: list[Any]) -> None:
    await _enter(bus, keys, "a.1")
    await presence.exit_(bus, keys, SEAT, "a.1", 0)
    assert not await _enter(bus, keys, "b.1")
    assert await _sweep(bus, keys) == ["present"]
    await presence.exit_(bus, keys, SEAT, "b.1", 600)
    assert await _sweep(bus, keys) == []
    assert await presence.present(bus, keys, SEAT.channel) == [ADA]
    await eventually(lambda: heard)
    assert len(heard) == 1


async def test_a_claim_whose_owner_died_comes_to_the_next(bus: Bus, keys: AppKeys) -> None:
    await _enter(bus, keys, "a.1")
    await presence.exit_(bus, keys, SEAT, "a.1", 0)
    first = await presence.claim(bus, keys.leaving, 10, 0)  # and then it dies
    second = await presence.claim(bus, keys.leaving, 10, 60)
    assert first.seats == second.seats == (SEAT,)
    assert (await presence.claim(bus, keys.leaving, 10, 60)).seats == ()
    assert await presence.leave(bus, keys, SEAT, b"") == "left"
    assert await presence.leave(bus, keys, SEAT, b"") == "absent"


async def test_who_left_anew_during_a_claim_is_not_forgotten(bus: Bus, keys: AppKeys) -> None:
    await _enter(bus, keys, "a.1")
    await presence.exit_(bus, keys, SEAT, "a.1", 0)
    claim = await presence.claim(bus, keys.leaving, 10, 60)
    await _enter(bus, keys, "b.1")
    await presence.exit_(bus, keys, SEAT, "b.1", 0)
    await presence.done(bus, claim, claim.seats)
    assert await _sweep(bus, keys) == ["left"]


async def test_the_dead_are_found_by_one_and_again_if_that_one_dies(bus: Bus, keys: AppKeys, broker: Broker) -> None:
    await _enter(bus, keys, "dead.1")
    await _enter(bus, keys, "dead.1", Seat(1001, EVERYWHERE))
    await presence.renew(bus, keys, "dead.1", 0, 0)
    assert await presence.renew(bus, keys, "a.1", 0.001, 5) == ["dead.1"]
    found = await eventually(lambda: presence.renew(bus, keys, "b.1", 60, 5))
    assert "dead.1" in found
    assert await presence.renew(bus, keys, "c.1", 60, 5) == []
    assert set(await presence.held(bus, keys, "dead.1", 10)) == {SEAT, Seat(1001, EVERYWHERE)}
    for seat in await presence.held(bus, keys, "dead.1", 10):
        await presence.exit_(bus, keys, seat, "dead.1", 0)
    await presence.bury(bus, keys, "dead.1")
    await presence.bury(bus, keys, "a.1")
    assert await presence.held(bus, keys, "dead.1", 10) == []
    assert await _sweep(bus, keys) == ["left"]
    assert await _sweep(bus, keys, Seat(1001, EVERYWHERE)) == ["left"]
    await presence.abandon(bus, keys, "dead.1")
    await presence.abandon(bus, keys, "b.1")
    assert await presence.renew(bus, keys, "c.1", 60, 5) == ["dead.1"]
    await presence.bury(bus, keys, "dead.1")
    left = {key.decode().removeprefix(keys.base) async for key in broker.client.scan_iter(f"{keys.base}*")}
    assert left == {"presence-nodes"}
