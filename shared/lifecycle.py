"""The life of a process: start, readiness, signals, drain, ordered stop, exit code.

A process is one coroutine that opens what it needs with `async with`, waits for `process.stopping` and drains; leaving
the blocks stops everything in reverse order. The first SIGTERM or SIGINT asks it to stop, a second one, or the
deadline, ends it at once.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from shared.broker import BrokerUnfit
from shared.clock import MACHINE
from shared.process_metrics import LoopWatch, ProcessCollector

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_FORCED = 130

log = structlog.get_logger("process")

Check = Callable[[], str | None]


class StartError(Exception):
    """The process cannot start; the text is one clear line for the operator."""


class Process:
    """What the parts of one process share: its name, whether it is ready, and its end.

    Args:
        kind: `gateway`, `bot`, `ws` or `sandbox`.
        drain_seconds: from the first signal until the process is ended by force.

    Attributes:
        alone: whether the interpreter is this process's own, so that it may set what belongs to the interpreter.
        up: set once everything is there.
        stopping: set by the first signal.
        reread: set by SIGHUP: the settings of the apps are to be read again.
        clock: what its apps measure time with.
        port: the TCP port it listens on, once it does.
        serves: what runs in it, for who runs several in one interpreter: a node, or the apps of a bot worker.
        registry: for metrics that belong to what this process serves, beside those of the modules.
    """

    def __init__(self, kind: str, *, drain_seconds: float) -> None:
        self.kind = kind
        self.drain_seconds = drain_seconds
        self.alone = False
        self.up = asyncio.Event()
        self.stopping = asyncio.Event()
        self.reread = asyncio.Event()
        self.registry = CollectorRegistry()
        self.clock = MACHINE
        self.port = 0
        self.serves: Any = None
        self._checks: list[Check] = []
        self._terminal = _has_terminal()
        self.registry.register(ProcessCollector(kind, self.troubles))

    def check(self, trouble: Check) -> None:
        """Let readiness depend on `trouble`, which says what is wrong, or None."""
        self._checks.append(trouble)

    def started(self) -> None:
        """Declare that everything is up: from now on readiness depends on the checks only."""
        self.up.set()
        log.info("ready", kind=self.kind, pid=os.getpid())

    def troubles(self) -> list[str]:
        """Return why the process should get no traffic; empty when it is ready."""
        if not self.up.is_set():
            return ["starting"]
        if self.stopping.is_set():
            return ["draining"]
        return [trouble for check in self._checks if (trouble := check()) is not None]

    def stop(self) -> None:
        """Ask the process to stop, as the first SIGTERM does; the second call ends it at once."""
        if self.stopping.is_set():
            log.warning("second signal: ending at once")
            os._exit(EXIT_FORCED)
        log.info("stopping", kind=self.kind, deadline_seconds=self.drain_seconds)
        self.stopping.set()
        asyncio.get_running_loop().call_later(self.drain_seconds, self._overdue)

    def hang_up(self) -> None:
        """Take SIGHUP: read the settings again; or stop, where it says that our terminal is gone."""
        if self._terminal and not _has_terminal():
            if not self.stopping.is_set():
                self.stop()
        else:
            self.reread.set()

    def _overdue(self) -> None:
        log.error("the drain took longer than its deadline; ending", deadline_seconds=self.drain_seconds)
        os._exit(EXIT_ERROR)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY))
    except OSError:
        return False
    return True


def run(process_main: Callable[[Process], Coroutine[Any, Any, None]], kind: str, *, drain_seconds: float) -> int:
    """Run a process to its end and return its exit code.

    Args:
        process_main: opens, serves until `process.stopping`, drains.
        kind: what the process is.
        drain_seconds: deadline of the drain.
    """
    raise_descriptor_limit()
    try:
        _run_loop(_supervise(process_main, kind, drain_seconds))
    except BaseExceptionGroup as group:
        return _report(group)
    except (StartError, BrokerUnfit) as error:
        return _fail(str(error))
    return EXIT_OK


async def _supervise(
    process_main: Callable[[Process], Coroutine[Any, Any, None]], kind: str, drain_seconds: float
) -> None:
    process = Process(kind, drain_seconds=drain_seconds)
    process.alone = True
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGHUP, process.hang_up)
    watch = LoopWatch(loop)
    main = asyncio.create_task(process_main(process), name=kind)
    stopping = asyncio.create_task(process.stopping.wait(), name="stopping")
    await asyncio.wait((main, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if process.stopping.is_set() and process.troubles() != ["draining"]:
        main.cancel()  # a signal before everything was up: nothing to drain
    try:
        await main
    except asyncio.CancelledError:
        if not process.stopping.is_set():
            raise
    finally:
        watch.stop()
    log.info("stopped", kind=kind)


def raise_descriptor_limit() -> None:
    """Use all file descriptors this process may have: each socket is one, and shells start us with 1,024."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - there is none for Windows

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):  # "unlimited" is more than some kernels take
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _run_loop(main: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(main)
    else:
        import uvloop  # noqa: PLC0415 - there is none for Windows

        uvloop.run(main)


def _report(group: BaseExceptionGroup[BaseException]) -> int:
    known, rest = group.split((StartError, BrokerUnfit))
    if rest is not None:
        raise rest
    while isinstance(known, BaseExceptionGroup):
        known = known.exceptions[0]  # type: ignore[assignment]  # down to the first error itself
    return _fail(str(known))


def _fail(text: str) -> int:
    log.error(text)
    return EXIT_ERROR
