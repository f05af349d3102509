"""Reading `[apps]` again while a process runs: at SIGHUP, and when a settings or secret file changed.

A reading with a mistake changes nothing and says each mistake in a line. What changed outside `[apps]` is named and
left alone: it needs a restart.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import structlog
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, BrokerUnavailable
from shared.lifecycle import Process, StartError
from shared.redact import protect
from shared.settings import Changes, Settings, SettingsError, compare, reload

POLL_SECONDS = 1.0

Apply = Callable[[Settings, Changes], Awaitable[None]]
Stamps = dict[Path, tuple[int, int, int]]

log = structlog.get_logger("settings")


@contextlib.asynccontextmanager
async def watched(process: Process, settings: Settings, apply: Apply) -> AsyncIterator[None]:
    """Watch the settings while the block runs.

    Args:
        process: whose SIGHUP counts.
        settings: in effect.
        apply: brings the process to new settings. Before it changed anything it may raise `SettingsError` or
            `StartError` to refuse them, and `BrokerUnavailable` or redis-py's own errors to be called again.
    """
    task = asyncio.create_task(Watch(process, settings, apply).run(), name="settings")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Watch:
    """The settings of a running process.

    Args:
        process: whose SIGHUP counts.
        settings: in effect.
        apply: brings the process to new settings, see `watched`.
    """

    def __init__(self, process: Process, settings: Settings, apply: Apply) -> None:
        self._process = process
        self._settings = settings
        self._apply = apply
        self._files = settings.files
        self._named: list[str] = []  # changes outside `[apps]` that were told

    async def run(self) -> None:
        """Watch until cancelled."""
        latest = _stamps(self._files)
        # The first look reads: the files may have changed since the process began to start; not those of a test.
        used: Stamps = {} if self._process.alone else latest
        while True:
            asked = await self._asked()
            before, latest = latest, _stamps(self._files)
            if asked or (latest != used and latest == before):  # else nothing is new, or somebody still writes
                await self._read_again()
                used = latest = {path: latest.get(path, now) for path, now in _stamps(self._files).items()}

    async def _asked(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._process.reread.wait()
        asked = self._process.reread.is_set()
        self._process.reread.clear()
        return asked

    async def _read_again(self) -> None:
        try:
            found = await asyncio.to_thread(reload, self._settings)
            protect(*found.secrets())
            self._files = found.files
            self._tell_elsewhere(found.elsewhere)
            await self._take(found)
        except SettingsError as error:
            self._files = error.files or self._files
            self._refuse(error.mistakes)
        except StartError as error:
            self._refuse([str(error)])
        except (*UNREACHABLE, RedisError, BrokerUnavailable) as error:
            log.warning("the new settings wait for Redis", error=str(error) or type(error).__name__)
            self._process.reread.set()
            await asyncio.sleep(POLL_SECONDS)
        except Exception:  # a bug, or an author's; what ran before goes on
            log.exception("the new settings could not be taken over to the end; restart this process")

    @staticmethod
    def _refuse(mistakes: list[str]) -> None:
        for mistake in mistakes:
            log.error(mistake)
        log.error("the apps stay as they were: correct the settings", mistakes=len(mistakes))

    def _tell_elsewhere(self, places: list[str]) -> None:
        for place in places:
            if place not in self._named:
                log.warning("a setting outside [apps] changed; that needs a restart of this process", setting=place)
        self._named = places

    async def _take(self, found: Settings) -> None:
        changes = compare(self._settings, found)
        if not changes:
            log.debug("the settings were read again; no app changed")
            return
        await self._apply(found, changes)
        for warning in found.warnings():
            if warning not in self._settings.warnings():
                log.warning(warning)
        self._settings = found
        changed = {name: sorted(keys) for name, keys in changes.changed.items()}
        log.info("the apps were changed", added=changes.added, removed=changes.removed, changed=changed)


def _stamps(files: Iterable[Path]) -> Stamps:
    """Note what tells one version of a file from another; a file that is not there is left out."""
    found = {}
    for path in files:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found
