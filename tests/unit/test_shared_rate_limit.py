"""The token bucket of each caller."""

import pytest

from shared.rate_limit import RateLimit


def test_a_burst_then_the_rate() -> None:
    limit = RateLimit(60)
    assert [limit.take("a", 100.0) for _ in range(60)] == [0.0] * 60
    assert limit.take("a", 100.0) == pytest.approx(1.0)
    assert limit.take("a", 100.5) == pytest.approx(0.5)
    assert limit.take("a", 101.0) == 0.0
    assert limit.take("a", 101.0) > 0


def test_refused_tries_cost_nothing_and_the_bucket_does_not_overflow() -> None:
    limit = RateLimit(2)
    assert [limit.take("a", 0.0) > 0 for _ in range(5)] == [False, False, True, True, True]
    assert limit.take("a", 30.0) == 0.0
    assert [limit.take("a", 1e6) > 0 for _ in range(3)] == [False, False, True]


def test_callers_do_not_share() -> None:
    limit = RateLimit(1)
    assert limit.take("a", 0.0) == 0.0
    assert limit.take("b", 0.0) == 0.0
    assert limit.take("a", 0.0) > 0


def test_zero_means_no_limit_and_no_memory() -> None:
    limit = RateLimit(0)
    assert all(limit.take("a", 0.0) == 0.0 for _ in range(1000))
    assert len(limit) == 0


def test_a_full_table_forgets_who_was_quiet_longest() -> None:
    limit = RateLimit(1, most=2)
    limit.take("a", 0.0)
    limit.take("b", 0.0)
    limit.take("a", 0.0)  # refused, but heard of
    limit.take("c", 0.0)
    assert len(limit) == 2
    assert limit.forgotten == 1
    assert limit.take("a", 0.0) > 0  # still remembered
    assert limit.take("b", 0.0) == 0.0  # was forgotten, so starts afresh
