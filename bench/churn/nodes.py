"""The real nodes of a churn run: processes that are started, killed and drained, and the list of who is there."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from bench.processes import MeasurementFailed
from shared.broker import UNREACHABLE, Broker
from shared.nodes import live_nodes

ROOT = Path(__file__).parents[2]
LOOK_SECONDS = 0.5
START_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """One node."""

    name: str
    process: asyncio.subprocess.Process

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()

    def drain(self) -> None:
        """Ask it to stop."""
        self.process.terminate()


class Nodes:
    """Starts nodes, and knows which ones take clients, as a gateway does: by what they write into Redis.

    Args:
        broker: the open broker.
        settings: the settings file of the nodes.
    """

    def __init__(self, broker: Broker, settings: Path) -> None:
        self._broker = broker
        self._settings = settings
        self._running: list[NodeProcess] = []
        self._addresses: dict[str, tuple[str, int]] = {}

    def addresses(self) -> list[tuple[str, int]]:
        """Return host and port of the nodes that take clients; for a while one that was killed is among them."""
        return list(self._addresses.values())

    async def start(self, name: str) -> NodeProcess:
        """Start a node and wait until it can be chosen.

        Raises:
            MeasurementFailed: it ended, or did not come up in time.
        """
        with (self._settings.parent / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ws_server", "--settings", str(self._settings), "--port", "0"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "MINI_APPS__WS__NODE_ID": name},
            )
        node = NodeProcess(name, process)
        self._running.append(node)
        until = time.monotonic() + START_SECONDS
        while name not in self._addresses:
            if process.returncode is not None or time.monotonic() > until:
                raise MeasurementFailed(f"{name} did not start: {self.log(name)[-1:]}")
            await asyncio.sleep(0.05)
            await self._look()
        return node

    def log(self, name: str) -> list[str]:
        """Return what a node wrote."""
        return (self._settings.parent / f"{name}.log").read_text(errors="replace").splitlines()

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look for changes twice a second, and stop all nodes at the end."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            for node in self._running:
                if node.process.returncode is None:
                    node.process.kill()
                await node.process.wait()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(*UNREACHABLE, RedisError):
                await self._look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        found = {}
        for node in await live_nodes(self._broker, "ws"):
            place = urlsplit(node.address)
            if not node.draining and place.hostname and place.port:
                found[node.id] = (place.hostname, place.port)
        self._addresses = found
