"""The board's shape, its colours, and what people call a place on it; nothing here asks anybody."""

import re
from typing import Any

from mini_apps import AppError

SIDE = 256  # pixels in each direction
PLACES = SIDE * SIDE
BOARD_BYTES = PLACES // 2  # two pixels a byte, left one first, as PNG has them too

# Name and colour; the first is what nobody has painted yet.
PALETTE = (
    ("paper", "#fbfaf7"),
    ("white", "#ffffff"),
    ("silver", "#c3c9d2"),
    ("slate", "#697483"),
    ("ink", "#191d24"),
    ("brown", "#8f5a3c"),
    ("red", "#e0393e"),
    ("orange", "#f7812d"),
    ("yellow", "#ffce38"),
    ("lime", "#9bd95f"),
    ("green", "#22995a"),
    ("cyan", "#37c3d6"),
    ("blue", "#2c6be0"),
    ("violet", "#7a4fd6"),
    ("magenta", "#cf4fb4"),
    ("pink", "#ff9fc0"),
)


def parse_place(text: str) -> int | None:
    """Return the place that a start parameter names, None where it names none.

    Args:
        text: `x_y` with both from 0 to 255, as in `t.me/bot/app?startapp=12_40`.
    """
    match = re.fullmatch(r"([0-9]{1,3})_([0-9]{1,3})", text)
    if match is None:
        return None
    x, y = int(match[1]), int(match[2])
    return y * SIDE + x if x < SIDE and y < SIDE else None


def name_of(place: int) -> str:
    """Return the start parameter that opens the board at a place."""
    return f"{place % SIDE}_{place // SIDE}"


def number(data: dict[str, Any], key: str, below: int) -> int:
    """Return a number of a client's message.

    Raises:
        AppError: it is missing, no whole number, or out of range.
    """
    value = data.get(key)
    if type(value) is not int or not 0 <= value < below:  # `True` is an int to isinstance
        raise AppError(f"`{key}` has to be a whole number from 0 to {below - 1}", code="bad")
    return value
