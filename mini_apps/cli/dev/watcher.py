"""`--reload`: what to do when the author saved a file."""

import asyncio
import importlib.util
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from mini_apps.cli.dev.reload import LOOK_SECONDS, changed, look, syntax_trouble
from mini_apps.cli.dev.runner import Runner
from mini_apps.cli.problem import Problem
from shared.settings import SettingsError


class FileWatcher:
    """Has the right children renewed after a change, and shows what is wrong with it if it cannot run.

    Args:
        folders: of the apps' modules.
        files: that settings are read from.
        remake: reads the settings again, writes the children's, and names the children that need them.
    """

    def __init__(
        self, folders: Collection[Path], files: Collection[Path], remake: Callable[[], Collection[str]]
    ) -> None:
        self._folders = folders
        self._files = files
        self._remake = remake
        self._broken: set[Path] = set()

    async def watch(self, runner: Runner) -> None:
        """Look twice a second, for ever."""
        before = look(self._folders, self._files)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            after = look(self._folders, self._files)
            if paths := changed(before, after):
                before = after
                self._take(paths, runner)

    def _take(self, paths: Sequence[Path], runner: Runner) -> None:
        names = ", ".join(sorted({path.name for path in paths}))
        self._broken.update(paths)
        if (trouble := self._trouble()) is not None:
            runner.screen.event(f"{trouble}; what ran before goes on, waiting for the next change")
            return
        children = set(runner.app_children())
        if not self._broken.isdisjoint(self._files):
            try:
                children |= set(self._remake())
            except (SettingsError, Problem) as error:
                runner.screen.event(f"{names} changed, but: {error}")
                return
        _forget_compiled(self._broken)
        self._broken.clear()
        runner.screen.event(f"{names} changed: restarting {', '.join(sorted(children))}")
        runner.renew(children)

    def _trouble(self) -> str | None:
        return syntax_trouble(sorted(self._broken))


def _forget_compiled(paths: Iterable[Path]) -> None:
    """Remove compiled code: Python compares whole seconds and sizes, and would miss a second save within one."""
    for path in paths:
        if path.suffix == ".py":
            Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
