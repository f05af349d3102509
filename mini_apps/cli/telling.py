"""The lines of `check`: a mark, what was looked at, what was found."""

import os
import sys
from dataclasses import dataclass, field

MARKS = {"good": ("✓", "32"), "odd": ("!", "33"), "bad": ("✗", "31")}


@dataclass
class Findings:
    """Shows each finding at once and remembers whether one was bad."""

    bad: int = field(default=0)

    def good(self, text: str) -> None:
        """Tell of something that is as it should be."""
        self._tell("good", text)

    def odd(self, text: str) -> None:
        """Tell of something that works but may surprise."""
        self._tell("odd", text)

    def wrong(self, text: str) -> None:
        """Tell of something that has to be changed."""
        self.bad += 1
        self._tell("bad", text)

    def _tell(self, kind: str, text: str) -> None:
        mark, color = MARKS[kind]
        if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):  # https://no-color.org
            mark = f"\x1b[{color}m{mark}\x1b[0m"
        print(mark, text, flush=True)
