"""What `dev` writes: progress, the banner, its own events and the children's lines."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TextIO

from mini_apps.cli.dev.lines import Style, render

CLEAR = "\r\x1b[K"


class Screen:
    """A terminal, or a file that gets the same words without colors.

    Args:
        apps: names of the apps.
        verbose: show everything.
        out: standard output unless given.
    """

    def __init__(self, apps: Sequence[str], *, verbose: bool, out: TextIO | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self._terminal = self._out.isatty()
        colors = self._terminal and not os.environ.get("NO_COLOR")  # https://no-color.org
        self.style = Style(apps=frozenset(apps), verbose=verbose, colors=colors)
        self._progress = ""

    def progress(self, text: str) -> None:
        """Show what is being done now; on a terminal it is replaced by what comes next."""
        if self._terminal:
            self._write(f"{CLEAR}{self.style.paint(text, '2')}" if text else CLEAR, end="")
            self._progress = text
        elif text:
            self._write(text)

    def banner(self, lines: Sequence[str]) -> None:
        """Show the lines that tell what runs where."""
        self.progress("")
        for line in lines:
            is_link = line.lstrip().startswith("open ")
            self._write(self.style.paint(line, "1") if is_link else line)

    def event(self, text: str) -> None:
        """Tell what the runner itself did or saw."""
        self._above(f"{self.style.paint('dev'.ljust(self.style.width), '1')} {text}")

    def child_line(self, name: str, line: str) -> None:
        """Show a line of a child, if it is worth it."""
        if (text := render(name, line, self.style)) is not None:
            self._above(text)

    def last_lines(self, name: str, lines: Iterable[str]) -> None:
        """Show what a child wrote before it failed: what is worth it, or everything when nothing is."""
        shown = [text for line in lines if (text := render(name, line, self.style)) is not None]
        everything = replace(self.style, verbose=True)
        for text in shown or [text for line in lines if (text := render(name, line, everything)) is not None]:
            self._above(text)

    def _above(self, text: str) -> None:
        """Write a line; unfinished progress moves below it."""
        if self._progress:
            self._write(f"{CLEAR}{text}\n{self.style.paint(self._progress, '2')}", end="")
        else:
            self._write(text)

    def _write(self, text: str, end: str = "\n") -> None:
        try:
            self._out.write(text + end)
            self._out.flush()
        except OSError:  # the terminal is gone; a signal tells us so too
            return
