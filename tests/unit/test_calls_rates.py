"""What the limits of a bot mean in numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_worker.calls.rates import SECOND, Rates, bucket, chat_name, interval, is_group


def test_the_defaults_are_telegrams():
    step, most, most_bulk, *paid, chat, chat_most, group, window = Rates().arguments()
    assert (step, most // step, most_bulk // step) == (33_334, 14, 9)
    assert paid[0] == 1_000
    assert (chat, chat_most) == (SECOND, SECOND)
    assert (group, window) == (20, 61 * SECOND)


def test_zero_is_no_limit():
    assert Rates(0, 0, 0, 0, 0).arguments()[:8] == (0,) * 8


@given(st.integers(1, 100_000))
def test_the_overall_rate_is_never_exceeded_and_nearly_used(rate):
    step, most, most_bulk = bucket(rate)
    assert step * rate >= SECOND
    assert step * rate < SECOND + rate  # at most a microsecond a message is given away
    assert 0 <= most_bulk <= most
    assert most_bulk < most or rate < 6
    assert (most // step + 1) <= max(1, rate // 2)


def test_a_chat_has_one_name():
    assert {chat_name(7), chat_name("7"), chat_name(" 7 ")} == {"7"}
    assert {chat_name("@News"), chat_name("@news"), chat_name("news")} == {"@news"}
    assert chat_name(-100) == "-100"


@pytest.mark.parametrize(("chat", "group"), [(7, False), (-7, True), ("@news", True), ("7", False)])
def test_groups_and_channels_are_known_by_their_names(chat, group):
    assert is_group(chat_name(chat)) is group


def test_one_a_second_is_a_second():
    assert (interval(1), interval(0)) == (SECOND, 0)
