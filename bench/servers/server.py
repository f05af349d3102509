"""One server, and what several of them that belong together have in common."""

import contextlib
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from mini_apps.embedded import EmbeddedValkey

DOWN_AFTER_MS = 700  # without an answer a server counts as gone
MAX_LAG_SECONDS = 5  # since a replica's last word, then it does not count; they have one each second
PATIENCE = 120.0  # seconds that a topology gets to form


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Wait for something that servers do; errors of theirs mean not yet."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(RedisError, OSError, StopIteration):
            if condition():
                return
        time.sleep(0.02)
    raise TimeoutError(f"{what} did not happen within {seconds:g} s")


def takes_writes(master: "Server", replicas: int) -> bool:
    """Tell whether a master has as many replicas that it counts as it may have, so that it refuses no write."""
    info = master.client.info("replication")
    return int(info.get("min_slaves_good_slaves", info["connected_slaves"])) >= replicas


class Server(EmbeddedValkey):
    """A server that can be frozen, and spoken to.

    Args:
        folder: where it keeps its files; made.
        **more: its settings, with `_` in the place of `-`.
    """

    def __init__(self, folder: Path, **more: str | int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, durable=True, more={name.replace("_", "-"): value for name, value in more.items()})
        self.client: Any = Redis(port=self.port, socket_timeout=5, socket_connect_timeout=1, decode_responses=True)

    def signal(self, number: int) -> None:
        """Send the process a signal, such as `signal.SIGSTOP`."""
        if self.process is not None:
            os.kill(self.process.pid, number)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still while the block runs."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it, also where it is frozen."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
        super().stop()
        self.client.close()


class Topology(ABC):
    """Several servers that belong together.

    Args:
        folder: for their files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[Server] = []

    def __enter__(self) -> Self:
        """Start them and wait until they work together."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop them."""
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Start them and wait until they work together."""

    def stop(self) -> None:
        """Stop them all."""
        for server in self.servers:
            server.stop()

    def server(self, port: int) -> Server:
        """Return the one that listens there."""
        return next(server for server in self.servers if server.port == port)
