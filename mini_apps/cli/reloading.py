"""`bot --reload` and `ws --reload`: the process runs as a child, which starts anew when the author saved a file."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Collection, Sequence
from pathlib import Path

from mini_apps.cli.dev.reload import LOOK_SECONDS, changed, look, syntax_trouble
from mini_apps.cli.dev.target import module_folder
from shared.settings import load

STOP_SECONDS = 10.0


def run(arguments: Sequence[str], settings: Path | None) -> int:
    """Run one service until a signal, or until it ends well by itself; return its exit code.

    Args:
        arguments: of `mini-apps`, such as `["bot", "--port", "0"]`.
        settings: the settings file, if one was named.

    Raises:
        Problem: an app's module cannot be found.
        SettingsError: the settings have mistakes.
    """
    read = load(settings)
    folders = [module_folder(app.class_path) for app in read.apps.values() if app.class_path]
    command = [sys.executable, "-m", "mini_apps", "--tied", *arguments]
    return asyncio.run(Reloader(command, folders, read.files).run())


class Reloader:
    """Keeps one child running, and renews it after each change that Python can read.

    Args:
        command: of the child.
        folders: of the apps' modules.
        files: that settings are read from.
    """

    def __init__(self, command: Sequence[str], folders: Collection[Path], files: Collection[Path]) -> None:
        self._command = command
        self._folders = folders
        self._files = files
        self._child: Process | None = None
        self._stopping = asyncio.Event()
        self._save = asyncio.Event()

    async def run(self) -> int:
        """Run until the first signal, which the child gets too; a second one ends it at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        watching = asyncio.create_task(self._watch(), name="reload")
        try:
            return await self._keep()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    def _stop(self) -> None:
        self._stopping.set()
        if self._child is not None and self._child.returncode is None:
            self._child.terminate()

    async def _keep(self) -> int:
        while True:
            self._save.clear()
            # The pipe tells the child when this process is gone.
            self._child = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, start_new_session=True)
            if self._stopping.is_set():
                self._child.terminate()
            await self._either(self._child.wait(), self._save.wait())
            if self._child.returncode is None and not self._stopping.is_set():
                await self._end(self._child)
                continue
            code = await self._child.wait()
            if code == 0 or self._stopping.is_set():
                return code
            _say(f"it ended with code {code}; waiting for the next change")
            await self._either(self._save.wait(), self._stopping.wait())
            if self._stopping.is_set():
                return code

    async def _watch(self) -> None:
        before, broken = look(self._folders, self._files), set[Path]()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            after = look(self._folders, self._files)
            if not (paths := changed(before, after)):
                continue
            before = after
            broken.update(paths)
            if (trouble := syntax_trouble(sorted(broken))) is not None:
                _say(f"{trouble}; what ran before goes on, waiting for the next change")
                continue
            _say(f"{', '.join(sorted({path.name for path in broken}))} changed: starting anew")
            broken.clear()
            self._save.set()

    async def _end(self, child: Process) -> None:
        child.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    async def _either(self, *waits: object) -> None:
        tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]  # coroutines all
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def _say(text: str) -> None:
    print(f"--reload: {text}", file=sys.stderr, flush=True)
