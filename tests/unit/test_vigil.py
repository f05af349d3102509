"""Whom a process may believe dead, and what a seat is called."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.presence import Seat, Vigil

LIFE = 6.0


def test_calm_comes_a_life_after_the_first_renewal() -> None:
    vigil = Vigil(LIFE)
    assert not vigil.current(0.0)
    for second in range(8):
        vigil.renewed(second, second + 0.1)
        assert vigil.current(second + 0.2)
        assert vigil.calm(second + 0.2) is (second + 0.2 >= 0.1 + LIFE)


def test_an_interruption_takes_calm_away_for_a_life() -> None:
    vigil = _calm_at(100.0)
    assert vigil.calm(103.0)
    assert not vigil.calm(103.1)
    assert not vigil.current(103.1)
    vigil.renewed(120.0, 120.1)
    assert vigil.current(120.2)
    for second in range(121, 130):
        assert vigil.calm(second) is (second >= 120.1 + LIFE)
        vigil.renewed(second, second + 0.1)


def test_an_answer_that_comes_late_is_an_interruption() -> None:
    vigil = _calm_at(100.0)
    vigil.renewed(101.0, 121.0)
    assert not vigil.current(121.0)
    vigil.renewed(121.0, 121.1)
    assert vigil.current(121.2)
    assert not vigil.calm(121.2)


def test_a_lost_connection_is_an_interruption_however_short() -> None:
    vigil = _calm_at(100.0)
    vigil.interrupted()
    assert not vigil.current(100.1)
    vigil.renewed(100.1, 100.2)
    assert vigil.current(100.3)
    assert not vigil.calm(100.3)


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), max_size=30))
def test_who_is_calm_renewed_without_a_gap_for_a_life(steps: list[tuple[float, float]]) -> None:
    """For any pauses between renewals and any times they take."""
    vigil, now, renewals = Vigil(LIFE), 0.0, []
    for pause, takes in steps:
        asked = now + pause
        now = asked + takes
        vigil.renewed(asked, now)
        renewals.append((asked, now))
        if vigil.calm(now):
            assert now - asked <= LIFE / 2
            recent = [(a, b) for a, b in renewals if b > now - LIFE]
            assert all(after[1] - before[0] <= LIFE / 2 for before, after in pairwise(recent))
            assert renewals[0][1] <= now - LIFE


@given(st.integers(1, 2**52), st.text(st.characters(blacklist_categories=["Cs"])))
def test_a_seat_survives_its_member(user: int, channel: str) -> None:
    seat = Seat(user, channel)
    assert Seat.of(seat.member.encode()) == seat


def _calm_at(now: float) -> Vigil:
    vigil = Vigil(LIFE)
    for second in range(int(now) - 10, int(now) + 1):
        vigil.renewed(second, second)
    assert vigil.calm(now)
    return vigil
