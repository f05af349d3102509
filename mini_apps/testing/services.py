"""The services of a deployment, each the code of a real process, in the test's own loop."""

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from shared import garbage
from shared.clock import Clock
from shared.lifecycle import Process
from shared.settings import Settings

if TYPE_CHECKING:
    from mini_apps.app import App

Serve = Callable[[Process, Settings], Coroutine[Any, Any, None]]

START_SECONDS: Final = 60.0
MODULES: Final = {"gateway": "gateway.server", "bot": "bot_worker.worker", "ws": "ws_server.server"}


def load_services() -> None:
    """Import every service, aiogram with them, which takes seconds the first time."""
    modules = (*MODULES.values(), "sandbox.server")
    if all(module in sys.modules for module in modules):
        return
    for module in modules:
        importlib.import_module(module)
    importlib.import_module("aiogram.types").Update.model_rebuild()  # as a bot worker does; not in the first test
    garbage.tame()  # as each of our processes does: what was loaded stays, and a look for garbage goes through all else


class Service:
    """One process of the deployment.

    Args:
        kind: `gateway`, `bot` or `ws`.
        name: of it in the deployment, for people.
        settings: of the deployment.
        clock: of the deployment.

    Attributes:
        name: as given.
        process: its life, anew at each start.
    """

    def __init__(self, kind: str, name: str, settings: Settings, clock: Clock) -> None:
        self.name = name
        self.process = Process(kind, drain_seconds=settings.ws.drain_seconds)
        self._kind = kind
        self._clock = clock
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Name it and say whether it runs."""
        return f"<{self.name} {'runs' if self.runs else 'does not run'}>"

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._task is not None and not self._task.done()

    @property
    def url(self) -> str:
        """Where it listens, over HTTP."""
        return f"http://127.0.0.1:{self.process.port}/"

    @property
    def apps(self) -> "dict[str, App]":
        """The instances it runs, by name: those of a node have `clients`; none in a gateway."""
        serves = self.process.serves
        if serves is None or not self.runs:
            return {}
        return dict(serves.apps if self._kind == "ws" else serves.running)

    async def start(self) -> None:
        """Start it and wait until everything is up.

        Raises:
            RuntimeError: it runs.
            StartError: it cannot start; the text says why.
        """
        if self.runs:
            raise RuntimeError(f"{self.name} runs already")
        self.process = Process(self._kind, drain_seconds=self._settings.ws.drain_seconds)
        self.process.clock = self._clock
        serve: Serve = importlib.import_module(MODULES[self._kind]).serve
        self._task = asyncio.create_task(serve(self.process, self._settings), name=self.name)
        up = asyncio.create_task(self.process.up.wait())
        try:
            await asyncio.wait((self._task, up), timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
        if self._task.done():
            await self._task
        if not self.process.up.is_set():
            raise TimeoutError(f"{self.name} was not ready within {START_SECONDS:g} s; its log says what it waits for")

    async def stop(self) -> None:
        """Stop it as SIGTERM does: it takes nothing new, lets running hooks end and sends its clients away."""
        if self._task is None:
            return
        self.process.stopping.set()
        try:
            async with asyncio.timeout(self._settings.ws.drain_seconds + START_SECONDS):
                await asyncio.shield(self._task)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it at once, in the middle of whatever it does; its connections break.

        Only its leases do not stay behind as they would after a SIGKILL: others need not wait for their end.
        """
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
