"""Medians over the repetitions, and ratios of what was measured in the same repetition."""

from collections.abc import Mapping
from statistics import median

Values = Mapping[str, Mapping[str, Mapping[str, list[float]]]]


class Medians:
    """What was measured, condensed.

    Args:
        values: row, side, figure, and one value for each repetition.
    """

    def __init__(self, values: Values) -> None:
        self._values = values

    def of(self, row: str, side: str, figure: str) -> float | None:
        """Give one median; None for what was not measured."""
        values = self._list(row, side, figure)
        return median(values) if values else None

    def ratio(self, row: str, side: str, other: str, figure: str) -> float | None:
        """Give how often `other` fits into `side`: the median of the ratios within each repetition."""
        mine, theirs = self._list(row, side, figure), self._list(row, other, figure)
        if not mine or not theirs or not all(theirs):
            return None
        if len(mine) != len(theirs):  # one of them failed once, so they cannot be paired
            return median(mine) / median(theirs)
        return median(a / b for a, b in zip(mine, theirs, strict=True))

    def all(self) -> dict[str, dict[str, dict[str, float]]]:
        """Give every median."""
        return {
            row: {side: {name: median(values) for name, values in figures.items()} for side, figures in sides.items()}
            for row, sides in self._values.items()
        }

    def _list(self, row: str, side: str, figure: str) -> list[float]:
        return self._values.get(row, {}).get(side, {}).get(figure, [])
