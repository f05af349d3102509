"""What thousands of people might have painted, for the pictures of the documentation."""

import math
import random
from collections.abc import Iterator

from examples.pixel_board.places import PALETTE, SIDE

NUMBER = {name: index for index, (name, _) in enumerate(PALETTE)}
HEART = ("011000110", "111101111", "111111111", "111111111", "011111110", "001111100", "000111000", "000010000")
FLOWERS = ("pink", "magenta", "red", "violet", "orange", "white")


def painted() -> Iterator[tuple[int, int]]:
    """Yield place and colour of each pixel of a landscape that is not quite finished."""
    dice = random.Random(7)
    for place in range(SIDE * SIDE):
        x, y = place % SIDE, place // SIDE
        worn = min(x, y, SIDE - 1 - x, SIDE - 1 - y) - dice.randrange(26)
        if worn >= 0:
            yield place, NUMBER[_landscape(x, y, dice)]
        elif dice.random() < 0.05:
            yield place, dice.randrange(1, len(PALETTE))
    for number in range(5):
        left, top, size = dice.randrange(30, 200), dice.randrange(40, 90), dice.choice((1, 2, 2))
        yield from _stamp(HEART, left, top, size, NUMBER["red" if number % 2 else "pink"])


def _landscape(x: int, y: int, dice: random.Random) -> str:
    far = 128 + 26 * math.sin(x / 23) + 13 * math.sin(x / 9 + 2)
    near = 184 + 13 * math.sin(x / 31 + 1) + 4 * math.sin(x / 7)
    sun = math.hypot(x - 186, y - 62)
    if y > near:
        return dice.choice(FLOWERS) if dice.random() < 0.05 else "lime" if (x + y) % 9 < 2 else "green"
    if y > far:
        return "white" if y < far + 9 + 4 * math.sin(x / 3) else "silver" if (x - y) % 23 < 7 else "slate"
    if sun < 24:
        return "yellow"
    if sun < 46 and math.sin(math.atan2(y - 62, x - 186) * 12) > 0.35:
        return "orange"
    cloud = math.sin(x / 17) + math.sin(x / 7 + y / 9) + 3 * math.cos((y - 84) / 9)
    if 58 < y < 104 and cloud > 3.2 and sun > 60:
        return "white"
    return "blue" if y < 52 + dice.randrange(12) else "cyan"


def _stamp(rows: tuple[str, ...], left: int, top: int, size: int, colour: int) -> Iterator[tuple[int, int]]:
    for row, line in enumerate(rows):
        for column, mark in enumerate(line):
            for dot in range(size * size) if mark == "1" else ():
                x, y = left + column * size + dot % size, top + row * size + dot // size
                yield y * SIDE + x, colour
