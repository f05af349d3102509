"""Which lane an update belongs to, and what counts as an update."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.updates import BadUpdate, lane_of, order_key, parse_update


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ({"message": {"chat": {"id": -100500}, "from": {"id": 7}}}, -100500),
        ({"callback_query": {"from": {"id": 7}, "message": {"chat": {"id": -5}}}}, -5),
        ({"callback_query": {"from": {"id": 7}, "inline_message_id": "x"}}, 7),
        ({"inline_query": {"from": {"id": 7}, "query": "q"}}, 7),
        ({"pre_checkout_query": {"from": {"id": 9}}}, 9),
        ({"my_chat_member": {"chat": {"id": 8}, "from": {"id": 9}}}, 8),
        ({"message_reaction": {"chat": {"id": 8}, "user": {"id": 9}}}, 8),
        ({"poll_answer": {"user": {"id": 9}}}, 9),
        ({"poll_answer": {"voter_chat": {"id": -9}}}, -9),
        ({"poll": {"id": "123"}}, 0),
        ({"a_kind_of_next_year": {"chat": {"id": 11}}}, 11),
        ({"a_kind_of_next_year": "text"}, 0),
        ({"message": {"chat": "nonsense", "from": None}}, 0),
        ({}, 0),
    ],
)
def test_updates_are_ordered_by_chat_then_user(event: dict, key: int) -> None:
    assert order_key({"update_id": 1, **event}) == key


def test_a_user_s_private_chat_and_inline_queries_share_a_lane() -> None:
    message = {"update_id": 1, "message": {"chat": {"id": 77}, "from": {"id": 77}}}
    query = {"update_id": 2, "inline_query": {"from": {"id": 77}}}
    assert lane_of(message, 16) == lane_of(query, 16)


@given(st.integers(), st.integers(1, 1024))
def test_a_lane_is_in_range(chat: int, lanes: int) -> None:
    assert 0 <= lane_of({"update_id": 1, "message": {"chat": {"id": chat}}}, lanes) < lanes


def test_lanes_are_the_same_in_another_process() -> None:
    chats = [1001, -100123456789, 5, 0]
    code = (
        "from shared.updates import lane_of\n"
        f"print([lane_of({{'message': {{'chat': {{'id': c}}}}}}, 16) for c in {chats}])"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "123", "PYTHONPATH": "."}, capture_output=True, check=True
    )
    assert other.stdout.decode().strip() == str([lane_of({"message": {"chat": {"id": c}}}, 16) for c in chats])


def test_chats_spread_over_the_lanes() -> None:
    counts = Counter(lane_of({"message": {"chat": {"id": 100_000 + n}}}, 16) for n in range(1600))
    assert len(counts) == 16
    assert max(counts.values()) < 200


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"null", b"{", b"\xff", b"{}", b'{"update_id":"1"}', b'{"update_id":1.5}', b'{"update_id":true}',
        b'{"update_id":-1}', b'{"update_id":99999999999999999999999}',
    ],
)  # fmt: skip
def test_what_is_no_update_is_refused_without_repeating_it(raw: bytes) -> None:
    with pytest.raises(BadUpdate) as caught:
        parse_update(raw)
    assert "9999" not in str(caught.value)


def test_unknown_kinds_are_updates() -> None:
    assert parse_update(b'{"update_id":5,"brand_new":{"x":1}}') == {"update_id": 5, "brand_new": {"x": 1}}
