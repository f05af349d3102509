"""Starting the children in order, keeping them up, and stopping them in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from mini_apps.cli.dev.child import Child, Command, describe_end, environment, is_ready
from mini_apps.cli.dev.lines import plain
from mini_apps.cli.dev.plan import Plan
from mini_apps.cli.dev.screen import Screen
from mini_apps.cli.problem import EXIT_ERROR

START_SECONDS = 300.0  # a child that ends is noticed at once; one that is only slow is on a slow machine
NEGOTIATE_SECONDS = 0.5  # not oftener: `negotiate` is limited by address
STEADY_SECONDS = 30.0
RESTART_DELAYS = (0.5, 1.0, 2.0, 5.0, 10.0)
STOP_ORDER = (("gateway",), ("bot",), ("ws-1", "ws-2"), ("sandbox",), ("valkey",))
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Result = TypeVar("Result")


class Watcher(Protocol):
    """Sees changes of the author's files."""

    async def watch(self, runner: "Runner") -> None:
        """Call `runner.renew` whenever something changed, for ever."""


class StartFailed(Exception):
    """A child did not come up; the text is one line."""


class Runner:
    """Runs the children of one `dev` until a signal.

    Args:
        plan: what to start.
        screen: where to tell about it.
        watcher: sees changes, with `--reload`.
    """

    def __init__(self, plan: Plan, screen: Screen, *, watcher: Watcher | None = None) -> None:
        self.plan = plan
        self.screen = screen
        self._watcher = watcher
        self._stopping = asyncio.Event()
        self._children: dict[str, Child] = {}
        self._renewing: set[str] = set()
        self._renewed_at = 0.0
        self._told = ""

    async def run(self) -> int:
        """Start everything, keep it up, stop it on the first signal; a second one ends it at once.

        Returns:
            The exit code: 0 after a signal, 1 when something did not start.
        """
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        work = asyncio.create_task(self._work(), name="dev")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, stop):
                task.cancel()
            await asyncio.wait((work, stop))
            await self._stop_all()
        return self._result(work)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            for child in self._children.values():
                child.kill()
        self._stopping.set()

    def _result(self, work: asyncio.Task[None]) -> int:
        error = None if work.cancelled() else work.exception()
        if isinstance(error, StartFailed):
            self.screen.event(f"{error}; everything is stopped")
            return EXIT_ERROR
        if error is not None:
            raise error
        self.screen.event("stopped")
        return 0

    async def _work(self) -> None:
        for stage in self.plan.stages():
            await self._start(stage)
        await self._until_nodes_are_known()
        self.screen.banner(self.plan.banner())
        for child in self._children.values():
            child.release()
        async with asyncio.TaskGroup() as tasks:
            for child in self._children.values():
                tasks.create_task(self._keep(child), name=f"keep {child.name}")
            if self._watcher is not None:
                tasks.create_task(self._watcher.watch(self), name="reload")

    async def _start(self, stage: Sequence[Command]) -> None:
        """Start children together and wait until all are ready.

        Raises:
            StartFailed: one of them ended, or took too long.
        """
        if not stage:
            return
        self.screen.progress(f"starting {', '.join(command.name for command in stage)} …")
        environ = environment(self.plan.environ())
        children = [Child(command, environ, self.screen.child_line) for command in stage]
        self._children |= {child.name: child for child in children}
        for child in children:
            await child.start()
        waiting = [asyncio.create_task(self._first_ready(child)) for child in children]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)

    async def _until_nodes_are_known(self) -> None:
        """Wait until the gateway would name a node, so that the page works when the banner says so.

        Raises:
            StartFailed: it does not.
        """
        port, path = self.plan.wish.ports.gateway, self.plan.negotiate()
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await is_ready(port, path):  # noqa: ASYNC110 - another process, so polled
                    await asyncio.sleep(NEGOTIATE_SECONDS)
        except TimeoutError:
            raise StartFailed(f"the gateway found no WebSocket node within {START_SECONDS:g} s") from None

    async def _first_ready(self, child: Child) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                code = await _either(child.wait_ready(), child.ended())
        except TimeoutError:
            code, how = 0, f"was not ready within {START_SECONDS:g} s"
        else:
            if code is None:
                return
            how = f"{describe_end(code)} before it was ready"
        self._tell_lines(child)
        raise StartFailed(f"{child.name} {how}")

    def _tell_lines(self, child: Child) -> None:
        """Show what a child that did not start wrote, once when several write the same."""
        self.screen.progress("")
        reason = plain(child.last_lines[-1]) if child.last_lines else ""
        if reason != self._told:
            self._told = reason
            self.screen.last_lines(child.name, child.last_lines)

    async def _keep(self, child: Child) -> None:
        """Start a child again whenever it ended or is to be replaced."""
        failures = 0
        while True:
            code = await _either(child.replace.wait(), child.ended())
            if code is None:
                await child.stop()
                failures = 0
            else:
                failures = 1 if child.lived() > STEADY_SECONDS else failures + 1
                await self._pause(child, code, failures)
            child.replace.clear()
            await child.start()
            await _either(child.replace.wait(), _either(child.ended(), child.wait_ready()))
            if child.ready.is_set():
                child.release()
                self._tell_renewed(child)

    async def _pause(self, child: Child, code: int, failures: int) -> None:
        """Tell of a child's end and wait before its next start."""
        self._renewing.discard(child.name)
        if not child.ready.is_set():
            self._tell_lines(child)
            if self._watcher is not None and child.command.loads_app:
                self.screen.event(f"{child.name} did not start; waiting for the next change")
                await child.replace.wait()
                return
        delay = RESTART_DELAYS[min(failures, len(RESTART_DELAYS)) - 1]
        self.screen.event(f"{child.name} {describe_end(code)}; starting it again in {delay:g} s")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await child.replace.wait()

    def renew(self, names: Collection[str]) -> None:
        """Have children stopped and started again; told when all are ready.

        Args:
            names: of the children.
        """
        self._told = ""
        self._renewed_at = time.monotonic()
        for name, child in self._children.items():
            if name in names:
                self._renewing.add(name)
                child.replace.set()

    def app_children(self) -> list[str]:
        """List the children that hold the author's code."""
        return [child.name for child in self._children.values() if child.command.loads_app]

    def _tell_renewed(self, child: Child) -> None:
        if child.name in self._renewing:
            self._renewing.discard(child.name)
            if not self._renewing:
                self.screen.event(f"ready again after {time.monotonic() - self._renewed_at:.1f} s")

    async def _stop_all(self) -> None:
        self.screen.progress("stopping …")
        for names in STOP_ORDER:
            stops = [self._children[name].stop() for name in names if name in self._children]
            await asyncio.gather(*stops)
        self.screen.progress("")


async def _either(first: Coroutine[Any, Any, Any], second: Coroutine[Any, Any, Result]) -> Result | None:
    """Wait for the first of two to end; return the second's result, or None when the first was earlier."""
    tasks = (asyncio.ensure_future(first), asyncio.ensure_future(second))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if tasks[0].done() and not tasks[0].cancelled():
        tasks[0].result()
        return None
    return tasks[1].result()
