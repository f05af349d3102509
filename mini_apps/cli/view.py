"""How tables and times look: aligned columns, bold heads and a few colours on a terminal, plain text elsewhere."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mini_apps.cli.tables import table

UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
GOOD: Final = "green"
WORRY: Final = "yellow"
BAD: Final = "bold red"
DIM: Final = "bright_black"


@dataclass(frozen=True, slots=True)
class Cell:
    """A value with the colour it has on a terminal."""

    value: object
    style: str = ""


Row = Sequence[object]


def clean(text: str) -> str:
    """Return a text that others chose, fit for a terminal: what would move its cursor or colour it is shown instead."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def ago(seconds: float) -> str:
    """Say how long something lasts, in its largest unit."""
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), UNITS[-1])
    return f"{int(seconds / size)} {unit}"


def since(unix: float) -> str:
    """Say how long ago a time is; empty for none."""
    return ago(max(0.0, time.time() - unix)) if unix else ""


def number(value: float) -> str:
    """Give a rate: as a whole from ten up."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def show(heads: Sequence[str], rows: Sequence[Row], right: Sequence[str] = ()) -> None:
    """Print a table.

    Args:
        heads: the columns' names.
        rows: as many values or `Cell`s each.
        right: the columns that stand to the right though they are no whole numbers.
    """
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(grid(heads, rows, right))
    else:
        print(table(heads, [[clean(str(_value(cell))) for cell in row] for row in rows], _to_right(heads, rows, right)))


def grid(heads: Sequence[str], rows: Sequence[Row], right: Sequence[str] = ()) -> Table:
    """Lay rows out for a terminal; what does not fit ends in an ellipsis."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for head, to_right in zip(heads, _to_right(heads, rows, right), strict=True):
        made.add_column(head, justify="right" if to_right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        made.add_row(*(_text(cell) for cell in row))
    return made


def _to_right(heads: Sequence[str], rows: Sequence[Row], right: Sequence[str]) -> list[bool]:
    whole = [bool(rows) and all(isinstance(_value(row[at]), int) for row in rows) for at in range(len(heads))]
    return [head in right or is_whole for head, is_whole in zip(heads, whole, strict=True)]


def _value(cell: object) -> object:
    return cell.value if isinstance(cell, Cell) else cell


def _text(cell: object) -> Text:
    return Text(clean(str(_value(cell))), style=cell.style if isinstance(cell, Cell) else "")
