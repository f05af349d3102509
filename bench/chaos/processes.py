"""The processes of a deployment, each on an address of its own, started again when they die as a supervisor does."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.processes import MeasurementFailed
from mini_apps.embedded import free_port

ROOT = Path(__file__).parents[2]
AGAIN_SECONDS = 1.0  # until a supervisor starts what died
LOOK_SECONDS = 0.1
START_SECONDS = 300.0
STOP_SECONDS = 90.0
MODULES = {"gateway": "gateway", "worker": "bot_worker", "ws": "ws_server"}
PORTS = {"gateway": "GATEWAY__PORT", "worker": "BOT__PORT", "ws": "WS__PORT"}


@dataclass(slots=True)
class Child:
    """One process.

    Attributes:
        name: kind and number.
        host: where it is.
        port: of its HTTP.
        prefix: what comes before its command.
        environ: what it needs to know besides its settings.
        process: the running one.
        ready: what `/readyz` said last; None where nobody answered.
        unready_since: the monotonic clock when it was last seen to say 503, 0 for never since `Children.forget`.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    prefix: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    ready: bool | None = None
    unready_since: float = 0.0

    @property
    def kind(self) -> str:
        """What it is."""
        return self.name.partition("-")[0]


class Children:
    """All processes of one deployment.

    Args:
        settings: the file they read.
        children: to be started.
    """

    def __init__(self, settings: Path, children: Iterable[Child]) -> None:
        self._settings = settings
        self.all = {child.name: child for child in children}
        self._http: aiohttp.ClientSession | None = None
        self.exits: list[int] = []  # of processes that were asked to stop

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything, keep it up, and stop it in good order.

        Raises:
            MeasurementFailed: something did not become ready.
        """
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as self._http:
            keepers = [asyncio.create_task(self._keep(child)) for child in self.all.values()]
            looker = asyncio.create_task(self._look())
            try:
                await self.all_ready(START_SECONDS)
                yield
            finally:
                for task in (*keepers, looker):
                    task.cancel()
                await asyncio.gather(*keepers, looker, return_exceptions=True)
                await self._stop()

    def is_ready(self) -> bool:
        """Tell whether all said so when they were asked last."""
        return all(child.ready for child in self.all.values())

    async def all_ready(self, seconds: float) -> None:
        """Wait for it.

        Raises:
            MeasurementFailed: it took too long.
        """
        until = time.monotonic() + seconds
        while not self.is_ready():
            if time.monotonic() > until:
                late = [child.name for child in self.all.values() if not child.ready]
                raise MeasurementFailed(f"not ready: {', '.join(late)}; logs in {self._settings.parent}")
            await asyncio.sleep(LOOK_SECONDS)

    def forget(self) -> None:
        """Forget who was unready."""
        for child in self.all.values():
            child.unready_since = 0.0

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        process = self.all[name].process
        if process is not None and process.returncode is None:
            process.send_signal(number)

    async def replace(self, name: str) -> None:
        """Ask a process to stop, and wait until the supervisor's next one is ready."""
        child = self.all[name]
        old = child.process
        self.send(name, signal.SIGTERM)
        if old is not None:
            async with asyncio.timeout(STOP_SECONDS):
                self.exits.append(await old.wait())
        child.ready = None
        async with asyncio.timeout(START_SECONDS):
            while not child.ready:  # noqa: ASYNC110 - another process, so polled
                await asyncio.sleep(LOOK_SECONDS)

    async def _keep(self, child: Child) -> None:
        while True:
            child.process = await self._start(child)
            await child.process.wait()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _start(self, child: Child) -> asyncio.subprocess.Process:
        environ = {**child.environ, "PYTHONPATH": str(ROOT), f"MINI_APPS__{PORTS[child.kind]}": str(child.port)}
        if child.kind == "ws":
            environ["MINI_APPS__WS__NODE_ID"] = child.name
        with (self._settings.parent / f"{child.name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(*child.prefix, sys.executable, "-m", MODULES[child.kind], "--settings", str(self._settings)),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, **environ},
            )  # fmt: skip

    async def _look(self) -> None:
        while True:
            await asyncio.gather(*(self._ask(child) for child in self.all.values()))
            await asyncio.sleep(LOOK_SECONDS)

    async def _ask(self, child: Child) -> None:
        assert self._http is not None
        try:
            async with self._http.get(f"http://{child.host}:{child.port}/readyz") as answer:
                child.ready = answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            child.ready = None
            return
        if child.ready:
            return
        child.unready_since = child.unready_since or time.monotonic()

    async def _stop(self) -> None:
        for child in self.all.values():
            self.send(child.name, signal.SIGCONT)
            self.send(child.name, signal.SIGTERM)
        for child in self.all.values():
            if child.process is None:
                continue
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await child.process.wait()
            except TimeoutError:
                child.process.kill()
                await child.process.wait()
