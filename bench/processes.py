"""Starting, pinning, measuring and stopping the processes of one measurement.

The harness itself runs on the load's core, so that whatever it starts does too; servers are started with `taskset`.
"""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER_CORE, LOAD_CORE = "0", "1"
BOTH_CORES = "0,1"
START_SECONDS = 300.0


class MeasurementFailed(Exception):
    """One measurement did not come to its end; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server process under load."""

    process: "subprocess.Popen[bytes]"
    port: int

    def cpu(self) -> float:
        """Return the seconds its threads have run so far."""
        return self._scheduled(0)

    def waited(self) -> float:
        """Return the seconds its threads have waited so far for a core that others had."""
        return self._scheduled(1)

    def _scheduled(self, column: int) -> float:
        nanoseconds = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has just ended
                nanoseconds += int((task / "schedstat").read_text().split()[column])
        return nanoseconds / 1e9

    def resident(self) -> int:
        """Return the bytes of memory it occupies."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def pin_self(cores: str = LOAD_CORE) -> None:
    """Put the harness, and so what it starts, on these cores."""
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})


def pin(pid: int, cores: str) -> None:
    """Put all threads of a process on these cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {int(core) for core in cores.split(",")})


@contextlib.contextmanager
def serving(
    name: str, command: Sequence[str | Path], port: int, *, env: dict[str, str], log: Path, cores: str = SERVER_CORE
) -> Iterator[Server]:
    """Run a server on its core until it listens, and stop it at the end.

    Raises:
        MeasurementFailed: it ended, or did not listen in time.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["taskset", "-c", cores, *map(str, command)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                last = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise MeasurementFailed(f"{name} does not listen: {' / '.join(last)}")
            time.sleep(0.02)
        yield Server(process, port)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[Any]", seconds: float = 2.0) -> None:
    """End a process, by force after a while."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


class Load:
    """A load tool at work.

    Args:
        program: of `bench/tools`, compiled.
        arguments: its options.
    """

    def __init__(self, program: Path, arguments: Sequence[str | int | float | Path]) -> None:
        self._process = subprocess.Popen(
            [str(program), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._last = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            if line.startswith("READY"):
                self._ready.set()
            else:
                self._last = line
        self._ended.set()
        self._ready.set()

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until all connections are logged in.

        Raises:
            MeasurementFailed: they are not.
        """
        self._ready.wait(seconds)
        if not self._ready.is_set() or self._ended.is_set():
            result = self.finish(0.0)
            raise MeasurementFailed(f"only {result.get('ready', 0)} of {result.get('connections')} connections came in")

    def finish(self, seconds: float) -> dict[str, Any]:
        """Wait for the end at most so long, and return what was measured up to there.

        Raises:
            MeasurementFailed: the tool failed.
        """
        self._ended.wait(seconds)
        if not self._ended.is_set():
            self._process.terminate()
            self._ended.wait(10.0)
        self._process.wait(10.0)
        try:
            result: dict[str, Any] = json.loads(self._last)
        except ValueError:
            error = (self._process.stderr.read() if self._process.stderr else "").strip()
            raise MeasurementFailed(f"the load tool failed: {error[-300:]}") from None
        return result

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process)


def _listens(port: int) -> bool:
    """Whether somebody listens on a port; without connecting, which a server that counts connections would count."""
    wanted = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(wanted) and fields[3] == "0A":
                    return True
    return False
