"""What a page may send for an event, and what it is told when it sends something else."""

import base64
import math
from typing import Any

import pytest

from examples.mini_event.drafts import read_draft, read_id
from mini_apps import AppError

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
GOOD = {"title": "Tea", "description": "With cake", "start": "2027-01-15T18:00:00Z", "duration": 2}


def test_what_our_page_sends() -> None:
    draft = read_draft({**GOOD, "image": "/media/mini_event/1.png"}, NOW)
    assert (draft.title, draft.description, draft.start, draft.duration) == ("Tea", "With cake", 1_800_036_000, 2.0)
    assert (draft.address, draft.picture) == ("/media/mini_event/1.png", b"")
    assert read_draft({**GOOD, "start": "2027-01-15T19:00:00+01:00"}, NOW).start == 1_800_036_000


def test_what_a_page_of_the_original_sends() -> None:
    image = {"name": "../../cat.png", "base64": base64.b64encode(b"picture").decode()}
    draft = read_draft({"title": "Tea", "description": "", "start": "18:00", "duration": "1.5", "image": image}, NOW)
    assert (draft.start, draft.duration, draft.address, draft.picture) == (1_800_036_000, 1.5, "", b"picture")
    tomorrow = read_draft({**GOOD, "start": "7:59"}, NOW).start
    assert tomorrow == 1_800_000_000 - 60 + 86_400


def test_control_characters_go_and_markup_stays_text() -> None:
    draft = read_draft({**GOOD, "title": " <b>Tea</b>\u202e\x00\n ", "description": "one\ntwo\x1b"}, NOW)
    assert (draft.title, draft.description) == ("<b>Tea</b>", "one\ntwo")


@pytest.mark.parametrize(
    ("field", "values", "word"),
    [
        ("title", [None, "", "  \n", 7, ["Tea"], "x" * 81, "\u200b"], "title"),
        ("description", [7, ["x"], {"a": 1}, "x" * 1001], "description"),
        ("start", [None, "", "25:00", "tomorrow", 7, "2027-01-15T18:00:00", "2027-01-15T06:00:00Z", [],
                   "2031-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"], "start"),
        ("duration", [None, "", "long", 0, -1, 73, math.nan, math.inf, "nan", True, [2], 10**400], "duration"),
        ("image", [7, ["x"], {}, {"base64": 7}, {"base64": "a"}, {"base64": "né"}, {"base64": "%%%%"}], "picture"),
    ],
)  # fmt: skip
def test_everything_else_is_named(field: str, values: list[Any], word: str) -> None:
    for value in values:
        with pytest.raises(AppError, match=word) as caught:
            read_draft({**GOOD, field: value}, NOW)
        assert caught.value.code == "invalid", value


@pytest.mark.parametrize("value", [None, "1", 1.0, True, 0, -1, 2**31, 10**30, [1], {"id": 1}])
def test_what_cannot_be_an_events_id_is_no_event(value: Any) -> None:
    with pytest.raises(AppError, match="No such event"):
        read_id(value)
