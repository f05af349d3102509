"""`App.server_tasks`: what runs in one bot worker at a time, under a lease."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from bot_worker.leading import is_cancelled, lead
from mini_apps.app import App
from mini_apps.hooks import call
from shared.leases import Lease, Names
from shared.log import get_logger

log = get_logger("bot")

DELAYS: Final = (1.0, 2.0, 5.0, 15.0, 60.0)  # seconds before a task that raised starts again; the last one repeats
STEADY_SECONDS: Final = 60.0  # after so long the next failure counts as the first

Task = Callable[[], Awaitable[Any]] | Coroutine[Any, Any, Any]


async def run(app: App) -> None:
    """Run an app's tasks whenever this worker holds their lease, until cancelled.

    Args:
        app: bound to this process; it needs no bot.
    """
    if type(app).server_tasks is App.server_tasks:
        return
    keys, mesh = app.keys, app.mesh
    lease = Lease(mesh.broker, Names(keys.lease("tasks"), keys.fence("tasks")), mesh.node_id)

    async def work() -> None:
        await _work(app, lease)

    for failures in itertools.count():
        try:
            await lead(lease, work, mesh.clock)
        except Exception:
            rest = DELAYS[min(failures, len(DELAYS) - 1)]
            app.log.exception("server_tasks failed and is called again", after_seconds=rest)
            await app.clock.sleep(rest)


async def _work(app: App, lease: Lease) -> None:
    app.fence = lease.fence
    try:
        tasks = list(await call(app.server_tasks) or ())
        log.info("this worker runs the server tasks", app=app.name, tasks=len(tasks), fence=lease.fence)
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(_keep_going(app, task), name=f"task-{_name(task)}")
        await asyncio.Event().wait()  # all are done: keep the lease, so that nobody runs them again
    finally:
        app.fence = 0


async def _keep_going(app: App, task: Task) -> None:
    """Run one task until it returns, from the start again whenever it raises."""
    failures = 0
    while True:
        began = app.clock.monotonic()
        try:
            await (task if isinstance(task, Coroutine) else task())
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            failures = 1 if app.clock.monotonic() - began > STEADY_SECONDS else failures + 1
            if isinstance(task, Coroutine):
                app.log.exception(
                    "a server task failed; return the coroutine function, not its call, for it to start again",
                    task=_name(task),
                )
                return
            rest = DELAYS[min(failures, len(DELAYS)) - 1]
            app.log.exception("a server task failed and starts again", task=_name(task), after_seconds=rest)
            await app.clock.sleep(rest)
        else:
            return


def _name(task: Task) -> str:
    return str(getattr(task, "__qualname__", task))
