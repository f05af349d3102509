"""One process that `dev` runs: its output line by line, whether it is ready, and its end."""

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

KEPT_LINES = 40
MAX_PENDING = 1 << 20
POLL_SECONDS = 0.1
STOP_SECONDS = 6.0

OnLine = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Command:
    """How to run a child.

    Attributes:
        name: as it is shown.
        argv: the program and its arguments.
        port: where its readiness is asked.
        path: `/readyz`, or empty where only a port is opened (Valkey).
        loads_app: whether it holds the author's code, and so restarts when that changes.
    """

    name: str
    argv: Sequence[str]
    port: int
    path: str = "/readyz"
    loads_app: bool = False


class Child:
    """Runs a command, again and again if asked. What it writes while it starts is held back until `release`.

    Args:
        command: what to run.
        environ: its environment.
        on_line: called with the child's name and each line it writes.

    Attributes:
        replace: set by whoever wants it stopped and started again.
        ready: it was ready since its last start.
        last_lines: what it wrote last, for telling why it ended.
    """

    def __init__(self, command: Command, environ: Mapping[str, str], on_line: OnLine) -> None:
        self.command = command
        self.name = command.name
        self.replace = asyncio.Event()
        self.ready = asyncio.Event()
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._held = True
        self._environ = environ
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._started = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self) -> None:
        """Start it; its standard input is a pipe that ends with us."""
        self.ready.clear()
        self.last_lines.clear()
        self._held = True
        self._started = time.monotonic()
        # A group of its own: Ctrl-C reaches us alone, and we stop the others in order.
        self._process = await asyncio.create_subprocess_exec(
            *self.command.argv,
            env=dict(self._environ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
        )
        self._reading = asyncio.create_task(self._read(self._process), name=f"output of {self.name}")

    def lived(self) -> float:
        """Tell the seconds since its last start."""
        return time.monotonic() - self._started

    async def ended(self) -> int:
        """Wait until it is gone and its output is read; return its exit code, negative for a signal."""
        assert self._process is not None  # noqa: S101 - only a started child is waited for
        code = await self._process.wait()
        await self._finish_reading()
        return code

    async def wait_ready(self) -> None:
        """Wait until it says it is ready."""
        while not await is_ready(self.command.port, self.command.path):  # noqa: ASYNC110 - another process, so polled
            await asyncio.sleep(POLL_SECONDS)
        self.ready.set()

    async def stop(self) -> None:
        """Ask it to stop, and end it by force after a while."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await self._finish_reading()

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
        pending = b""
        while chunk := await process.stdout.read(1 << 16):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > MAX_PENDING:
                lines, pending = [*lines, pending], b""
            for line in lines:
                self._take(line)
        if pending:
            self._take(pending)

    def _take(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        if line:
            self.last_lines.append(line)
        if not self._held:
            self._on_line(self.name, line)

    def release(self) -> None:
        """Hand on the lines held back since its start, and from now on each as it comes."""
        if self._held:
            self._held = False
            for line in self.last_lines:
                self._on_line(self.name, line)

    async def _finish_reading(self) -> None:
        """Read what is left; a grandchild that keeps the pipe open must not hold us."""
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=1)
            self._reading.cancel()
            await asyncio.wait((self._reading,))


async def is_ready(port: int, path: str) -> bool:
    """Ask a process at 127.0.0.1 whether it is ready: a 200 at `path`, or an open port when there is none."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                if not path:
                    return True
                writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
                return (await reader.readline()).split(b" ")[1:2] == [b"200"]
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False


def describe_end(code: int) -> str:
    """Say how a process ended.

    Args:
        code: its exit code, negative for a signal.
    """
    if code >= 0:
        return f"ended with code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Make the children's environment: ours, without the settings in it, which the children's file holds already."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("MINI_APPS_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}
