"""The compose run's search for secrets: it finds what is there, and does not take nothing for a clean place."""

import pytest

from bench.compose.leaks import Place, search
from bench.processes import MeasurementFailed

SECRETS = {"token": b"42:secret", "key": b"abcdef"}


def test_a_secret_that_lies_over_two_pieces_is_found() -> None:
    found = search(Place("log"), [b"lines 42:se", b"cret and more"], SECRETS, b"lines")
    assert (found.found, found.size) == ({"token"}, 24)


def test_what_is_clean_is_clean() -> None:
    assert search(Place("log"), [b"lines 42:sec", b"and abc"], SECRETS, b"lines").found == set()


def test_a_place_without_its_sign_was_not_looked_at() -> None:
    with pytest.raises(MeasurementFailed, match="log: b'lines' is not in it"):
        search(Place("log"), [], SECRETS, b"lines")
