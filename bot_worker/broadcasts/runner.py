"""The broadcast jobs of one app: one worker at a time runs them, one after the other."""

import asyncio
import itertools
from typing import Final

from bot_worker import metrics
from bot_worker.broadcasts.ledger import JobsLost, Ledger
from bot_worker.broadcasts.run import JobRun, Result
from bot_worker.leading import lead
from mini_apps.app import App
from mini_apps.broadcast_jobs import BroadcastJob
from shared.broker import insist
from shared.leases import Lease, Names
from shared.log import get_logger

IDLE_SECONDS: Final = 1.0  # between looks for a job
DELAYS: Final = (1.0, 5.0, 30.0)  # seconds after a failure; the last one repeats

log = get_logger("broadcasts")


async def run_broadcasts(app: App, result: Result) -> None:
    """Run an app's broadcast jobs whenever this worker holds their lease, until cancelled.

    Args:
        app: bound to this process.
        result: makes a call and tells what became of it.
    """
    keys, mesh = app.keys, app.mesh
    lease = Lease(mesh.broker, Names(keys.broadcasts_lease, keys.broadcasts_fence), mesh.node_id)

    async def work() -> None:
        await _work(app, Ledger(mesh.bus, keys, lease.fence), result)

    for failures in itertools.count():
        try:
            await lead(lease, work, app.mesh.clock)
        except* JobsLost:
            log.info("another worker runs the broadcasts now", app=app.name)
        except* Exception:
            log.exception("a broadcast failed and goes on after a pause", app=app.name)
        await asyncio.sleep(DELAYS[min(failures, len(DELAYS) - 1)])


async def _work(app: App, ledger: Ledger, result: Result) -> None:
    while True:
        id = await insist(ledger.next)
        if id is None:
            await asyncio.sleep(IDLE_SECONDS)
            continue
        job = await _begin(ledger, id)
        if job is None:
            continue
        log.info("a broadcast runs", app=app.name, job=id, total=job.total, done=job.done)
        with metrics.broadcast_running.labels(app.name).track_inprogress():
            await JobRun(app, ledger, job, result).run()
        log.info("a broadcast ended here", app=app.name, job=id)


async def _begin(ledger: Ledger, id: str) -> BroadcastJob | None:
    return await insist(lambda: ledger.begin(id))
