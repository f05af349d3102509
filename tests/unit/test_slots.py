"""Redis Cluster's arithmetic."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.keys import AppKeys
from shared.redis_url import Address
from shared.slots import SLOTS, Redirect, key_of, layout_of, redirect_of, slot_of, tag_in

ASKED = Address("10.0.0.1", 6379)


def crc16(data: bytes) -> int:
    """The specification's CRC16, bit by bit."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def test_the_specifications_own_example() -> None:
    assert crc16(b"123456789") == 0x31C3
    assert slot_of(b"123456789") == 0x31C3 % SLOTS


@given(st.binary(max_size=60))
def test_a_name_without_a_tag_is_hashed_as_a_whole(name: bytes) -> None:
    plain = name.replace(b"{", b"")
    assert slot_of(plain) == crc16(plain) % SLOTS


@pytest.mark.parametrize(
    ("name", "hashed"),
    [
        (b"{user1000}.following", b"user1000"),
        (b"foo{}{bar}", b"foo{}{bar}"),
        (b"foo{{bar}}zap", b"{bar"),
        (b"foo{bar}{zap}", b"bar"),
        (b"foo{bar", b"foo{bar"),
        (b"}foo{bar}", b"bar"),
    ],
)
def test_hash_tags(name: bytes, hashed: bytes) -> None:
    assert slot_of(name) == crc16(hashed) % SLOTS


@given(st.text(min_size=1, max_size=40), st.integers(0, 2**40))
def test_keys_that_one_script_touches_share_a_slot(name: str, number: int) -> None:
    keys = AppKeys("ma", "app")
    history = {keys.channel_stream(name), keys.channel_meta(name), keys.channel_ids(name, number), keys.channel(name)}
    present = {keys.presence(name), keys.holders(name), keys.channel(name)}
    lane = {
        keys.updates(3),
        keys.seen(3, number),
        keys.tries(3),
        keys.placed(3),
        keys.lane_lease(3),
        keys.lane_fence(3),
    }
    calls = {keys.calls, keys.calls_bulk, keys.call_done(name), keys.budget_chat(name), keys.broadcast_open(name)}
    for together in (history, present, lane, calls):
        assert len({slot_of(key.encode()) for key in together}) == 1


def test_broadcast_parts_are_spread() -> None:
    keys = AppKeys("ma", "app")
    assert len({slot_of(keys.everyone(part).encode()) * 3 // SLOTS for part in range(16)}) == 3


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), b"a"),
        (("SPUBLISH", b"b", b"payload"), b"b"),
        (("EVALSHA", "digest", 2, "c", "d", "argument"), b"c"),
        (("EVAL", "text", 1, "c"), b"c"),
        (("XGROUP", "CREATE", "e", "group", "0"), b"e"),
        (("XINFO", "CONSUMERS", "f", "group"), b"f"),
    ],
)
def test_the_key_of_a_command(command: tuple[str | bytes | int, ...], key: bytes) -> None:
    assert key_of(command) == key


def test_a_layout_knows_who_has_which_slot() -> None:
    layout = layout_of(
        [[0, 99, [b"", 7000, b"id"], [b"10.0.0.9", 7009, b"id"]], [100, 100, [b"host", 7001, b"id"]]], ASKED
    )
    assert layout.primaries == {Address("10.0.0.1", 7000), Address("host", 7001)}
    assert layout.owners[99] == Address("10.0.0.1", 7000)
    assert layout.owners[100] == Address("host", 7001)
    assert layout.owners[101] is None


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("MOVED 3999 127.0.0.1:6381", Redirect(for_good=True, slot=3999, address=Address("127.0.0.1", 6381))),
        ("ASK 3999 ::1:6381", Redirect(for_good=False, slot=3999, address=Address("::1", 6381))),
        ("MOVED 3999 :6381", Redirect(for_good=True, slot=3999, address=Address("10.0.0.1", 6381))),
        ("MOVED nowhere", None),
        ("CLUSTERDOWN Hash slot not served", None),
    ],
)
def test_where_a_server_sends_us(reply: str, found: Redirect | None) -> None:
    assert redirect_of(reply, ASKED) == found


@settings(deadline=None, max_examples=20)  # one slot alone takes 16,384 tries on average
@given(st.integers(0, SLOTS - 1))
def test_a_tag_for_any_slot(slot: int) -> None:
    tag = tag_in({slot})
    assert slot_of(f"ma:_:beat:{{{tag}}}:ws-1".encode()) == slot
