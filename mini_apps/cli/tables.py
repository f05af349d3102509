"""Tables as plain text."""

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[bool] | None = None) -> str:
    """Lay rows out in columns; the last column is as long as it is.

    Args:
        heads: the columns' names.
        rows: as many values each.
        right: for each column whether it stands to the right; columns of whole numbers where this is not given.
    """
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(len(head), *(len(row[at]) for row in cells)) if cells else len(head) for at, head in enumerate(heads)]
    if right is None:
        right = [bool(rows) and all(isinstance(row[at], int) for row in rows) for at in range(len(heads))]
    lines = [heads, *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def shorten(text: str, width: int) -> str:
    """Cut a text to a width, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
