"""`mini-apps top`: a deployment as it is now, drawn anew every second."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator

from redis.exceptions import RedisError
from rich.console import Console, ConsoleRenderable
from rich.live import Live
from rich.text import Text

from mini_apps.cli.inspect.looking import Look, apps_of, as_text, nothing_here
from mini_apps.cli.inspect.screen import draw, plain
from mini_apps.cli.inspect.snapshot import Snapshot, take
from mini_apps.cli.problem import Problem
from mini_apps.cli.view import BAD
from shared.broker import UNREACHABLE, Broker
from shared.settings import Settings

KEYS = "q quits · space pauses"


def showing(app: str, every: float, *, once: bool, as_json: bool) -> Look:
    """Make the look that goes on until somebody presses q.

    Args:
        app: its name; empty for all.
        every: seconds between two readings.
        once: read once, print and end; so it is too where nobody sits at a terminal.
        as_json: for programs: with `once` one object, else one a line for each reading.
    """

    async def look(broker: Broker, settings: Settings) -> None:
        apps = apps_of(settings, app)
        console = Console(highlight=False)
        live = console.is_terminal and sys.stdin.isatty() and not console.is_dumb_terminal
        if once or not (live or as_json):
            found = await take(broker, apps)
            if not found.nodes:
                raise Problem(await nothing_here(broker))
            if as_json:
                as_text(found.to_json())
            elif console.is_terminal:
                console.print(draw(found, console.width, 0))
            else:
                print(plain(found))
        elif as_json:
            await _lines(broker, apps, every)
        else:
            await Screen(broker, apps, every, console).run()

    return look


async def _lines(broker: Broker, apps: list[str], every: float) -> None:
    import json

    while True:
        print(json.dumps((await take(broker, apps)).to_json(), ensure_ascii=False), flush=True)
        await asyncio.sleep(every)


class Screen:
    """The live view: reads, draws, and listens to the keyboard.

    Args:
        broker: the open broker.
        apps: to show.
        every: seconds between two readings.
        console: the terminal.
    """

    def __init__(self, broker: Broker, apps: list[str], every: float, console: Console) -> None:
        self._broker = broker
        self._apps = apps
        self._every = every
        self._console = console
        self._ended = asyncio.Event()
        self._paused = False
        self._woken = asyncio.Event()
        self._last: Snapshot | None = None

    async def run(self) -> None:
        """Draw until q, Ctrl-C or the end of the terminal."""
        with self._keyboard(), Live(console=self._console, screen=True, auto_refresh=False) as live:
            while not self._ended.is_set():
                live.update(await self._drawn(), refresh=True)
                self._woken.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await self._woken.wait()

    async def _drawn(self) -> ConsoleRenderable:
        trouble = ""
        if not self._paused or self._last is None:
            try:
                self._last = await take(self._broker, self._apps)
            except (*UNREACHABLE, RedisError) as error:
                trouble = f"Redis does not answer ({type(error).__name__}); this is from before"
        if self._last is None:
            return Text(trouble, style=BAD)
        width, height = self._console.size
        said = trouble or ("paused · " if self._paused else "") + f"every {self._every:g} s · {KEYS}"
        return draw(self._last, width, height, said)

    @contextlib.contextmanager
    def _keyboard(self) -> Iterator[None]:
        """Take single keys from the terminal while the block runs, and leave it as it was."""
        import termios
        import tty

        handle, loop = sys.stdin.fileno(), asyncio.get_running_loop()
        before = termios.tcgetattr(handle)
        tty.setcbreak(handle)
        loop.add_reader(handle, self._pressed, handle)
        try:
            yield
        finally:
            loop.remove_reader(handle)
            termios.tcsetattr(handle, termios.TCSADRAIN, before)

    def _pressed(self, handle: int) -> None:
        keys = os.read(handle, 64)
        if not keys or b"q" in keys.lower():
            self._ended.set()
        if b" " in keys:
            self._paused = not self._paused
        self._woken.set()
