"""`mini-apps tail`: what passes through a deployment, line by line."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from rich.console import Console
from rich.text import Text

from mini_apps.cli.inspect.decode import Seen
from mini_apps.cli.inspect.looking import Look, apps_of
from mini_apps.cli.inspect.traffic import Sources, Traffic
from mini_apps.cli.problem import EXIT_USAGE, Problem
from mini_apps.cli.view import DIM, clean
from shared.backlog import read_backlog
from shared.broker import Broker
from shared.settings import Settings

COLOURS: Final = {"message": "cyan", "command": "magenta", "signal": "blue", "update": "green", "call": "yellow"}
KINDS: Final = ("message", "command", "signal", "update", "call", "result")
LINES_A_SECOND: Final = 500  # more are counted, not shown: a terminal is slower than a deployment


@dataclass(frozen=True, slots=True)
class Filter:
    """What is shown; empty and 0 for everything.

    Attributes:
        user: Telegram id.
        channel: pattern of the app's channels, such as `game:*`.
        trace: correlation id, or its begin.
        kinds: of `KINDS`.
    """

    user: int = 0
    channel: str = ""
    trace: str = ""
    kinds: tuple[str, ...] = ()

    def lets(self, seen: Seen) -> bool:
        """Tell whether something is shown."""
        return (
            (not self.user or seen.user == self.user)
            and (not self.channel or fnmatchcase(seen.channel, self.channel))
            and (not self.trace or seen.trace.startswith(self.trace))
            and (not self.kinds or seen.kind in self.kinds)
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants to see.

    Attributes:
        app: its name; empty for all.
        filter: what of it.
        bodies: whole.
        limit: lines after which it ends, 0 for none.
        seconds: after which it ends, 0 for none.
        as_json: for programs.
    """

    app: str
    filter: Filter
    bodies: bool
    limit: int
    seconds: float
    as_json: bool


def kinds_of(words: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds that somebody named, in the singular or plural.

    Raises:
        Problem: there is no such kind.
    """
    found = tuple(word.strip().lower().removesuffix("s") for word in words)
    for kind in found:
        if kind not in KINDS:
            raise Problem(f"there is no kind {kind!r}; there are {', '.join(KINDS)}", EXIT_USAGE)
    return found


def showing(ask: Ask) -> Look:
    """Make the look that goes on until its end or Ctrl-C."""

    async def look(broker: Broker, settings: Settings) -> None:
        backlogs = [await read_backlog(broker, app) for app in apps_of(settings, ask.app)]
        lanes = {backlog.app: max(0, len(backlog.lanes) - 1) for backlog in backlogs}
        traffic = Traffic(broker, Sources(lanes, ask.bodies))
        printer = Printer(Console(highlight=False), ask)
        try:
            async with traffic.listening():
                await _print(traffic, printer, ask.seconds)
        finally:
            printer.end(traffic.dropped)

    return look


async def _print(traffic: Traffic, printer: "Printer", seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds or None):
            while not printer.full:
                printer.take(await traffic.next())


class Printer:
    """Prints what the filter lets through, up to so many lines a second.

    Args:
        console: where to.
        ask: what is wanted.
        clock: seconds that only grow.
    """

    def __init__(self, console: Console, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._ask = ask
        self._clock = clock
        self._shown = 0
        self._second = 0
        self._lines = 0  # of this second
        self._left_out = 0

    @property
    def full(self) -> bool:
        """Whether as many lines as were asked for are there."""
        return 0 < self._ask.limit <= self._shown

    def take(self, seen: Seen) -> None:
        """Print one thing, if it is wanted and there is room."""
        if not self._ask.filter.lets(seen):
            return
        if (second := int(self._clock())) != self._second:
            self._tell_left_out()
            self._second, self._lines = second, 0
        if self._lines >= LINES_A_SECOND:
            self._left_out += 1
            return
        self._lines += 1
        self._shown += 1
        if self._ask.as_json:
            print(json.dumps(seen.to_json(time.time()), ensure_ascii=False), flush=True)
        elif self._console.is_terminal:
            whole = self._ask.bodies
            self._console.print(line(seen), no_wrap=not whole, overflow="ellipsis", crop=not whole)
        else:
            print(line(seen).plain.rstrip(), flush=True)

    def end(self, dropped: int) -> None:
        """Say what was not shown."""
        self._left_out += dropped
        self._tell_left_out()

    def _tell_left_out(self) -> None:
        if self._left_out and not self._ask.as_json:
            self._console.print(Text(f"… {self._left_out:,} more passed too fast to be shown; filter them", DIM))
        self._left_out = 0


def line(seen: Seen) -> Text:
    """Return one thing as a line."""
    text = Text()
    text.append(f"{datetime.now().astimezone():%H:%M:%S.%f}"[:-3] + "  ", style=DIM)
    text.append(f"{seen.kind:8} ", style=COLOURS.get(seen.kind, ""))
    text.append(f"{clean(seen.app):10} ")
    text.append(f"{clean(seen.where):18} ", style="bold")
    text.append(f"{clean(seen.what):30}")
    if seen.trace:
        text.append(f" {clean(seen.trace)}", style=DIM)
    if seen.body is not None:
        text.append("  " + clean(json.dumps(seen.body, ensure_ascii=False, separators=(",", ":"))), style=DIM)
    return text
